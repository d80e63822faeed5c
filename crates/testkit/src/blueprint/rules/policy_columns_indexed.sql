-- A column that a policy compares is looked up on every read. It counts as indexed when
--   * an index has it as a key after other columns of the same policy only (or as the first key), or
--   * an index mentions it in its predicate or in an expression.
-- Columns of the new row in a WITH CHECK are at hand and looked up nowhere, so they are left out, unless it also reads
-- from the policy's own table.
with used as (
  select p.oid, p.name, p.title, d.refobjid as relation, d.refobjsubid::int2 as attnum
  from tests.new_policy p
  join pg_depend d on d.classid = 'pg_policy'::regclass and d.objid = p.oid
                  and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0
  join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
  where d.refobjid <> p.relation
     or p.using_text ~ ('\m' || regexp_replace(a.attname, '\W', '.', 'g') || '\M')
     or p.check_text ~ ('FROM .*\m' || regexp_replace(split_part(p.title, '.', 2), '\W', '.', 'g') || '\M')
  group by p.oid, p.name, p.title, d.refobjid, d.refobjsubid
), keys as (
  select i.indrelid as relation, i.indexrelid, k.attnum, k.position
  from pg_index i, unnest(i.indkey::int2[]) with ordinality k(attnum, position)
  where i.indisvalid and k.position <= i.indnkeyatts
)
select format('policy "%s" on %s uses %s.%s, which has no index', u.name, u.title, u.relation::regclass, a.attname)
from used u join pg_attribute a on a.attrelid = u.relation and a.attnum = u.attnum
where not exists (
    select from keys k
    where k.relation = u.relation and k.attnum = u.attnum
      and not exists (
        select from keys before
        where before.indexrelid = k.indexrelid and before.position < k.position
          and before.attnum not in (select o.attnum from used o where o.oid = u.oid and o.relation = u.relation)))
  and not exists (
    select from pg_index i join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
    where i.indrelid = u.relation and i.indisvalid and (i.indpred is not null or i.indexprs is not null)
      and d.refclassid = 'pg_class'::regclass and d.refobjid = u.relation and d.refobjsubid = u.attnum
      and d.refobjsubid <> all (i.indkey::int2[]))
order by 1
