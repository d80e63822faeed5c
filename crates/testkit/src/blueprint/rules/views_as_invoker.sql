-- A view runs with its owner's rights, past every policy, unless it says otherwise.
select format('view %s is not security_invoker', title)
from tests.new_relation
where kind = 'v' and not exists (select from unnest(options) o where o ~ '^security_invoker=(true|on|yes|1)$')
union all
-- A materialized view has no policies at all.
select format('materialized view %s is readable by %s', title, caller)
from tests.new_relation, unnest(array['anon', 'authenticated']) caller
where kind = 'm' and has_table_privilege(caller, oid, 'select')
order by 1
