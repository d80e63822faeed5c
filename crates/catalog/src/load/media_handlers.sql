-- Aggregates and functions of the exposed schemas whose result is a domain that is named like a media type.
with media_type as (
    select t.oid, t.typname::text as name, n.nspname::text as schema, t.typoutput = 'pg_catalog.byteaout'::regproc as bytes
    from pg_type t
    join pg_namespace n on n.oid = t.typnamespace
    where t.typtype = 'd' and t.typname ~* '^([a-z0-9.-]+/[a-z0-9.+-]+|\*/\*)$'
)
select
    s.nspname::text as schema, p.proname::text as name, m.name as media_type, m.bytes,
    case when a.typname <> 'anyelement' then an.nspname::text end as target_schema,
    case when a.typname <> 'anyelement' then a.typname::text end as target_name
from media_type m
join pg_proc p on p.prorettype = m.oid and p.prokind = 'a' and p.pronargs = 1
join pg_namespace s on s.oid = p.pronamespace
join pg_type a on a.oid = p.proargtypes[0]
join pg_namespace an on an.oid = a.typnamespace
where s.nspname = any ($1) and (a.typrelid <> 0 or a.oid = 'anyelement'::regtype)
union all
select m.schema, m.name, m.name, m.bytes, s.nspname, p.proname
from media_type m
join pg_proc p on p.prorettype = m.oid and p.prokind = 'f' and not p.proretset
join pg_namespace s on s.oid = p.pronamespace
where s.nspname = any ($1)
order by 5, 6, 3, 1, 2
