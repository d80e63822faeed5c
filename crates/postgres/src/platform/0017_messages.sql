-- Why: messages to people's own endpoints, with retries, queues, schedules and dead letters, and workflow runs whose steps
-- are such messages. The HTTP interface to all of it is in the crate `work`; the owner role works on these tables.
set local search_path = '';

-- ------------------------------------------------------------------ what is to be delivered

-- A message is a delivery that did not happen yet, one that failed for good, or a step of a run that stands still. One that
-- was delivered is gone from here and remains as events.
create table plinth.message (
  id         text not null primary key,
  -- q queued, r running, d dead, h held because its run failed
  state      "char" not null default 'q' check (state in ('q', 'r', 'd', 'h')),
  -- p plain, s step of a run, c call of a run to somebody else, b what came of that call, f word of a failed run
  kind       "char" not null default 'p' check (kind in ('p', 's', 'c', 'b', 'f')),
  place      bigint not null generated always as identity,
  due_at     timestamptz not null,
  url        text not null,
  topic      text,
  endpoint   text,
  queue      text,
  -- The queue whose next message waits for this one: it is the callback of the former.
  holds      text,
  flow       text,
  -- What limits it: queue and flow together, null for neither.
  lane       text collate "C" generated always as (
    case when queue is not null or flow is not null then coalesce(queue, '') || E'\n' || coalesce(flow, '') end) stored,
  schedule   text,
  labels     text[] not null default '{}',
  run        text,
  -- How to deliver it, as the crate `work` wrote it down.
  settings   jsonb not null,
  body       bytea not null,
  -- Deliveries that were begun, and those that failed.
  attempt    integer not null default 0,
  retried    integer not null default 0,
  worker     bigint,
  created_at timestamptz not null default clock_timestamp(),
  dead_id    text collate "C" unique,
  dead_at    timestamptz,
  response   jsonb,
  check ((state = 'r') = (worker is not null)),
  check ((state = 'd') = (dead_id is not null))
);
comment on table plinth.message is 'Messages that are not delivered';
create index message_due_idx on plinth.message (due_at, place) where state = 'q' and lane is null;
create index message_lane_idx on plinth.message (lane, due_at, place) where state = 'q' and lane is not null;
create index message_queue_idx on plinth.message (queue, due_at, place) where queue is not null and attempt > 0 and state in ('q', 'r');
create index message_holds_idx on plinth.message (holds) where holds is not null and state in ('q', 'r');
create index message_flow_idx on plinth.message (flow) where flow is not null and state = 'r';
create index message_worker_idx on plinth.message (worker) where state = 'r';
create index message_run_idx on plinth.message (run) where run is not null;
create index message_dead_idx on plinth.message (dead_at, place) where state = 'd';

-- What a publisher may not send twice.
create table plinth.message_seen (
  key     text not null primary key,
  message text not null,
  until   timestamptz not null
);
create index message_seen_until_idx on plinth.message_seen (until);

create table plinth.message_event (
  id       bigint generated always as identity primary key,
  at       timestamptz not null default clock_timestamp(),
  message  text not null,
  state    text not null,
  url      text not null,
  topic    text,
  endpoint text,
  queue    text,
  flow     text,
  schedule text,
  labels   text[] not null,
  run      text,
  error    text,
  next_at  timestamptz
);
comment on table plinth.message_event is 'What happened to messages, for a week';
create index message_event_message_idx on plinth.message_event (message);
create index message_event_at_idx on plinth.message_event (at);

-- ------------------------------------------------------------------ where they go, and how fast

create table plinth.message_queue (
  name        text not null primary key,
  parallelism integer not null default 1 check (parallelism > 0),
  paused      boolean not null default false,
  created_at  timestamptz not null default clock_timestamp(),
  updated_at  timestamptz not null default clock_timestamp()
);

create table plinth.message_flow (
  key                text not null primary key,
  -- 0: no such limit.
  parallelism        integer not null default 0,
  rate               integer not null default 0,
  period_s           integer not null default 1 check (period_s > 0),
  pinned_parallelism boolean not null default false,
  pinned_rate        boolean not null default false,
  paused             boolean not null default false,
  window_start       timestamptz not null default '-infinity',
  window_count       integer not null default 0
);

create table plinth.url_group (
  name       text not null primary key,
  -- [{name, url}]
  endpoints  jsonb not null default '[]',
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);

create table plinth.message_schedule (
  id          text not null primary key,
  cron        text not null,
  destination text not null,
  -- What to publish at each tick.
  item        jsonb not null,
  paused      boolean not null default false,
  next_at     timestamptz not null,
  last_at     timestamptz,
  last        jsonb,
  created_at  timestamptz not null default clock_timestamp()
);
create index message_schedule_next_idx on plinth.message_schedule (next_at) where not paused;

-- One row: which of the project's signing keys is the current one, and where the last turn across lanes ended.
create table plinth.message_state (
  one     boolean not null default true primary key check (one),
  signing integer not null default 0,
  lane    text collate "C" not null default ''
);
insert into plinth.message_state default values;

-- ------------------------------------------------------------------ workflow runs

create table plinth.run (
  id         text not null primary key,
  url        text not null,
  state      text not null default 'RUN_STARTED' check (state in ('RUN_STARTED', 'RUN_SUCCESS', 'RUN_FAILED', 'RUN_CANCELED')),
  -- How each of its steps is delivered.
  settings   jsonb not null,
  flow       text,
  labels     text[] not null,
  body       bytea not null,
  -- The message that began it.
  message    text not null,
  -- The run that waits for its end, and the step there.
  parent     text,
  step       jsonb,
  result     text,
  dead_id    text,
  -- What came of telling its owner that it failed: {messageId, url, state, responseStatus, responseHeaders, responseBody}.
  failure    jsonb,
  created_at timestamptz not null default clock_timestamp(),
  ended_at   timestamptz
);
comment on table plinth.run is 'Workflow runs, ended ones for a week';
create index run_created_idx on plinth.run (created_at, id);
create index run_ended_idx on plinth.run (ended_at) where ended_at is not null;

-- What the endpoint is told, in this order. A step is here from its first delivery on, and stays where it is.
create table plinth.run_step (
  run     text not null,
  place   bigint not null generated always as identity,
  message text not null,
  body    bytea not null,
  at      timestamptz not null default clock_timestamp(),
  primary key (run, message)
);
create index run_step_place_idx on plinth.run_step (run, place);

-- Who waits for an event: a message that is delivered when its time is over, or earlier with the event's data.
create table plinth.run_waiter (
  message text not null primary key,
  event   text not null,
  run     text not null,
  step    jsonb not null,
  request jsonb not null
);
create index run_waiter_event_idx on plinth.run_waiter (event, run);
create index run_waiter_run_idx on plinth.run_waiter (run);

-- Events that came before the run waited for them.
create table plinth.run_notice (
  run   text not null,
  event text not null,
  data  text not null,
  at    timestamptz not null default clock_timestamp(),
  primary key (run, event)
);

-- ------------------------------------------------------------------ small things

create function plinth.message_base64(bytes bytea) returns text
language sql immutable strict parallel safe
set search_path = ''
as $$ select pg_catalog.translate(pg_catalog.encode(bytes, 'base64'), E'\n', '') $$;

create function plinth.message_ms(at timestamptz) returns bigint
language sql immutable strict parallel safe
set search_path = ''
as $$ select pg_catalog.floor(extract(epoch from at) * 1000)::bigint $$;

create function plinth.message_id(prefix text) returns text
language sql volatile
set search_path = ''
as $$ select prefix || pg_catalog.replace(pg_catalog.gen_random_uuid()::text, '-', '') $$;

create function plinth.message_log(about plinth.message, became text, why text, next timestamptz) returns void
language sql
set search_path = ''
as $$
  insert into plinth.message_event (message, state, url, topic, endpoint, queue, flow, schedule, labels, run, error, next_at)
  values (about.id, became, about.url, about.topic, about.endpoint, about.queue, about.flow, about.schedule, about.labels,
    about.run, pg_catalog.left(why, 2000), next)
$$;

-- ------------------------------------------------------------------ publishing

-- Gives a flow the limits that a publisher says, unless they are pinned.
create function plinth.set_flow(of_key text, given jsonb) returns void
language sql
set search_path = ''
as $$
  insert into plinth.message_flow as known (key, parallelism, rate, period_s)
  values (of_key, (given -> 'parallelism')::integer, (given -> 'rate')::integer, (given -> 'period')::integer)
  on conflict (key) do update set
    parallelism = case when known.pinned_parallelism then known.parallelism else excluded.parallelism end,
    rate = case when known.pinned_rate then known.rate else excluded.rate end,
    period_s = case when known.pinned_rate then known.period_s else excluded.period_s end
  where not known.pinned_parallelism and known.parallelism <> excluded.parallelism
    or not known.pinned_rate and (known.rate, known.period_s) <> (excluded.rate, excluded.period_s)
$$;

-- Publishes one item to one address, and says what its publisher is told. Null when a run that it is for has ended and the
-- item may be late. SQLSTATE PLM00: the run is not active; PLM12: a step cannot be appended.
create function plinth.publish_message(item jsonb, to_url text, to_topic text, to_endpoint text) returns jsonb
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
    -- Against an end of the run that comes at the same time.
    select * into of_run from plinth.run where id = made.run for share;
    if not found or of_run.state <> 'RUN_STARTED' then
      if (item ->> 'late')::boolean then
        return null;
      end if;
      raise exception 'workflow run % is not active', made.run using errcode = 'PLM00';
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
    (id, kind, due_at, url, topic, endpoint, queue, holds, flow, schedule, labels, run, settings, body, created_at)
  values (made.id, made.kind, made.due_at, made.url, made.topic, made.endpoint, made.queue, made.holds, made.flow,
    made.schedule, made.labels, made.run, made.settings, made.body, made.created_at);
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

-- Publishes items, all or none; the answer to an item for a group is a list. SQLSTATE PLM04: there is no such group.
create function plinth.publish_messages(items jsonb) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  item    jsonb;
  place   jsonb;
  members jsonb;
  answers jsonb := '[]';
  several jsonb;
begin
  for item in select pg_catalog.jsonb_array_elements(items) loop
    if item ? 'topic' then
      select endpoints into members from plinth.url_group where name = item ->> 'topic';
      if not found or members = '[]' then
        raise exception 'url group % not found', item ->> 'topic' using errcode = 'PLM04';
      end if;
      several := '[]';
      for place in select pg_catalog.jsonb_array_elements(members) loop
        several := several || pg_catalog.jsonb_build_array(
          plinth.publish_message(item, place ->> 'url', item ->> 'topic', place ->> 'name'));
      end loop;
      answers := answers || pg_catalog.jsonb_build_array(several);
    else
      answers := answers || pg_catalog.jsonb_build_array(plinth.publish_message(item, item ->> 'url', null, null));
    end if;
  end loop;
  return answers;
end
$$;

-- ------------------------------------------------------------------ taking

-- Hands a locked, queued message to a worker; null when it cannot be begun. A step takes its place among those of its run,
-- one after the other, so that of two that come at the same time the later one's list has both.
create function plinth.begin_message(about plinth.message, taker bigint) returns plinth.message
language plpgsql
set search_path = ''
as $$
declare
  begun     plinth.message;
  run_state text;
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
      insert into plinth.run_step (run, message, body) values (about.run, about.id, about.body) on conflict do nothing;
      delete from plinth.run_waiter where message = about.id;
    end if;
  end if;
  update plinth.message set state = 'r', attempt = attempt + 1, worker = taker where id = about.id returning * into begun;
  perform plinth.message_log(begun, 'ACTIVE', null, null);
  return begun;
end
$$;

-- Takes up to `most` messages that are due. A queue's message holds its place until it and its callbacks are delivered or
-- dead; a flow's while it is under way. Lanes take turns, at most two hundred of them in one call.
create function plinth.take_messages(taker bigint, most integer) returns setof plinth.message
language plpgsql
set search_path = ''
as $$
declare
  found_message plinth.message;
  begun       plinth.message;
  of_queue    plinth.message_queue;
  of_flow     plinth.message_flow;
  head        record;
  first_lane  text;
  last_lane   text;
  wrapped     boolean := false;
  room        integer;
  queue_room  integer;
  taken       integer := 0;
  now_at      timestamptz := pg_catalog.clock_timestamp();
begin
  for found_message in
    select * from plinth.message where state = 'q' and lane is null and due_at <= now_at
    order by due_at, place limit most for update skip locked
  loop
    begun := plinth.begin_message(found_message, taker);
    if begun.id is not null then
      taken := taken + 1;
      return next begun;
    end if;
  end loop;

  -- Counting and taking of two takers must not interleave. Who comes second finds nothing this time.
  if not exists (select from plinth.message where state = 'q' and lane is not null)
    or not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtext('plinth.take_messages')) then
    return;
  end if;
  select lane into first_lane from plinth.message_state;
  last_lane := first_lane;

  for turn in 1..200 loop
    exit when taken >= most;
    select lane, queue, flow into head from plinth.message
    where state = 'q' and lane is not null and lane > last_lane order by lane limit 1;
    if not found then
      exit when wrapped;
      wrapped := true;
      last_lane := '';
      continue;
    end if;
    exit when wrapped and head.lane > first_lane;
    last_lane := head.lane;
    room := most - taken;
    queue_room := room;

    if head.queue is not null then
      select * into of_queue from plinth.message_queue where name = head.queue;
      continue when of_queue.paused;
      queue_room := coalesce(of_queue.parallelism, 1) - (
        select pg_catalog.count(*) from plinth.message where queue = head.queue and attempt > 0 and state in ('q', 'r')) - (
        select pg_catalog.count(*) from plinth.message where holds = head.queue and state in ('q', 'r'));
    end if;
    if head.flow is not null then
      select * into of_flow from plinth.message_flow where key = head.flow for update;
      if found then
        continue when of_flow.paused;
        if of_flow.parallelism > 0 then
          room := least(room, of_flow.parallelism - (
            select pg_catalog.count(*) from plinth.message where flow = head.flow and state = 'r'));
        end if;
        if of_flow.rate > 0 then
          if of_flow.window_start + of_flow.period_s * interval '1 second' <= now_at then
            update plinth.message_flow set window_start = now_at, window_count = 0 where key = head.flow;
            of_flow.window_count := 0;
          end if;
          room := least(room, of_flow.rate - of_flow.window_count);
        end if;
      end if;
    end if;
    continue when room <= 0;

    for found_message in
      select * from (
        select * from plinth.message
        where head.queue is not null and queue = head.queue and attempt > 0 and state = 'q' and lane = head.lane and due_at <= now_at
        order by due_at, place limit room for update skip locked) as again
      union all
      select * from (
        select * from plinth.message
        where state = 'q' and lane = head.lane and due_at <= now_at and (head.queue is null or attempt = 0)
        order by due_at, place limit greatest(0, least(room, queue_room)) for update skip locked) as fresh
    loop
      exit when room <= 0;
      begun := plinth.begin_message(found_message, taker);
      continue when begun.id is null;
      room := room - 1;
      taken := taken + 1;
      if head.flow is not null then
        update plinth.message_flow set window_count = window_count + 1 where key = head.flow and rate > 0;
      end if;
      return next begun;
    end loop;
  end loop;
  update plinth.message_state set lane = last_lane where lane <> last_lane;
end
$$;

-- Queues the messages of workers that are gone. Those whose lease is over are ended first, and then their messages are queued:
-- of a worker that nobody has any messages of, nothing is left either.
create function plinth.reclaim_messages() returns bigint
language sql
set search_path = ''
as $$
  with lost as (
    update plinth.message set state = 'q', worker = null
    where id in (
      select id from plinth.message
      where state = 'r' and not exists (
        select from plinth.worker where worker.id = message.worker and worker.alive_until > '-infinity')
      for update skip locked)
    returning id)
  select pg_catalog.count(*) from lost
$$;

-- What the endpoint is told of a run, up to one message.
create function plinth.run_list(of_run text, up_to text) returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
    'messageId', message, 'body', plinth.message_base64(body), 'callType', 'step') order by place), '[]')
  from plinth.run_step
  where run = of_run and (up_to is null or place <= (select place from plinth.run_step where run = of_run and message = up_to))
$$;

-- All that a worker must know to deliver a message. Volatile: it looks at the steps that the same statement has just put in
-- their place.
create function plinth.message_work(about plinth.message) returns jsonb
language sql volatile
set search_path = ''
as $$
  select pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
    'id', about.id, 'kind', about.kind, 'attempt', about.attempt, 'retried', about.retried, 'url', about.url,
    'topic', about.topic, 'endpoint', about.endpoint, 'queue', about.queue, 'schedule', about.schedule,
    'labels', about.labels, 'run', about.run, 'settings', about.settings,
    'body', plinth.message_base64(about.body), 'created', plinth.message_ms(about.created_at),
    'due', plinth.message_ms(about.due_at),
    'runCreated', (select plinth.message_ms(created_at) from plinth.run where id = about.run),
    'runUrl', (select url from plinth.run where id = about.run),
    'payload', case when about.kind in ('s', 'b') then (select plinth.message_base64(body) from plinth.run where id = about.run) end,
    'list', case when about.kind = 's' then plinth.run_list(about.run, about.id) end))
$$;

-- ------------------------------------------------------------------ ends

-- Ends a run that has not ended, and tells the one that waits for it.
create function plinth.end_run(of_run text, became text, came_to text, dead text) returns boolean
language plpgsql
set search_path = ''
as $$
declare
  ended plinth.run;
begin
  update plinth.run
  set state = became, result = came_to, ended_at = pg_catalog.clock_timestamp(), dead_id = dead
  where id = of_run and (state = 'RUN_STARTED' or state = 'RUN_FAILED' and became = 'RUN_CANCELED')
  returning * into ended;
  if not found then
    return false;
  end if;
  -- What somebody holds at this moment is dealt with by whoever holds it.
  if became = 'RUN_FAILED' then
    update plinth.message set state = 'h' where id in (
      select id from plinth.message where run = of_run and state = 'q' and kind in ('s', 'b', 'c') for update skip locked);
  else
    delete from plinth.message where id in (
      select id from plinth.message where run = of_run and state in ('q', 'h') and kind in ('s', 'b', 'c') for update skip locked);
    delete from plinth.run_waiter where run = of_run;
    delete from plinth.run_notice where run = of_run;
  end if;
  if ended.parent is not null then
    perform plinth.publish_messages(pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object(
      'kind', 's', 'late', true, 'run', ended.parent, 'labels', '[]'::jsonb,
      'url', (select url from plinth.run where id = ended.parent),
      'settings', pg_catalog.jsonb_build_object('header', '{}'::jsonb),
      'body', plinth.message_base64(pg_catalog.convert_to((ended.step || pg_catalog.jsonb_build_object('out',
        pg_catalog.jsonb_build_object('workflowRunId', ended.id, 'body', coalesce(came_to, ''),
          'isFailed', became = 'RUN_FAILED', 'isCanceled', became = 'RUN_CANCELED')::text))::text, 'UTF8')))));
  end if;
  return true;
end
$$;

-- Writes what a delivery came to, and publishes what follows from it. Fails when the message is not this worker's any more.
-- `outcome`: {state: done | retry | dead, delay: seconds, error, response, deadId, items}.
create function plinth.finish_message(of_message text, of_attempt integer, of_worker bigint, outcome jsonb) returns void
language plpgsql
set search_path = ''
as $$
declare
  about     plinth.message;
  became    text := outcome ->> 'state';
  why       text := outcome ->> 'error';
  again_at  timestamptz;
  run_state text;
begin
  select * into about from plinth.message
  where id = of_message and attempt = of_attempt and worker = of_worker and state = 'r' for update;
  if not found then
    raise exception 'the message is not this worker''s any more' using errcode = 'PLF01';
  end if;
  if about.kind in ('s', 'b', 'c') then
    select state into run_state from plinth.run where id = about.run for update;
    if run_state = 'RUN_FAILED' and about.kind <> 'c' then
      update plinth.message set state = 'h', worker = null where id = about.id;
      return;
    elsif run_state is distinct from 'RUN_STARTED' and became <> 'done' then
      delete from plinth.message where id = about.id;
      return;
    end if;
  end if;

  if became = 'done' then
    delete from plinth.message where id = about.id;
    perform plinth.message_log(about, 'DELIVERED', null, null);
  elsif became = 'retry' then
    again_at := pg_catalog.clock_timestamp() + (outcome ->> 'delay')::double precision * interval '1 second';
    update plinth.message set state = 'q', worker = null, retried = retried + 1, due_at = again_at, response = outcome -> 'response'
    where id = about.id;
    perform plinth.message_log(about, 'ERROR', why, null);
    perform plinth.message_log(about, 'RETRY', null, again_at);
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
  perform plinth.publish_messages(coalesce(outcome -> 'items', '[]'));
end
$$;

-- Tells runs of an event: those that wait for it, or the one that is named, now or when it waits.
create function plinth.notify_runs(of_event text, of_run text, given text) returns jsonb
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
    update plinth.message
    set due_at = pg_catalog.clock_timestamp(), body = pg_catalog.convert_to((waiter.step || pg_catalog.jsonb_build_object(
      'waitEventId', of_event, 'out', given, 'waitTimeout', false))::text, 'UTF8')
    where id = waiter.message and state = 'q' and attempt = 0;
    continue when not found;
    delete from plinth.run_waiter where message = waiter.message;
    answers := answers || pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object(
      'waiter', waiter.request, 'messageId', waiter.message, 'deduplicated', false, 'error', '', 'workflowRunId', waiter.run,
      'workflowCreatedAt', (select plinth.message_ms(created_at) from plinth.run where id = waiter.run)));
  end loop;
  if answers = '[]' and of_run is not null then
    insert into plinth.run_notice (run, event, data)
    select id, of_event, given from plinth.run where id = of_run and state = 'RUN_STARTED'
    on conflict (run, event) do update set data = excluded.data;
  end if;
  return answers;
end
$$;

-- Publishes a schedule's message for its tick `due` unless another instance did, and says whether it did.
create function plinth.tick_message(of_schedule text, due timestamptz, following timestamptz) returns boolean
language plpgsql
set search_path = ''
as $$
declare
  given jsonb;
  answers jsonb;
begin
  update plinth.message_schedule set next_at = following, last_at = pg_catalog.clock_timestamp()
  where id = of_schedule and next_at = due and not paused
  returning item into given;
  if not found then
    return false;
  end if;
  answers := plinth.publish_messages(pg_catalog.jsonb_build_array(given));
  if pg_catalog.jsonb_typeof(answers -> 0) = 'array' then
    answers := answers -> 0;
  end if;
  update plinth.message_schedule
  set last = (select pg_catalog.jsonb_object_agg(made ->> 'messageId', 'IN_PROGRESS') from pg_catalog.jsonb_array_elements(answers) as made)
  where id = of_schedule;
  return true;
end
$$;

-- Removes what is old, a part at a time.
create function plinth.rotate_messages(keep interval) returns void
language sql
set search_path = ''
as $$
  delete from plinth.message_event where id in (
    select id from plinth.message_event where at < pg_catalog.now() - keep order by at limit 20000);
  delete from plinth.message_seen where key in (
    select key from plinth.message_seen where until < pg_catalog.now() order by until limit 20000);
  with old as (
    delete from plinth.run where id in (
      select id from plinth.run where ended_at < pg_catalog.now() - keep order by ended_at limit 1000)
    returning id
  ), steps as (
    delete from plinth.run_step using old where run = old.id
  ), waiters as (
    delete from plinth.run_waiter using old where run = old.id
  ), notices as (
    delete from plinth.run_notice using old where run = old.id
  )
  delete from plinth.message using old where run = old.id and state in ('q', 'h', 'd');
$$;

-- ------------------------------------------------------------------ views

-- A body as text, null when it is none.
create function plinth.message_text(bytes bytea) returns text
language plpgsql immutable strict
set search_path = ''
as $$
begin
  return pg_catalog.convert_from(bytes, 'UTF8');
exception when others then
  return null;
end
$$;

-- What came of telling a run's owner that it failed, null when there is no such thing.
create function plinth.run_failure(about plinth.run) returns jsonb
language sql stable
set search_path = ''
as $$
  select about.failure || pg_catalog.jsonb_build_object(
    'state', case
      when exists (select from plinth.message where run = about.id and kind = 'f' and state in ('q', 'r')) then 'CALLBACK_INPROGRESS'
      else coalesce(about.failure ->> 'state', 'CALLBACK_CANCELED') end,
    'responseBody', plinth.message_text(pg_catalog.decode(about.failure ->> 'responseBody', 'base64')))
$$;

-- A message as its publisher may read it.
create function plinth.message_view(about plinth.message) returns jsonb
language sql stable
set search_path = ''
as $$
  select pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
    'messageId', about.id, 'url', about.url, 'topicName', about.topic, 'endpointName', about.endpoint,
    'method', about.settings ->> 'method', 'queueName', about.queue, 'scheduleId', about.schedule,
    'header', case
      when about.settings #>> '{redact,header}' = 'true' then pg_catalog.jsonb_build_object('REDACTED', '[]'::jsonb)
      else (
        select coalesce(pg_catalog.jsonb_object_agg(key, case
          when coalesce(about.settings #> '{redact,headers}', '[]') ? pg_catalog.lower(key) then '["REDACTED"]'::jsonb
          else value end), '{}')
        from pg_catalog.jsonb_each(about.settings -> 'header')) end,
    'body', case when (about.settings #>> '{redact,body}')::boolean then 'REDACTED' else plinth.message_text(about.body) end,
    'bodyBase64', case when not coalesce((about.settings #>> '{redact,body}')::boolean, false) and plinth.message_text(about.body) is null
      then plinth.message_base64(about.body) end,
    'maxRetries', (about.settings ->> 'retries')::integer, 'retryDelayExpression', about.settings ->> 'retryDelay',
    'timeout', (about.settings ->> 'timeout')::double precision,
    'notBefore', plinth.message_ms(about.due_at), 'createdAt', plinth.message_ms(about.created_at),
    'callback', about.settings #>> '{callback,url}', 'failureCallback', about.settings #>> '{failure,url}',
    'callerIP', about.settings ->> 'callerIP', 'label', about.labels[1],
    'labels', case when about.labels <> '{}' then pg_catalog.to_jsonb(about.labels) end,
    'flowControlKey', about.flow, 'parallelism', about.settings #> '{flow,parallelism}',
    'rate', about.settings #> '{flow,rate}', 'period', about.settings #> '{flow,period}',
    'workflowRunId', about.run, 'workflowUrl', (select url from plinth.run where id = about.run),
    'workflowCreatedAt', (select plinth.message_ms(created_at) from plinth.run where id = about.run),
    'dlqId', about.dead_id,
    'failureCallbackInfo', case when about.dead_id is not null then (
      select plinth.run_failure(run) - array['messageId', 'url'] from plinth.run where id = about.run) end,
    'responseStatus', case when about.state = 'd' then about.response -> 'status' end,
    'responseHeader', case when about.state = 'd' then about.response -> 'header' end,
    'responseBody', case when about.state = 'd' then plinth.message_text(pg_catalog.decode(about.response ->> 'body', 'base64')) end,
    'responseBodyBase64', case when about.state = 'd'
      and plinth.message_text(pg_catalog.decode(about.response ->> 'body', 'base64')) is null then about.response ->> 'body' end))
$$;

-- ------------------------------------------------------------------ rights

grant select, insert, update, delete on
  plinth.message, plinth.message_seen, plinth.message_event, plinth.message_queue, plinth.message_flow, plinth.url_group,
  plinth.message_schedule, plinth.message_state, plinth.run, plinth.run_step, plinth.run_waiter, plinth.run_notice to @owner@;

revoke all on function
  plinth.message_base64(bytea), plinth.message_ms(timestamptz), plinth.message_id(text),
  plinth.message_log(plinth.message, text, text, timestamptz), plinth.publish_message(jsonb, text, text, text),
  plinth.publish_messages(jsonb), plinth.begin_message(plinth.message, bigint), plinth.take_messages(bigint, integer),
  plinth.reclaim_messages(), plinth.run_list(text, text), plinth.message_work(plinth.message),
  plinth.end_run(text, text, text, text), plinth.finish_message(text, integer, bigint, jsonb),
  plinth.notify_runs(text, text, text), plinth.tick_message(text, timestamptz, timestamptz),
  plinth.rotate_messages(interval), plinth.message_text(bytea), plinth.message_view(plinth.message),
  plinth.set_flow(text, jsonb), plinth.run_failure(plinth.run) from public;
grant execute on function
  plinth.message_base64(bytea), plinth.message_ms(timestamptz), plinth.message_id(text),
  plinth.message_log(plinth.message, text, text, timestamptz), plinth.publish_message(jsonb, text, text, text),
  plinth.publish_messages(jsonb), plinth.begin_message(plinth.message, bigint), plinth.take_messages(bigint, integer),
  plinth.reclaim_messages(), plinth.run_list(text, text), plinth.message_work(plinth.message),
  plinth.end_run(text, text, text, text), plinth.finish_message(text, integer, bigint, jsonb),
  plinth.notify_runs(text, text, text), plinth.tick_message(text, timestamptz, timestamptz),
  plinth.rotate_messages(interval), plinth.message_text(bytea), plinth.message_view(plinth.message),
  plinth.set_flow(text, jsonb), plinth.run_failure(plinth.run) to @owner@;
