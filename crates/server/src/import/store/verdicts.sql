-- Of rows of the file that cannot both be there, the first stays.
update plinth_import_user t set verdict = 'duplicate'
from (
  select position,
    row_number() over (partition by id order by position) as same_id,
    row_number() over (partition by email, is_sso_user order by position) as same_email,
    row_number() over (partition by phone order by position) as same_phone
  from plinth_import_user) n
where n.position = t.position
  and (n.same_id > 1 or t.email is not null and not t.is_sso_user and n.same_email > 1 or t.phone is not null and n.same_phone > 1);

update plinth_import_user t set verdict = 'same'
from auth.users u where u.id = t.id and t.verdict = 'insert';

-- The address or the number is somebody else's.
update plinth_import_user t set verdict = 'taken'
where t.verdict in ('insert', 'same')
  and (exists (select from auth.users u where u.email = t.email and u.id <> t.id and not u.is_sso_user and not t.is_sso_user)
    or exists (select from auth.users u where u.phone = t.phone and u.id <> t.id))
