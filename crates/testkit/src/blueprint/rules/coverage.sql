-- What the access table has to speak of: every table and view of the blueprint, and every other table that it made
-- a policy for. A partition is reached through its parent; as long as it has no policy of its own, row level security
-- (another rule) closes the direct way.
select r.title, case when r.kind in ('v', 'm') then 'view' else 'table' end
from tests.new_relation r
where not r.is_partition or exists (select from pg_policy p where p.polrelid = r.oid)
union
select p.title, 'table' from tests.new_policy p
order by 1
