-- Why: what makes jobs besides rows. Deliveries to webhooks are kept and become jobs once; ticks of cron patterns become
-- jobs once, however many instances look at the clock.
set local search_path = '';

-- ------------------------------------------------------------------ deliveries

create table plinth.event (
  id          bigint generated always as identity primary key,
  binding     integer not null,
  -- The sender's id of the delivery, else the SHA-256 of its body.
  event       text collate "C" not null,
  -- None that carry secrets.
  headers     jsonb not null,
  -- As it came: what its signature is of.
  body        bytea not null,
  received_at timestamptz not null default now(),
  -- The job that it made last.
  job         bigint not null,
  -- This is what makes a repeated delivery change nothing.
  unique (binding, event)
);
comment on table plinth.event is 'Deliveries to webhooks, each once; kept for a time';
create index event_received_at_idx on plinth.event (received_at);

-- ------------------------------------------------------------------ ticks

create table plinth.schedule (
  binding integer primary key,
  -- What `next_at` and `error` were read from: the spec, by its hash, and its pattern and zone.
  spec    text not null,
  pattern text not null,
  -- The first tick without a job; null when there is none. Whoever moves it on makes the jobs, in one statement.
  next_at timestamptz,
  -- The last tick with a job.
  tick_at timestamptz,
  -- Why there are no ticks.
  error   text
) with (fillfactor = 50);
comment on table plinth.schedule is 'How far each schedule has come';
create index schedule_next_at_idx on plinth.schedule (next_at);

-- ------------------------------------------------------------------ schedules of SQL users

-- Keeps a schedule. Of cron no more is checked than that it looks like it: the crate `work` reads it, and says what is
-- wrong in plinth.schedule.error.
create function plinth.put_schedule(schedule_name text, cron text, command text, zone text, as_role text) returns integer
language plpgsql
set search_path = ''
as $$
declare
  pattern text := pg_catalog.array_to_string(pg_catalog.regexp_split_to_array(pg_catalog.btrim(cron, E' \t\n\r'), '\s+'), ' ');
  kept    integer;
begin
  if schedule_name is null or schedule_name !~ '^[a-z][a-z0-9_-]{0,47}$' then
    raise exception 'a schedule''s name has 1 to 48 lower-case letters, digits, `-` and `_`, a letter first'
      using errcode = 'invalid_parameter_value';
  end if;
  if pattern is null or pattern !~ '^([0-9A-Za-z*/,#?-]+ ){4,5}[0-9A-Za-z*/,#?-]+$' then
    raise exception '`%` is no cron pattern', cron
      using errcode = 'invalid_parameter_value', hint = 'five fields, such as `*/5 * * * *`, or six with seconds first';
  end if;
  if command is null or command !~* '^\s*(select|with|insert|update|delete|merge|values)\M' or pg_catalog.length(command) > 65536 then
    raise exception 'what is scheduled is one statement: select, with, insert, update, delete, merge or values'
      using errcode = 'invalid_parameter_value';
  end if;
  -- Fails for a zone that there is not.
  perform pg_catalog.now() at time zone zone;

  insert into plinth.binding as known (name, kind, source, spec)
  values (schedule_name, 'schedule', 'sql', pg_catalog.jsonb_build_object(
    'name', schedule_name, 'cron', pattern, 'timezone', coalesce(zone, 'UTC'), 'jitter_ms', 0, 'catch_up', 'one',
    'action', 'noop', 'role', as_role, 'done', pg_catalog.jsonb_build_array(command), 'timeout_ms', 60000,
    'retry', pg_catalog.jsonb_build_object('attempts', 5, 'first_ms', 5000, 'factor', 2.0, 'max_ms', 3600000, 'jitter', 0.1)))
  on conflict (name) do update set kind = 'schedule', source = 'sql', spec = excluded.spec, state = 'active', changed_at = pg_catalog.now()
  where known.state = 'removed'
    or (known.kind = 'schedule' and known.source = 'sql' and (as_role = 'owner' or known.spec ->> 'role' = as_role))
  returning id into kept;
  if kept is null then
    raise exception 'the name `%` is taken', schedule_name using errcode = 'duplicate_object';
  end if;
  return kept;
end
$$;

-- Ends a schedule, and what it queued. False when there is none.
create function plinth.drop_schedule(schedule_name text, as_role text) returns boolean
language plpgsql
set search_path = ''
as $$
declare
  ended integer;
begin
  update plinth.binding set state = 'removed', changed_at = pg_catalog.now()
  where name = schedule_name and kind = 'schedule' and source = 'sql' and state <> 'removed'
    and (as_role = 'owner' or spec ->> 'role' = as_role)
  returning id into ended;
  if ended is null then
    return false;
  end if;
  delete from plinth.schedule where binding = ended;
  perform plinth.cancel_jobs(array(select id from plinth.job where binding = ended and state in ('q', 'w')), false);
  return true;
end
$$;

-- What service_role may schedule: a function without parameters that it may call, and that is nobody's temporary one. It
-- may not schedule SQL of its own, which would run in a session that can become the owner role, and it changes no
-- schedule that is not its own.
create function plinth.schedule_call(schedule_name text, cron text, command text, zone text) returns integer
language plpgsql
security definer
set search_path = ''
as $$
declare
  called regprocedure := pg_catalog.to_regprocedure(
    case when command ~ '\(\s*\)\s*$' then command else command || '()' end);
  own    text;
begin
  select pg_catalog.format('select %I.%I()', namespace.nspname, proc.proname) into own
  from pg_catalog.pg_proc as proc
  join pg_catalog.pg_namespace as namespace on namespace.oid = proc.pronamespace
  where proc.oid = called and proc.prokind = 'f' and namespace.nspname not in ('pg_catalog', 'information_schema', 'plinth')
    and namespace.nspname !~ '^pg_' and pg_catalog.has_schema_privilege('service_role', namespace.oid, 'usage')
    and pg_catalog.has_function_privilege('service_role', proc.oid, 'execute');
  if own is null then
    raise exception 'service_role can schedule functions without parameters that it may call, not `%`', command
      using errcode = 'insufficient_privilege', hint = 'Name one with its schema, such as `public.tidy_up()`.';
  end if;
  return plinth.put_schedule(schedule_name, cron, own, zone, 'service_role');
end
$$;

create function plinth.unschedule_call(schedule_name text) returns boolean
language sql
security definer
set search_path = ''
as $$ select plinth.drop_schedule(schedule_name, 'service_role') $$;

-- `select plinth.schedule('tidy', '0 3 * * *', 'delete from logs where at < $tick - interval ''30 days''', 'Europe/Berlin')`
-- Runs a statement at each tick, with the rights of the owner role; `$tick` is when it was due. For service_role: calls a
-- function, with its rights.
create function plinth.schedule(name text, cron text, command text, timezone text default 'UTC') returns integer
language plpgsql
set search_path = ''
as $$
begin
  -- Who may write it anyway is the owner role: this runs with the rights of whoever calls it.
  if pg_catalog.has_table_privilege('plinth.binding', 'insert') then
    return plinth.put_schedule(name, cron, command, timezone, 'owner');
  end if;
  return plinth.schedule_call(name, cron, command, timezone);
end
$$;
comment on function plinth.schedule(text, text, text, text) is 'Runs SQL at the times of a cron pattern';

create function plinth.unschedule(name text) returns boolean
language plpgsql
set search_path = ''
as $$
begin
  if pg_catalog.has_table_privilege('plinth.binding', 'insert') then
    return plinth.drop_schedule(name, 'owner');
  end if;
  return plinth.unschedule_call(name);
end
$$;
comment on function plinth.unschedule(text) is 'Ends a schedule that `plinth.schedule` made';

-- ------------------------------------------------------------------ rights

grant select, insert, update, delete on plinth.event, plinth.schedule to @owner@;
revoke all on function plinth.put_schedule(text, text, text, text, text), plinth.drop_schedule(text, text),
  plinth.schedule_call(text, text, text, text), plinth.unschedule_call(text),
  plinth.schedule(text, text, text, text), plinth.unschedule(text) from public;
grant execute on function plinth.put_schedule(text, text, text, text, text), plinth.drop_schedule(text, text),
  plinth.schedule(text, text, text, text), plinth.unschedule(text) to @owner@;
grant execute on function plinth.schedule_call(text, text, text, text), plinth.unschedule_call(text),
  plinth.schedule(text, text, text, text), plinth.unschedule(text) to service_role;
