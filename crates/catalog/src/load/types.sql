-- Enums of every schema but the system's, and free-standing composite types of the exposed ones.
select
    n.nspname as schema,
    t.typname as name,
    (select array_agg(e.enumlabel::text order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid) as labels,
    case when t.typtype = 'c' then (
        select json_agg(json_build_object(
            'name', a.attname,
            'type_name', format_type(a.atttypid, a.atttypmod),
            'enum_type', case when e.typtype = 'e' then json_build_object(
                'schema', (select nspname from pg_namespace where oid = e.typnamespace), 'name', e.typname) end,
            'composite_type', case when e.typtype = 'c' then json_build_object(
                'schema', (select nspname from pg_namespace where oid = e.typnamespace), 'name', e.typname) end,
            'is_array', b.typcategory = 'A'
        ) order by a.attnum)
        from pg_attribute a
        join pg_type b on b.oid = a.atttypid
        join pg_type e on e.oid = case when b.typcategory = 'A' then b.typelem else b.oid end
        where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
    )::text end as attributes
from pg_type t
join pg_namespace n on n.oid = t.typnamespace
left join pg_class c on c.oid = t.typrelid
where (t.typtype = 'e' and n.nspname not in ('pg_catalog', 'information_schema'))
    or (t.typtype = 'c' and c.relkind = 'c' and n.nspname = any ($1))
order by 1, 2
