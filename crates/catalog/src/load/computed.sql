-- Functions that take one row of a relation and return rows of one: relationships that people wrote themselves.
select
    pn.nspname as schema,
    p.proname as name,
    fn.nspname as from_schema,
    f.typname as from_name,
    tn.nspname as to_schema,
    t.typname as to_name,
    not p.proretset or p.prorows = 1 as single
from pg_proc p
join pg_namespace pn on pn.oid = p.pronamespace
join pg_type f on f.oid = p.proargtypes[0]
join pg_class fc on fc.oid = f.typrelid and fc.relkind <> 'c'
join pg_namespace fn on fn.oid = f.typnamespace
join pg_type t on t.oid = p.prorettype
join pg_class tc on tc.oid = t.typrelid and tc.relkind <> 'c'
join pg_namespace tn on tn.oid = t.typnamespace
where p.pronargs = 1
    and p.prokind = 'f'
    and fn.nspname = any ($1)
    and tn.nspname = any ($1)
order by 1, 2, p.oid
