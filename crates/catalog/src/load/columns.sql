-- Columns of the relations of the exposed schemas, by relation and in attribute order.
with recursive under (domain, type) as (
    select oid, typbasetype from pg_type where typtype = 'd'
    union all
    select u.domain, t.typbasetype from under u join pg_type t on t.oid = u.type and t.typtype = 'd'
), bases as materialized (
    -- The type under a domain, however many domains deep.
    select u.domain, u.type from under u join pg_type t on t.oid = u.type and t.typtype <> 'd'
)
select
    a.attrelid as relation,
    a.attname as name,
    format_type(a.atttypid, a.atttypmod) as type_name,
    nullif(format_type(base.oid, null), format_type(a.atttypid, a.atttypmod)) as base_type,
    not (a.attnotnull or t.typnotnull) as nullable,
    case
        when a.attidentity <> '' then 'generated as identity'
        when d.adbin is not null then pg_get_expr(d.adbin, d.adrelid)
        when t.typdefaultbin is not null and t.typtype = 'd' then pg_get_expr(t.typdefaultbin, 0)
    end as default,
    a.attgenerated <> '' or a.attidentity = 'a' as generated,
    a.attidentity <> '' as identity,
    case
        when length.typmod < 0 then null
        when base.typname in ('varchar', 'bpchar') then length.typmod - 4
        when base.typname in ('bit', 'varbit') then length.typmod
    end as max_length,
    case when element.typtype = 'e' then en.nspname end as enum_schema,
    case when element.typtype = 'c' then en.nspname end as composite_schema,
    case when element.typtype in ('e', 'c') then element.typname end as element_name,
    base.typcategory = 'A' as is_array,
    comment.description as comment,
    case when t.typtype = 'd' then t.oid end as domain
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
left join bases on bases.domain = t.oid
join pg_type base on base.oid = coalesce(bases.type, t.oid)
join pg_type element on element.oid = case when base.typcategory = 'A' and base.typelem <> 0 then base.typelem else base.oid end
join pg_namespace en on en.oid = element.typnamespace
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
left join pg_description comment
    on comment.objoid = c.oid and comment.classoid = 'pg_class'::regclass and comment.objsubid = a.attnum
cross join lateral (select case when t.typtype = 'd' then t.typtypmod else a.atttypmod end) length (typmod)
where n.nspname = any ($1)
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and not c.relispartition
order by a.attrelid, a.attnum
