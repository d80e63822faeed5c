-- Relations of the exposed schemas. A partition is reached through its table.
select
    c.oid,
    n.nspname as schema,
    c.relname as name,
    c.relkind::text as kind,
    d.description as comment,
    case when c.relkind in ('r', 'p') then 28 else pg_relation_is_updatable(c.oid, true) end as updatable
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_description d on d.objoid = c.oid and d.classoid = 'pg_class'::regclass and d.objsubid = 0
where n.nspname = any ($1)
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and not c.relispartition
order by c.oid
