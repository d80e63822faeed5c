-- Default deny: without row level security every grant opens the whole table. Partitions are tables of their own.
select format('%s has no row level security', title)
from tests.new_relation
where kind in ('r', 'p') and not has_rls
order by 1
