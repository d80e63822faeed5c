-- Primary, unique and foreign keys of every schema: a view may show columns of tables that are not exposed themselves.
-- Foreign keys that partitions inherit are left out.
select contype::text as kind, conname as name, conrelid as relation, conkey as columns, confrelid as target,
    coalesce(confkey, '{}') as target_columns
from pg_constraint
where contype in ('p', 'u', 'f')
    and conrelid <> 0
    and (contype <> 'f' or conparentid = 0)
    and connamespace <> 'pg_catalog'::regnamespace
