-- Why: what comes of a run while it stands failed counts when it is taken up again, and no step of a run is there twice: neither
-- when an answer is lost, nor when two ask at the same time.
set local search_path = '';

-- Which step of its run it is: n what step n came to, or what leads to that, -n the plan of a step that runs beside others.
-- Null for what a run began with.
alter table plinth.message add column step integer;
alter table plinth.run_step add column step integer;
create index run_step_step_idx on plinth.run_step (run, step);
create index run_parent_idx on plinth.run (parent) where parent is not null;

create function plinth.step_number(step jsonb) returns integer
language plpgsql immutable
set search_path = ''
as $$
declare
  id     integer;
  target integer;
begin
  id := step ->> 'stepId';
  target := step ->> 'targetStep';
  return case when id > 0 then id when target > 0 then -target end;
exception when others then
  return null;
end
$$;

create function plinth.step_number(body bytea) returns integer
language plpgsql immutable
set search_path = ''
as $$
begin
  return plinth.step_number(pg_catalog.convert_from(body, 'UTF8')::jsonb);
exception when others then
  return null;
end
$$;

update plinth.message set step = plinth.step_number(message.body)
from plinth.run where run.id = message.run and message.kind = 's' and message.id <> run.message;
update plinth.run_step set step = plinth.step_number(run_step.body)
from plinth.run where run.id = run_step.run and run.state in ('RUN_STARTED', 'RUN_FAILED') and run_step.message <> run.message;

-- ------------------------------------------------------------------ which steps there are

-- The message because of which a run needs no other one of that kind for that step; null when there is none.
create function plinth.step_message(of_run text, of_step integer, of_kind text) returns text
language sql
set search_path = ''
as $$
  select message from plinth.run_step where run = of_run and step = of_step
  union all
  select id from plinth.message where run = of_run and step = of_step and (kind = 's' or kind in ('c', 'b') and of_kind = 'c')
  limit 1
$$;

-- Whether a message of a run that was delivered before need not be delivered again, as the run has gone on from there: what it
-- is to bring about is there, or something behind all that its endpoint would be told.
create function plinth.is_outdated(about plinth.message) returns boolean
language plpgsql
set search_path = ''
as $$
declare
  reach integer;
begin
  if about.kind in ('c', 'b') then
    return plinth.step_message(about.run, about.step, 's') is not null;
  elsif about.step < 0 then
    return plinth.step_message(about.run, -about.step, 'c') is not null
      or exists (select from plinth.run where parent = about.run and plinth.step_number(step) = -about.step);
  end if;
  select coalesce(pg_catalog.max(pg_catalog.abs(step)), 0) into reach from plinth.run_step
  where run = about.run and place <= (select place from plinth.run_step where run = about.run and message = about.id);
  return exists (select from plinth.run_step where run = about.run and pg_catalog.abs(step) > reach)
    or exists (select from plinth.message where run = about.run and kind in ('s', 'b', 'c') and pg_catalog.abs(step) > reach)
    or exists (select from plinth.run where parent = about.run and plinth.step_number(step) > reach);
end
$$;

-- Lets a failed run go on, with other settings and another flow if there are such; null when it is not failed. Finished steps
-- stay: the message that failed is delivered again, and what its run had besides with it.
create function plinth.resume_run(of_run text, changes jsonb, to_flow text) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  again plinth.run;
begin
  update plinth.run set state = 'RUN_STARTED', ended_at = null, result = null, dead_id = null, failure = null,
    settings = settings || changes, flow = coalesce(to_flow, flow)
  where id = of_run and state = 'RUN_FAILED' returning * into again;
  if not found then
    return null;
  end if;
  -- Seen after the lock: what was published before it.
  update plinth.message
  set state = 'q', attempt = 0, retried = 0, dead_id = null, dead_at = null, response = null,
    due_at = case when state = 'd' then pg_catalog.clock_timestamp() else due_at end,
    settings = case kind when 'c' then settings else settings || changes end,
    flow = case kind when 'c' then flow else again.flow end
  where run = of_run and state in ('d', 'h') and kind in ('s', 'b', 'c');
  return pg_catalog.jsonb_build_object('workflowRunId', again.id, 'workflowCreatedAt', plinth.message_ms(again.created_at));
end
$$;

-- ------------------------------------------------------------------ as before, and besides

-- Publishes one item to one address, and says what its publisher is told. Null when a run that it is for has ended and the
-- item may be late; what is for a failed run is held for it. SQLSTATE PLM00: the run is not active.
create or replace function plinth.publish_message(item jsonb, to_url text, to_topic text, to_endpoint text) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  made      plinth.message;
  of_run    plinth.run;
  of_kind   text := item ->> 'kind';
  seen_key  text := item ->> 'seen';
  begun     boolean := false;
  event     text := item ->> 'event';
  notice    text;
  known     text;
  answer    jsonb;
begin
  made.id := plinth.message_id('msg_');
  if seen_key is not null then
    if to_topic is not null then
      seen_key := seen_key || ' ' || to_url;
    end if;
    insert into plinth.message_seen as known (key, message, until)
    values (seen_key, made.id, pg_catalog.clock_timestamp() + interval '10 minutes')
    on conflict (key) do update set message = excluded.message, until = excluded.until
    where known.until <= pg_catalog.clock_timestamp();
    if not found then
      return pg_catalog.jsonb_build_object('deduplicated', true, 'url', to_url,
        'messageId', (select message from plinth.message_seen where key = seen_key));
    end if;
  end if;

  made.url := to_url;
  made.topic := to_topic;
  made.endpoint := to_endpoint;
  made.queue := item ->> 'queue';
  -- In the same queue it waits for its turn, and must not wait for itself.
  made.holds := nullif(item ->> 'holds', made.queue);
  made.flow := item ->> 'flow';
  made.schedule := item ->> 'schedule';
  made.labels := array(select pg_catalog.jsonb_array_elements_text(item -> 'labels'));
  made.run := item ->> 'run';
  made.settings := item -> 'settings';
  made.body := pg_catalog.decode(item ->> 'body', 'base64');
  made.created_at := pg_catalog.clock_timestamp();
  made.due_at := coalesce(pg_catalog.to_timestamp((item ->> 'notBefore')::double precision),
    made.created_at + coalesce((item ->> 'delay')::double precision, 0) * interval '1 second');

  if of_kind = 'i' then
    if item ? 'parent' then
      -- Of two that are begun at the same time for one step, the second sees the first.
      perform from plinth.run where id = item ->> 'parent' for update;
      select * into of_run from plinth.run
      where parent = item ->> 'parent' and plinth.step_number(step) = plinth.step_number(item -> 'step');
      if found then
        return pg_catalog.jsonb_build_object('deduplicated', true, 'messageId', of_run.message,
          'workflowRunId', of_run.id, 'workflowCreatedAt', plinth.message_ms(of_run.created_at));
      end if;
    end if;
    insert into plinth.run (id, url, settings, flow, labels, body, message, parent, step, created_at)
    values (made.run, to_url, made.settings, made.flow, made.labels, made.body, made.id,
      item ->> 'parent', item -> 'step', made.created_at)
    on conflict (id) do nothing
    returning * into of_run;
    if not found then
      select * into of_run from plinth.run where id = made.run;
      return pg_catalog.jsonb_build_object('deduplicated', true, 'messageId', of_run.message,
        'workflowRunId', of_run.id, 'workflowCreatedAt', plinth.message_ms(of_run.created_at));
    end if;
    of_kind := 's';
    begun := true;
  elsif of_kind in ('s', 'c', 'b') then
    -- Against an end of the run, and the same step, that come at the same time.
    select * into of_run from plinth.run where id = made.run for update;
    if of_run.state = 'RUN_FAILED' and exists (select from plinth.message where dead_id = of_run.dead_id) then
      -- It counts when the run is taken up again.
      made.state := 'h';
    elsif of_run.state is distinct from 'RUN_STARTED' then
      if (item ->> 'late')::boolean then
        return null;
      end if;
      raise exception 'workflow run % is not active', made.run using errcode = 'PLM00';
    end if;
    made.step := case of_kind
      when 's' then plinth.step_number(made.body)
      when 'c' then plinth.step_number(pg_catalog.jsonb_build_object(
        'stepId', made.settings #> '{callback,header,upstash-forward-upstash-workflow-stepid,0}'))
      else plinth.step_number(pg_catalog.jsonb_build_object('stepId', made.settings #> '{header,upstash-workflow-stepid,0}')) end;
    known := plinth.step_message(made.run, made.step, of_kind);
    if known is not null then
      return pg_catalog.jsonb_build_object('deduplicated', true, 'messageId', known);
    end if;
    if of_kind <> 'c' then
      -- What goes to the run's endpoint is delivered as the run's first message said; what came of a call without the
      -- headers by which the endpoint would take it for a step.
      made.settings := of_run.settings || pg_catalog.jsonb_build_object('header', case of_kind
        when 's' then (of_run.settings -> 'header') || (made.settings -> 'header')
        else made.settings -> 'header' end);
      made.flow := of_run.flow;
      made.labels := of_run.labels;
    end if;
  end if;
  made.kind := of_kind;

  if event is not null then
    delete from plinth.run_notice where run = made.run and run_notice.event = item ->> 'event' returning data into notice;
    if found then
      made.due_at := made.created_at;
      made.body := pg_catalog.convert_to((item -> 'step'
        || pg_catalog.jsonb_build_object('waitEventId', event, 'out', notice, 'waitTimeout', false))::text, 'UTF8');
    else
      insert into plinth.run_waiter (message, event, run, step, request)
      values (made.id, event, made.run, item -> 'step', item -> 'request');
    end if;
  end if;

  if made.queue is not null then
    insert into plinth.message_queue (name) values (made.queue) on conflict do nothing;
  end if;
  if made.flow is not null and item ? 'flowValue' then
    perform plinth.set_flow(made.flow, item -> 'flowValue');
  end if;
  insert into plinth.message
    (id, state, kind, due_at, url, topic, endpoint, queue, holds, flow, schedule, labels, run, step, settings, body, created_at)
  values (made.id, coalesce(made.state, 'q'), made.kind, made.due_at, made.url, made.topic, made.endpoint, made.queue, made.holds, made.flow,
    made.schedule, made.labels, made.run, made.step, made.settings, made.body, made.created_at);
  perform plinth.message_log(made, 'CREATED', null, made.due_at);
  if made.kind = 'f' then
    update plinth.run set failure = pg_catalog.jsonb_build_object('messageId', made.id, 'url', made.url) where id = made.run;
  end if;

  answer := pg_catalog.jsonb_build_object('messageId', made.id);
  if to_topic is not null then
    answer := answer || pg_catalog.jsonb_build_object('url', to_url);
  end if;
  if begun then
    answer := answer || pg_catalog.jsonb_build_object(
      'workflowRunId', of_run.id, 'workflowCreatedAt', plinth.message_ms(of_run.created_at));
  end if;
  return answer;
end
$$;

-- Hands a locked, queued message to a worker; null when it cannot be begun. A step takes its place among those of its run,
-- one after the other, so that of two that come at the same time the later one's list has both.
create or replace function plinth.begin_message(about plinth.message, taker bigint) returns plinth.message
language plpgsql
set search_path = ''
as $$
declare
  begun     plinth.message;
  run_state text;
  again     boolean := about.attempt > 0;
begin
  if about.kind in ('s', 'b') then
    select state into run_state from plinth.run where id = about.run for update skip locked;
    if not found then
      if not exists (select from plinth.run where id = about.run) then
        delete from plinth.message where id = about.id;
      end if;
      return null;
    end if;
    if run_state = 'RUN_FAILED' then
      update plinth.message set state = 'h' where id = about.id;
      return null;
    elsif run_state <> 'RUN_STARTED' then
      delete from plinth.message where id = about.id;
      return null;
    end if;
    if about.kind = 's' then
      insert into plinth.run_step (run, message, body, step) values (about.run, about.id, about.body, about.step) on conflict do nothing;
      again := not found;
      delete from plinth.run_waiter where message = about.id;
    end if;
    if again and plinth.is_outdated(about) then
      delete from plinth.message where id = about.id;
      perform plinth.message_log(about, 'DELIVERED', null, null);
      return null;
    end if;
  end if;
  update plinth.message set state = 'r', attempt = attempt + 1, worker = taker where id = about.id returning * into begun;
  perform plinth.message_log(begun, 'ACTIVE', null, null);
  return begun;
end
$$;

-- Writes what a delivery came to, and publishes what follows from it. Fails when the message is not this worker's any more.
-- `outcome`: {state: done | retry | dead, delay: seconds, error, response, deadId, items}.
create or replace function plinth.finish_message(of_message text, of_attempt integer, of_worker bigint, outcome jsonb) returns void
language plpgsql
set search_path = ''
as $$
declare
  about     plinth.message;
  became    text := outcome ->> 'state';
  why       text := outcome ->> 'error';
  again_at  timestamptz;
  run_state text;
  later     "char" := 'q';
  given     jsonb := coalesce(outcome -> 'items', '[]');
begin
  select * into about from plinth.message
  where id = of_message and attempt = of_attempt and worker = of_worker and state = 'r' for update;
  if not found then
    raise exception 'the message is not this worker''s any more' using errcode = 'PLF01';
  end if;
  if about.kind in ('s', 'b', 'c') then
    select state into run_state from plinth.run where id = about.run for update;
    if became <> 'done' and plinth.is_outdated(about) then
      -- Only the answer was lost: the run has gone on.
      perform plinth.message_log(about, 'ERROR', why, null);
      became := 'done';
      given := '[]';
    elsif run_state = 'RUN_FAILED' then
      -- What it came to counts when the run is taken up again, or it is tried again then.
      later := 'h';
      if became = 'dead' and about.kind <> 'c' then
        became := 'retry';
        given := '[]';
      end if;
    elsif run_state is distinct from 'RUN_STARTED' and became <> 'done' then
      delete from plinth.message where id = about.id;
      return;
    end if;
  end if;

  if became = 'done' then
    delete from plinth.message where id = about.id;
    perform plinth.message_log(about, 'DELIVERED', null, null);
  elsif became = 'retry' then
    again_at := pg_catalog.clock_timestamp() + coalesce((outcome ->> 'delay')::double precision, 0) * interval '1 second';
    update plinth.message set state = later, worker = null, retried = retried + 1, due_at = again_at, response = outcome -> 'response'
    where id = about.id;
    perform plinth.message_log(about, 'ERROR', why, null);
    if later = 'q' then
      perform plinth.message_log(about, 'RETRY', null, again_at);
    end if;
  else
    perform plinth.message_log(about, 'ERROR', why, null);
    perform plinth.message_log(about, 'FAILED', why, null);
    if about.kind = 'c' then
      -- What it came to is a result for its run.
      delete from plinth.message where id = about.id;
    else
      update plinth.message
      set state = 'd', worker = null, dead_id = outcome ->> 'deadId', dead_at = pg_catalog.clock_timestamp(), response = outcome -> 'response'
      where id = about.id;
      if about.kind in ('s', 'b') then
        perform plinth.end_run(about.run, 'RUN_FAILED', why, outcome ->> 'deadId');
      end if;
    end if;
  end if;
  if about.kind = 'f' and became <> 'retry' then
    update plinth.run set failure = failure || pg_catalog.jsonb_build_object(
      'state', case became when 'done' then 'CALLBACK_SUCCESS' else 'CALLBACK_FAIL' end,
      'responseStatus', outcome #> '{response,status}', 'responseHeaders', outcome #> '{response,header}',
      'responseBody', outcome #> '{response,body}')
    where id = about.run;
  end if;
  if about.schedule is not null and became <> 'retry' then
    update plinth.message_schedule
    set last = coalesce(last, '{}') || pg_catalog.jsonb_build_object(about.id, case became when 'done' then 'SUCCESS' else 'FAIL' end)
    where id = about.schedule and last ? about.id;
  end if;
  perform plinth.publish_messages(given);
end
$$;

-- Tells runs of an event: those that wait for it, or the one that is named, now or when it waits. Failed ones wait too.
create or replace function plinth.notify_runs(of_event text, of_run text, given text) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  waiter  plinth.run_waiter;
  answers jsonb := '[]';
begin
  if of_run is not null then
    -- A run that begins to wait at this moment either sees the event kept, or is seen here.
    perform from plinth.run where id = of_run for update;
  end if;
  for waiter in
    select * from plinth.run_waiter where event = of_event and (of_run is null or run = of_run) order by message limit 10000
  loop
    -- The message first, as by those who deliver it when its time is over. Of two that come at the same time, one finds the
    -- waiter gone.
    perform from plinth.message where id = waiter.message and state in ('q', 'h') and attempt = 0 for update;
    continue when not found;
    delete from plinth.run_waiter where message = waiter.message;
    continue when not found;
    update plinth.message
    set due_at = pg_catalog.clock_timestamp(), body = pg_catalog.convert_to((waiter.step || pg_catalog.jsonb_build_object(
      'waitEventId', of_event, 'out', given, 'waitTimeout', false))::text, 'UTF8')
    where id = waiter.message;
    answers := answers || pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object(
      'waiter', waiter.request, 'messageId', waiter.message, 'deduplicated', false, 'error', '', 'workflowRunId', waiter.run,
      'workflowCreatedAt', (select plinth.message_ms(created_at) from plinth.run where id = waiter.run)));
  end loop;
  if answers = '[]' and of_run is not null then
    insert into plinth.run_notice (run, event, data)
    select id, of_event, given from plinth.run where id = of_run and state in ('RUN_STARTED', 'RUN_FAILED')
    on conflict (run, event) do update set data = excluded.data;
  end if;
  return answers;
end
$$;

-- Headers of deliveries as people may read them.
create function plinth.shown_headers(settings jsonb) returns jsonb
language sql immutable
set search_path = ''
as $$
  select case when settings #>> '{redact,header}' = 'true' then '{"REDACTED": []}' else (
    select coalesce(pg_catalog.jsonb_object_agg(key, case
      when coalesce(settings #> '{redact,headers}', '[]') ? pg_catalog.lower(key) then '["REDACTED"]' else value end), '{}')
    from pg_catalog.jsonb_each(settings -> 'header')) end
$$;

-- ------------------------------------------------------------------ rights

revoke all on function plinth.step_number(jsonb), plinth.step_number(bytea), plinth.step_message(text, integer, text),
  plinth.is_outdated(plinth.message), plinth.resume_run(text, jsonb, text), plinth.shown_headers(jsonb) from public;
grant execute on function plinth.step_number(jsonb), plinth.step_number(bytea), plinth.step_message(text, integer, text),
  plinth.is_outdated(plinth.message), plinth.resume_run(text, jsonb, text), plinth.shown_headers(jsonb) to @owner@;
