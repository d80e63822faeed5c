-- Functions that run with their owner's rights and that a caller of the API may execute; the access table lists them.
select f.title, f.signature,
       (select string_agg(caller, ', ') from unnest(array['anon', 'authenticated']) caller
        where has_function_privilege(caller, f.oid, 'execute'))
from tests.new_function f
where f.is_definer
order by 1
