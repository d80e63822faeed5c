-- Why: logs are asked for by who published, and events did not say it.
set local search_path = '';

-- Null of events from before, and of messages that nobody published: callbacks.
alter table plinth.message_event add column caller_ip text;

create or replace function plinth.message_log(about plinth.message, became text, why text, next timestamptz) returns void
language sql
set search_path = ''
as $$
  insert into plinth.message_event
    (message, state, url, topic, endpoint, queue, flow, schedule, labels, run, error, next_at, caller_ip)
  values (about.id, became, about.url, about.topic, about.endpoint, about.queue, about.flow, about.schedule, about.labels,
    about.run, pg_catalog.left(why, 2000), next, about.settings ->> 'callerIP')
$$;
