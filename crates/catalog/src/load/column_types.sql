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
    base.typcategory = 'A' as is_array,
    -- A cast to json would say how values look as JSON.
    case when (element.typtype = 'e' or textual.output is not null)
        and element.oid >= 16384 -- FirstNormalObjectId: the first that is not PostgreSQL's own
        and not exists (
            select from pg_cast
            where castsource = element.oid and casttarget = 'json'::regtype and castmethod = 'f'
        ) then base.oid end as text_type
from unnest($1::oid[], $2::int4[]) asked (type, modifier)
join pg_type t on t.oid = asked.type
left join bases on bases.domain = t.oid
join pg_type base on base.oid = coalesce(bases.type, t.oid)
join pg_type element
    on element.oid = case when base.typcategory = 'A' and base.typelem <> 0 then base.typelem else base.oid end
join pg_namespace en on en.oid = element.typnamespace
-- Types such as citext, which print and send values by the functions of text.
left join (
    select output.oid as output, send.oid as send
    from pg_proc output join pg_proc send on send.prosrc = 'textsend' and send.prolang = output.prolang
    where output.prosrc = 'textout' and output.prolang = 12
) textual on textual.output = element.typoutput and textual.send = element.typsend
cross join lateral (select case when t.typtype = 'd' then t.typtypmod else asked.modifier end) length (modifier)
