-- Functions of the exposed schemas, and whether they can be called with values.
with recursive unwrapped (domain, inner_type) as (
    select oid, typbasetype from pg_type where typtype = 'd'
    union all
    select u.domain, t.typbasetype from unwrapped u join pg_type t on t.oid = u.inner_type where t.typtype = 'd'
), row_domain as (
    select u.domain, u.inner_type from unwrapped u join pg_type t on t.oid = u.inner_type where t.typtype = 'c'
)
select
    n.nspname as schema,
    p.proname as name,
    p.provolatile::text as volatility,
    p.proretset as returns_set,
    p.prorows as expected_rows,
    p.provariadic <> 0 as variadic,
    obj_description(p.oid, 'pg_proc') as comment,
    coalesce(p.proconfig, '{}') as settings,
    p.prorettype = 'void'::regtype as returns_void,
    p.prorettype = 'record'::regtype as returns_record,
    format_type(p.prorettype, null) as return_type,
    case when r.typtype = 'c' then (select nspname from pg_namespace where oid = r.typnamespace) end as composite_schema,
    case when r.typtype = 'c' then r.typname::text end as composite_name,
    -- The only parameter without a name can be a whole body; several cannot be told apart.
    p.pronargs = 0 or p.proargnames is not null or (p.pronargs = 1 and p.proargtypes[0] = any (
        '{bytea,json,jsonb,text,xml}'::regtype[])) as callable,
    arguments.parameters::text as parameters,
    arguments.outputs::text as outputs,
    -- The row type of a function of one row, for computed relationships.
    case when p.pronargs = 1 and a.typtype = 'c' then (select nspname from pg_namespace where oid = a.typnamespace) end as row_schema,
    case when p.pronargs = 1 and a.typtype = 'c' then a.typname::text end as row_name
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
left join row_domain d on d.domain = p.prorettype
join pg_type r on r.oid = coalesce(d.inner_type, p.prorettype)
left join pg_type a on a.oid = p.proargtypes[0]
cross join lateral (
    select
        coalesce(json_agg(json_build_object(
            'name', coalesce(g.name, ''),
            'type_name', format_type(g.type, null),
            'required', g.input_position <= p.pronargs - p.pronargdefaults,
            'variadic', g.mode = 'v'
        ) order by g.position) filter (where g.mode in ('i', 'b', 'v')), '[]') as parameters,
        coalesce(json_agg(json_build_object(
            'name', coalesce(g.name, ''),
            'type_name', format_type(g.type, null),
            'enum_type', case when e.typtype = 'e' then json_build_object(
                'schema', (select nspname from pg_namespace where oid = e.typnamespace), 'name', e.typname) end,
            'composite_type', case when e.typtype = 'c' then json_build_object(
                'schema', (select nspname from pg_namespace where oid = e.typnamespace), 'name', e.typname) end,
            'is_array', t.typcategory = 'A'
        ) order by g.position) filter (where g.mode in ('o', 'b', 't')), '[]') as outputs
    from (
        select
            u.type, u.position, coalesce(p.proargmodes[u.position], 'i') as mode,
            p.proargnames[u.position] as name,
            count(*) filter (where coalesce(p.proargmodes[u.position], 'i') in ('i', 'b', 'v'))
                over (order by u.position) as input_position
        from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality u (type, position)
    ) g
    join pg_type t on t.oid = g.type
    join pg_type e on e.oid = case when t.typcategory = 'A' then t.typelem else t.oid end
) arguments
where n.nspname = any ($1)
    and p.prokind = 'f'
    and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype)
order by 1, 2, p.pronargs, p.oid
