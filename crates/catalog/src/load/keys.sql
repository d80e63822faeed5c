-- Primary and foreign keys of every schema: a view may show columns of tables that are not exposed themselves.
-- Keys that partitions inherit are left out. `one_to_one` when the referring columns are a key by themselves.
with unique_columns as (
    select k.conrelid, array_agg(c.attnum order by c.attnum) as columns
    from pg_constraint k, unnest(k.conkey) c (attnum)
    where k.contype in ('p', 'u')
    group by k.oid, k.conrelid
)
select
    k.contype = 'f' as is_foreign,
    k.conname as constraint_name,
    k.conrelid as from_oid,
    fn.nspname as from_schema,
    fc.relname as from_name,
    k.conkey as from_numbers,
    names.from_columns,
    k.confrelid as to_oid,
    tn.nspname as to_schema,
    tc.relname as to_name,
    coalesce(k.confkey, '{}') as to_numbers,
    names.to_columns,
    k.contype = 'f' and (names.sorted in (select columns from unique_columns u where u.conrelid = k.conrelid)) as one_to_one
from pg_constraint k
join pg_class fc on fc.oid = k.conrelid
join pg_namespace fn on fn.oid = fc.relnamespace
left join pg_class tc on tc.oid = k.confrelid
left join pg_namespace tn on tn.oid = tc.relnamespace
cross join lateral (
    select
        array_agg(f.attname::text order by p.position) as from_columns,
        coalesce(array_agg(t.attname::text order by p.position) filter (where t.attname is not null), '{}') as to_columns,
        array_agg(f.attnum order by f.attnum) as sorted
    from unnest(k.conkey, k.confkey) with ordinality p (here, there, position)
    join pg_attribute f on f.attrelid = k.conrelid and f.attnum = p.here
    left join pg_attribute t on t.attrelid = k.confrelid and t.attnum = p.there
) names
where (k.contype = 'p' or (k.contype = 'f' and k.conparentid = 0))
    and fn.nspname not in ('pg_catalog', 'information_schema')
order by fn.nspname, fc.relname, k.conname
