-- Columns of the relations of the exposed schemas. What is a matter of the type is asked once per type.
select
    a.attrelid as relation,
    a.attnum as number,
    a.attname as name,
    a.atttypid as type,
    a.atttypmod as modifier,
    a.attnotnull as not_null,
    case
        when a.attidentity <> '' then 'generated as identity'
        -- Only what is generated names columns; without a relation PostgreSQL prints several times faster.
        when d.adbin is not null then pg_get_expr(d.adbin, case when a.attgenerated <> '' then d.adrelid else 0 end)
    end as default,
    a.attgenerated <> '' or a.attidentity = 'a' as generated,
    a.attidentity <> '' as identity,
    comment.description as comment
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on a.atthasdef and d.adrelid = a.attrelid and d.adnum = a.attnum
left join pg_description comment
    on comment.objoid = c.oid and comment.classoid = 'pg_class'::regclass and comment.objsubid = a.attnum
where c.relnamespace in (select oid from pg_namespace where nspname = any ($1))
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and not c.relispartition
