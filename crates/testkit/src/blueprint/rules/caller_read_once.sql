-- `auth.uid()` bare in a policy is called for every row; in a scalar subquery of its own it is called once.
select format('policy "%s" on %s calls auth.%s() for every row; write (select auth.%s())',
              p.name, p.title, f.name, f.name)
from tests.new_policy p, (values ('uid'), ('role'), ('email'), ('jwt')) f(name)
where regexp_replace(coalesce(p.using_text, '') || ' ' || coalesce(p.check_text, ''),
                     format('\( SELECT \(*auth\.%s\(\)', f.name), '', 'g') ~ format('\mauth\.%s\(\)', f.name)
order by 1
