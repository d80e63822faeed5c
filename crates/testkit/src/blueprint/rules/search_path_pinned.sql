-- Without a pinned search path the caller chooses what the names in a function mean.
-- (A body of the SQL standard's form was resolved when it was created.)
select format('function %s does not set search_path', signature)
from tests.new_function
where not is_bound and not exists (select from unnest(settings) s where s ~ '^search_path=')
order by 1
