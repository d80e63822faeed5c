-- Why: private channels are authorised by policies on realtime.messages, and SQL sends messages by inserting into it.
set local search_path = '';

-- ------------------------------------------------------------------ messages

create table realtime.messages (
  topic          text not null,
  extension      text not null,
  payload        jsonb,
  event          text,
  private        boolean default false,
  updated_at     timestamp not null default (now() at time zone 'utc'),
  inserted_at    timestamp not null default (now() at time zone 'utc'),
  id             uuid not null default gen_random_uuid(),
  binary_payload bytea,
  primary key (id, inserted_at)
) partition by range (inserted_at);
comment on table realtime.messages is 'Broadcasts on their way and for replay; its policies authorise private channels';
comment on column realtime.messages.extension is 'broadcast or presence';

alter table realtime.messages owner to supabase_realtime_admin;
alter table realtime.messages enable row level security;
create index messages_replay_idx on realtime.messages (topic, inserted_at desc) where private and extension = 'broadcast';

grant select, insert, update on realtime.messages to anon, authenticated, service_role;
grant all on realtime.messages to @owner@ with grant option;

-- Messages of days that nobody made a partition for must not be refused.
create table realtime.messages_default partition of realtime.messages default;
alter table realtime.messages_default owner to supabase_realtime_admin;
alter table realtime.messages_default enable row level security;

-- Makes the partitions of today and of the days ahead, and drops those that ended before `keep` ago.
create function realtime.make_partitions(days_ahead integer default 3, keep interval default '72 hours')
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  today constant date := (pg_catalog.now() at time zone 'utc')::date;
  day   date;
  part  text;
  stale record;
begin
  -- Two instances may come at once; the second finds nothing left to do.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('realtime.make_partitions', 0));
  for day in select today + ahead from pg_catalog.generate_series(0, days_ahead) as ahead loop
    part := 'messages_' || pg_catalog.to_char(day, 'YYYY_MM_DD');
    continue when pg_catalog.to_regclass('realtime.' || part) is not null;
    execute pg_catalog.format('create table realtime.%I (like realtime.messages including defaults including constraints)', part);
    execute pg_catalog.format('alter table realtime.%I enable row level security', part);
    execute pg_catalog.format(
      'with moved as (delete from realtime.messages_default where inserted_at >= %1$L and inserted_at < %2$L returning *)
       insert into realtime.%3$I select * from moved', day, day + 1, part);
    execute pg_catalog.format('alter table realtime.messages attach partition realtime.%I for values from (%L) to (%L)', part, day, day + 1);
  end loop;

  for stale in
    select child.relname as name
    from pg_catalog.pg_inherits as link
    join pg_catalog.pg_class as child on child.oid = link.inhrelid
    where link.inhparent = 'realtime.messages'::pg_catalog.regclass
      and child.relname ~ '^messages_\d{4}_\d\d_\d\d$'
      and pg_catalog.to_date(pg_catalog.right(child.relname, 10), 'YYYY_MM_DD') + 1 <= (pg_catalog.now() at time zone 'utc') - keep
  loop
    execute pg_catalog.format('drop table realtime.%I', stale.name);
  end loop;
  delete from realtime.messages_default where inserted_at < (pg_catalog.now() at time zone 'utc') - keep;
end
$$;
-- It works with the rights of the tables' owner, never a superuser's: moving a row fires the project's own triggers.
grant create on schema realtime to supabase_realtime_admin;
alter function realtime.make_partitions(integer, interval) owner to supabase_realtime_admin;
revoke all on function realtime.make_partitions(integer, interval) from public;
select realtime.make_partitions();

-- ------------------------------------------------------------------ for policies

create function realtime.topic() returns text
language sql stable parallel safe
return nullif(pg_catalog.current_setting('realtime.topic', true), '');
comment on function realtime.topic() is 'The channel whose policies are being asked, without the prefix realtime:';

-- ------------------------------------------------------------------ sending from SQL

-- A message that cannot be sent must not undo the work that it tells about, so failures are warnings.
create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
language plpgsql
set search_path = ''
as $$
declare
  message_id uuid := pg_catalog.gen_random_uuid();
begin
  perform pg_catalog.set_config('realtime.topic', topic, true);
  insert into realtime.messages (id, topic, extension, event, payload, private)
  values (message_id, topic, 'broadcast', event,
    case when payload ? 'id' then payload else payload || pg_catalog.jsonb_build_object('id', message_id) end, private);
exception when others then
  raise warning 'ErrorSendingBroadcastMessage: %', sqlerrm;
end
$$;

create function realtime.send_binary(payload bytea, event text, topic text, private boolean default true) returns void
language plpgsql
set search_path = ''
as $$
begin
  perform pg_catalog.set_config('realtime.topic', topic, true);
  insert into realtime.messages (topic, extension, event, binary_payload, private)
  values (topic, 'broadcast', event, payload, private);
exception when others then
  raise warning 'ErrorSendingBroadcastMessage: %', sqlerrm;
end
$$;

-- For triggers: select realtime.broadcast_changes(topic, tg_op, tg_op, tg_table_name, tg_table_schema, new, old).
create function realtime.broadcast_changes(
  topic_name text, event_name text, operation text, table_name text, table_schema text,
  new record, old record, level text default 'ROW')
returns void
language plpgsql
set search_path = ''
as $$
begin
  if level = 'STATEMENT' then
    raise exception 'function can only be triggered for each row, not for each statement';
  end if;
  if operation not in ('INSERT', 'UPDATE', 'DELETE') then
    raise exception 'operation % not supported', operation;
  end if;
  perform realtime.send(
    pg_catalog.jsonb_build_object(
      'schema', table_schema, 'table', table_name, 'operation', operation,
      'record', case when operation <> 'DELETE' then pg_catalog.to_jsonb(new) end,
      'old_record', case when operation <> 'INSERT' then pg_catalog.to_jsonb(old) end),
    event_name, topic_name);
end
$$;

-- ------------------------------------------------------------------ publications

-- People add their tables, or drop it and make it anew, so it is theirs.
create publication supabase_realtime;
alter publication supabase_realtime owner to @owner@;

create publication supabase_realtime_messages_publication for table realtime.messages
  with (publish = 'insert', publish_via_partition_root = true);
