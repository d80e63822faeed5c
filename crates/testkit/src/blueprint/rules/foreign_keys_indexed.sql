-- Deleting a referenced row looks for its children by these columns, so an index must begin with them, in any order.
select format('%s: foreign key %s (%s) has no index', r.title, k.conname,
              (select string_agg(a.attname, ', ' order by u.n)
               from unnest(k.conkey) with ordinality u(attnum, n)
               join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.attnum))
from pg_constraint k join tests.new_relation r on r.oid = k.conrelid
where k.contype = 'f'
  and k.conparentid = 0 -- a partition inherits key and index together
  and not exists (
    select from pg_index i
    where i.indrelid = k.conrelid and i.indisvalid
      -- `where column is not null` leaves no child out.
      and (i.indpred is null or pg_get_expr(i.indpred, i.indrelid) = (
        select format('(%I IS NOT NULL)', a.attname) from pg_attribute a
        where a.attrelid = k.conrelid and a.attnum = k.conkey[1]))
      and (select array_agg(key order by key) from unnest(k.conkey) key)
        = (select array_agg(key order by key)
           from unnest((i.indkey::int2[])[0:cardinality(k.conkey) - 1]) key))
order by 1
