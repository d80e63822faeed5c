-- Why: steps of jobs: events that jobs wait for, jobs that are made by name, and statements whose results are journaled in
-- the transaction that they ran in.
set local search_path = '';

-- Only events with this key wake the step; null: only events without one.
alter table plinth.step add column event_key text;

-- False while the step waits, and until its job has taken note of its end: then `each_step` runs.
alter table plinth.step add column noted boolean not null default true;

-- ------------------------------------------------------------------ jobs by name

-- Makes a job of the binding of that name; null when there is none. A job about a row is made by a function that was generated
-- beside the binding's triggers: with the row's priority, turn and limits. Without a row, the priority is the binding's when
-- that is fixed, or nobody would look for it, and limits by key count it among those whose key is null.
create function plinth.add_job(of_binding text, of_key text, of_input jsonb, of_parent bigint) returns bigint
language plpgsql
set search_path = ''
as $$
declare
  found_binding plinth.binding;
  maker text;
  made  bigint;
begin
  select * into found_binding from plinth.binding where name = of_binding and state <> 'removed';
  if not found then
    return null;
  end if;
  -- The owner may put anything in its place, so whoever has more rights than the owner gives no key.
  if of_key is not null and found_binding.kind = 'row' then
    maker := pg_catalog.format('plinth_bindings.make_%s', found_binding.id);
    if pg_catalog.to_regproc(maker) is not null then
      execute pg_catalog.format('select %s($1, $2, $3)', maker) into made using of_key, of_input, of_parent;
      return made;
    end if;
  end if;
  insert into plinth.job (binding, priority, key, input, parent)
  values (found_binding.id,
    case pg_catalog.jsonb_typeof(found_binding.spec -> 'priority')
      when 'number' then (found_binding.spec ->> 'priority')::smallint else 0 end,
    of_key, of_input, of_parent)
  returning id into made;
  return made;
end
$$;

create function plinth.enqueue(binding text, input jsonb default null) returns bigint
language plpgsql
security definer
set search_path = ''
as $$
declare
  made bigint := plinth.add_job(binding, null, input, null);
begin
  if made is null then
    raise exception 'there is no binding "%"', binding using errcode = 'undefined_object';
  end if;
  return made;
end
$$;
comment on function plinth.enqueue(text, jsonb) is 'Makes a job of a binding, hook or schedule that is about no row; it is there when the transaction commits';

-- ------------------------------------------------------------------ events

-- Gives an event to the steps that wait for it. Jobs are locked before their steps are written, as by those who let a job
-- wait: either they see the event, or they have parked the job before and it is woken here.
create function plinth.notify(event text, data jsonb default null, job bigint default null, key text default null) returns integer
language plpgsql
security definer
set search_path = ''
as $$
#variable_conflict use_variable
declare
  waiting bigint[];
  woken   bigint[];
  reached integer;
begin
  select pg_catalog.array_agg(found.id order by found.id) into waiting from (
    select distinct step.job as id from plinth.step
    where step.event = notify.event and step.state = 'e'
      and (notify.job is null or step.job = notify.job)
      and (step.event_key is not distinct from notify.key or notify.key is null and notify.job is not null)) as found;
  if waiting is null then
    return 0;
  end if;
  perform from plinth.job as held where held.id = any (waiting) order by held.id for update;

  with told as (
    update plinth.step
    set state = 'd', result = coalesce(notify.data, '{}'), event = null, due_at = null, at = pg_catalog.clock_timestamp()
    where step.job = any (waiting) and step.event = notify.event and step.state = 'e'
      and step.due_at > pg_catalog.clock_timestamp()
      and (step.event_key is not distinct from notify.key or notify.key is null and notify.job is not null)
    returning step.job as id
  )
  select pg_catalog.array_agg(told.id), pg_catalog.count(*) into woken, reached from told;
  update plinth.job as parked set due_at = pg_catalog.clock_timestamp()
  where parked.id = any (woken) and parked.state = 'w';
  return reached;
end
$$;
comment on function plinth.notify(text, jsonb, bigint, text) is
  'Gives an event to the steps that wait for it: those with this key, or, with a job, those of that job; says how many';

-- ------------------------------------------------------------------ statements that are steps

-- Runs a statement as a step of a job and journals its result: both or neither. A step that is there does not run again.
--
-- `given` are the values of $1, $2 … as text, at most 15. One column is one value, the first row's; several columns are a
-- list of objects, one for each row; without a row it is null. `afterwards` runs with the entry in the journal, as the role
-- `after_role`: a list of {sql, params, step}, where `step` says which parameter the entry itself is. Both see the session's
-- search path, which is `session_path`; nothing here does.
create function plinth.run_step(
  of_job bigint, of_attempt integer, of_worker bigint, step_name text, step_index integer,
  as_role text, statement text, given text[], after_role text, afterwards jsonb,
  session_path text)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  own_role constant text := pg_catalog.current_setting('role');
  one_row  record;
  many     jsonb[] := '{}';
  outcome  jsonb;
  follower jsonb;
  params   text[];
begin
  perform from plinth.job
  where id = of_job and attempt = of_attempt and worker = of_worker and state = 'r' and not cancelled for update;
  perform plinth.fence(found);
  select result into outcome from plinth.step where job = of_job and name = step_name and state = 'd';
  if found then
    return outcome;
  end if;

  perform pg_catalog.set_config('role', coalesce(as_role, own_role), true), pg_catalog.set_config('search_path', session_path, true);
  begin
    for one_row in execute statement using given[1], given[2], given[3], given[4], given[5], given[6], given[7], given[8],
      given[9], given[10], given[11], given[12], given[13], given[14], given[15]
    loop
      many := pg_catalog.array_append(many, pg_catalog.to_jsonb(one_row));
      if pg_catalog.cardinality(many) operator(pg_catalog.>) 10000 then
        raise exception 'a step gives at most 10000 rows' using errcode = 'program_limit_exceeded';
      end if;
    end loop;
  exception when invalid_cursor_definition then
    -- It gives no rows.
    many := '{}';
    execute statement using given[1], given[2], given[3], given[4], given[5], given[6], given[7], given[8],
      given[9], given[10], given[11], given[12], given[13], given[14], given[15];
  end;
  perform pg_catalog.set_config('role', own_role, true), pg_catalog.set_config('search_path', '', true);

  if pg_catalog.cardinality(many) > 0 then
    if (select pg_catalog.count(*) from pg_catalog.jsonb_object_keys(many[1])) = 1 then
      select value into outcome from pg_catalog.jsonb_each(many[1]);
    else
      outcome := pg_catalog.to_jsonb(many);
    end if;
  end if;
  outcome := coalesce(outcome, 'null');
  insert into plinth.step (job, name, state, result) values (of_job, step_name, 'd', outcome);

  if pg_catalog.jsonb_array_length(afterwards) > 0 then
    perform pg_catalog.set_config('role', coalesce(after_role, own_role), true), pg_catalog.set_config('search_path', session_path, true);
    for follower in select value from pg_catalog.jsonb_array_elements(afterwards) loop
      params := array(select value from pg_catalog.jsonb_array_elements_text(follower operator(pg_catalog.->) 'params') with ordinality order by ordinality);
      if follower operator(pg_catalog.->) 'step' operator(pg_catalog.<>) 'null' then
        params[(follower operator(pg_catalog.->>) 'step')::integer] :=
          pg_catalog.jsonb_build_object('name', step_name, 'index', step_index, 'out', outcome)::text;
      end if;
      execute follower operator(pg_catalog.->>) 'sql' using params[1], params[2], params[3], params[4], params[5], params[6], params[7], params[8],
        params[9], params[10], params[11], params[12], params[13], params[14], params[15];
    end loop;
    perform pg_catalog.set_config('role', own_role, true), pg_catalog.set_config('search_path', '', true);
  end if;
  return outcome;
end
$$;

-- ------------------------------------------------------------------ rights

revoke all on function plinth.add_job(text, text, jsonb, bigint), plinth.enqueue(text, jsonb),
  plinth.notify(text, jsonb, bigint, text),
  plinth.run_step(bigint, integer, bigint, text, integer, text, text, text[], text, jsonb, text) from public;
grant execute on function plinth.add_job(text, text, jsonb, bigint),
  plinth.run_step(bigint, integer, bigint, text, integer, text, text, text[], text, jsonb, text) to @owner@;
grant execute on function plinth.enqueue(text, jsonb), plinth.notify(text, jsonb, bigint, text) to @owner@, service_role;
