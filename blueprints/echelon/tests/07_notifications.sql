-- test: a change of an agent's status tells its creator, with the priority that fits
select tests.as_user('00000000-0000-4000-8000-00000000000a');
update public.agents set status = 'error' where name = 'Solo';
update public.agents set status = 'active' where name = 'Solo';
update public.agents set status = 'inactive', name = 'Solo 2' where name = 'Solo';
select tests.is(
  (select array_agg(priority::text || ': ' || message order by case data ->> 'new_status' when 'error' then 1 when 'active' then 2 else 3 end)
   from public.notifications where type = 'agent_status_change'),
  array['high: Agent "Solo" status changed from active to error',
        'medium: Agent "Solo" status changed from error to active',
        'low: Agent "Solo 2" status changed from active to inactive'], 'notifications');

-- test: other changes of an agent tell nobody
select tests.as_user('00000000-0000-4000-8000-00000000000a');
update public.agents set description = 'x', status = status;
select tests.rows($$select from public.notifications where type = 'agent_status_change'$$, 0);

-- test: when an agent manager changes the status, the creator is told and the manager is not
select tests.as_user('00000000-0000-4000-8000-00000000000d');
select tests.affects($$update public.agents set status = 'paused' where name = 'Shared'$$, 1);
select tests.rows('select from public.notifications', 0);
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.rows($$select from public.notifications
                    where data ->> 'agent_id' = '40000000-0000-4000-8000-000000000002'$$, 1);

-- test: an agent that has no creator changes its status without telling anybody
insert into public.agents (name, type) values ('Orphan', 'alarm');
select tests.affects($$update public.agents set status = 'active' where name = 'Orphan'$$, 1);
select tests.rows('select from public.notifications where user_id is null', 0);

-- test: nobody reads, writes or marks another's notifications
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.rows('select from public.notifications', 0);
select tests.throws($$insert into public.notifications (user_id, type, title, message)
                      values ('00000000-0000-4000-8000-00000000000a', 'agent_error', 'Boo', 'Boo')$$, '42501');
select tests.is(public.mark_notifications_read(array['c0000000-0000-4000-8000-000000000001'::uuid]), 0, 'marked');

-- test: the unread list leaves out what is read or expired
insert into public.notifications (user_id, type, title, message, read_at, expires_at) values
  ('00000000-0000-4000-8000-00000000000a', 'agent_error', 'Read', 'x', now(), null),
  ('00000000-0000-4000-8000-00000000000a', 'agent_error', 'Late', 'x', null, now()),
  ('00000000-0000-4000-8000-00000000000a', 'agent_error', 'Open', 'x', null, now() + interval '1 hour');
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.is((select array_agg(title::text order by title) from public.unread_notifications),
                array['Open', 'Slow down'], 'unread');

-- test: notifications are marked read by id or all at once
insert into public.notifications (id, user_id, type, title, message)
select format('c0000000-0000-4000-8000-00000000001%s', n)::uuid, '00000000-0000-4000-8000-00000000000a', 'agent_error', n, n
from generate_series(1, 3) n;
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.is(public.mark_notifications_read(array['c0000000-0000-4000-8000-000000000011'::uuid]), 1, 'one');
select tests.is(public.mark_notifications_read(), 3, 'the others');
select tests.is(public.mark_notifications_read(), 0, 'none left');
select tests.rows('select from public.unread_notifications', 0);
