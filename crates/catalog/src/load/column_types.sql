-- The types of columns, by type and modifier.
with recursive under (domain, type) as (
    select oid, typbasetype from pg_type where typtype = 'd'
    union all
    select u.domain, t.typbasetype from under u join pg_type t on t.oid = u.type and t.typtype = 'd'
), bases as materialized (
    -- The type under a domain, however many domains deep.
    select u.domain, u.type from under u join pg_type t on t.oid = u.type and t.typtype <> 'd'
)
select
    asked.type,
    asked.modifier,
    format_type(asked.type, asked.modifier) as type_name,
    format_type(base.oid, null) as base_type,
    t.typnotnull as not_null,
    case when t.typtype = 'd' then pg_get_expr(t.typdefaultbin, 0) end as default,
    case
        when length.modifier < 0 then null
        when base.typname in ('varchar', 'bpchar') then length.modifier - 4
        when base.typname in ('bit', 'varbit') then length.modifier
    end as max_length,
    case when element.typtype = 'e' then en.nspname end as enum_schema,
    case when element.typtype = 'c' then en.nspname end as composite_schema,
    element.typname as element_name,
    base.typcategory = 'A' as is_array
from unnest($1::oid[], $2::int4[]) asked (type, modifier)
join pg_type t on t.oid = asked.type
left join bases on bases.domain = t.oid
join pg_type base on base.oid = coalesce(bases.type, t.oid)
join pg_type element
    on element.oid = case when base.typcategory = 'A' and base.typelem <> 0 then base.typelem else base.oid end
join pg_namespace en on en.oid = element.typnamespace
cross join lateral (select case when t.typtype = 'd' then t.typtypmod else asked.modifier end) length (modifier)
