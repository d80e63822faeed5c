-- Functions of the exposed schemas, and whether they can be called with values.
with recursive unwrapped (domain, inner_type) as (
    select oid, typbasetype from pg_type where typtype = 'd'
    union all
    select u.domain, t.typbasetype from unwrapped u join pg_type t on t.oid = u.inner_type where t.typtype = 'd'
), row_domain as materialized (
    select u.domain, u.inner_type from unwrapped u join pg_type t on t.oid = u.inner_type where t.typtype = 'c'
), listed as materialized (
    select p.*
    from pg_proc p
    where p.pronamespace in (select oid from pg_namespace where nspname = any ($1))
        and p.prokind = 'f'
        and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype)
), argument as (
    select
        p.oid as function, u.type, u.position,
        coalesce(p.proargmodes[u.position], 'i') as mode,
        coalesce(p.proargnames[u.position], '') as name,
        count(*) filter (where coalesce(p.proargmodes[u.position], 'i') in ('i', 'b', 'v'))
            over (partition by p.oid order by u.position) <= p.pronargs - p.pronargdefaults as required
    from listed p, unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality u (type, position)
), arguments as (
    select
        g.function,
        json_agg(json_build_object(
            'name', g.name,
            -- `bit` and `character` without a length would cut the value to one.
            'type_name', case g.type
                when 'bit'::regtype then 'bit varying'
                when 'bit[]'::regtype then 'bit varying[]'
                when 'character'::regtype then 'character varying'
                when 'character[]'::regtype then 'character varying[]'
                else format_type(g.type, null)
            end,
            'declared_type', format_type(g.type, null),
            'required', g.required,
            'variadic', g.mode = 'v'
        ) order by g.position) filter (where g.mode in ('i', 'b', 'v')) as parameters,
        json_agg(json_build_object(
            'name', g.name,
            'type_name', format_type(g.type, null),
            'enum_type', case when e.typtype = 'e' then json_build_object('schema', n.nspname, 'name', e.typname) end,
            'composite_type', case when e.typtype = 'c' then json_build_object('schema', n.nspname, 'name', e.typname) end,
            'is_array', t.typcategory = 'A'
        ) order by g.position) filter (where g.mode in ('o', 'b', 't')) as outputs
    from argument g
    join pg_type t on t.oid = g.type
    join pg_type e on e.oid = case when t.typcategory = 'A' and t.typelem <> 0 then t.typelem else t.oid end
    join pg_namespace n on n.oid = e.typnamespace
    group by g.function
)
select
    n.nspname as schema,
    p.proname as name,
    p.provolatile::text as volatility,
    p.proretset as returns_set,
    d.description as comment,
    coalesce(p.proconfig, '{}') as settings,
    p.prorettype = 'void'::regtype as returns_void,
    p.prorettype = 'record'::regtype as returns_record,
    format_type(p.prorettype, null) as return_type,
    case when r.typtype = 'c' then rn.nspname end as composite_schema,
    case when r.typtype = 'c' then r.typname::text end as composite_name,
    -- The only parameter without a name can be a whole body; several cannot be told apart.
    p.pronargs = 0 or p.proargnames is not null or (p.pronargs = 1 and p.proargtypes[0] = any (
        '{bytea,json,jsonb,text,xml}'::regtype[])) as callable,
    coalesce(a.parameters, '[]')::text as parameters,
    coalesce(a.outputs, '[]')::text as outputs
from listed p
join pg_namespace n on n.oid = p.pronamespace
left join row_domain domain on domain.domain = p.prorettype
join pg_type r on r.oid = coalesce(domain.inner_type, p.prorettype)
join pg_namespace rn on rn.oid = r.typnamespace
left join arguments a on a.function = p.oid
left join pg_description d on d.objoid = p.oid and d.classoid = 'pg_proc'::regclass
order by 1, 2, p.oid
