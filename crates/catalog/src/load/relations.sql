-- Relations of the exposed schemas with their columns as JSON, in attribute order.
select
    n.nspname as schema,
    c.relname as name,
    c.relkind::text as kind,
    obj_description(c.oid, 'pg_class') as comment,
    pg_relation_is_updatable(c.oid, true) as updatable,
    coalesce((
        select array_agg(a.attname::text order by k.position)
        from pg_constraint p
        cross join unnest(p.conkey) with ordinality k (attnum, position)
        join pg_attribute a on a.attrelid = p.conrelid and a.attnum = k.attnum
        where p.conrelid = c.oid and p.contype = 'p'
    ), '{}') as primary_key,
    columns.list::text as columns
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
cross join lateral (
    select coalesce(json_agg(json_build_object(
        'name', a.attname,
        'type_name', format_type(a.atttypid, a.atttypmod),
        'base_type', format_type(base.oid, null),
        'nullable', not (a.attnotnull or t.typnotnull),
        'default', case
            when a.attidentity <> '' then 'generated as identity'
            else pg_get_expr(d.adbin, d.adrelid)
        end,
        'generated', a.attgenerated <> '' or a.attidentity = 'a',
        'identity', a.attidentity <> '',
        'max_length', case
            when base.typname in ('varchar', 'bpchar') and coalesce(nullif(a.atttypmod, -1), t.typtypmod) > 4
            then coalesce(nullif(a.atttypmod, -1), t.typtypmod) - 4
        end,
        'enum_type', case when element.typtype = 'e' then json_build_object(
            'schema', (select nspname from pg_namespace where oid = element.typnamespace), 'name', element.typname) end,
        'composite_type', case when element.typtype = 'c' then json_build_object(
            'schema', (select nspname from pg_namespace where oid = element.typnamespace), 'name', element.typname) end,
        'is_array', base.typcategory = 'A',
        'comment', col_description(c.oid, a.attnum)
    ) order by a.attnum), '[]') as list
    from pg_attribute a
    join pg_type t on t.oid = a.atttypid
    -- The type under a domain, however many domains deep.
    cross join lateral (
        with recursive under (oid, base) as (
            select t.oid, t.typbasetype
            union all
            select b.oid, b.typbasetype from under u join pg_type b on b.oid = u.base
        )
        select p.* from under u join pg_type p on p.oid = u.oid where u.base = 0
    ) base
    join pg_type element on element.oid = case when base.typcategory = 'A' then base.typelem else base.oid end
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
) columns
where n.nspname = any ($1)
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and not c.relispartition
order by 1, 2
