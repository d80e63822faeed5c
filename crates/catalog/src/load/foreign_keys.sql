-- Foreign keys between relations of the exposed schemas. `one_to_one` when the referring columns
-- are a primary key or unique by themselves. Keys that partitions inherit are left out.
select
    fn.nspname as from_schema,
    fc.relname as from_name,
    tn.nspname as to_schema,
    tc.relname as to_name,
    k.conname as constraint_name,
    (
        select array_agg(a.attname::text order by p.position)
        from unnest(k.conkey) with ordinality p (attnum, position)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = p.attnum
    ) as from_columns,
    (
        select array_agg(a.attname::text order by p.position)
        from unnest(k.confkey) with ordinality p (attnum, position)
        join pg_attribute a on a.attrelid = k.confrelid and a.attnum = p.attnum
    ) as to_columns,
    exists (
        select from pg_index i
        where i.indrelid = k.conrelid
            and i.indisunique
            and i.indpred is null
            and i.indexprs is null
            and (select array_agg(x order by x) from unnest(i.indkey[:i.indnkeyatts - 1]) x)
                = (select array_agg(x order by x) from unnest(k.conkey) x)
    ) as one_to_one
from pg_constraint k
join pg_class fc on fc.oid = k.conrelid
join pg_namespace fn on fn.oid = fc.relnamespace
join pg_class tc on tc.oid = k.confrelid
join pg_namespace tn on tn.oid = tc.relnamespace
where k.contype = 'f'
    and k.conparentid = 0
    and not fc.relispartition
    and fn.nspname = any ($1)
    and tn.nspname = any ($1)
order by 1, 2, 5
