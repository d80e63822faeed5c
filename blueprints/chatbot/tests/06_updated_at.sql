-- updated_at moves. (now() is the transaction's, so rows are first made old.)

-- test: updated_at moves on every table that has it
create temporary table moved on commit drop as select relname::text as name from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attname = 'updated_at';
select tests.is((select count(*) from moved), 8, 'tables with updated_at');
do $$
declare
  name text;
  change text;
begin
  for name in select m.name from moved m loop
    change := case name when 'users' then 'name = ''x''' when 'subscriptions' then 'stripe_price_id = ''x'''
                        when 'workflows' then 'goal = ''x''' when 'agent_tools' then 'description = ''x'''
                        when 'conversations' then 'title = ''x''' when 'artifacts' then 'content = ''x'''
                        else 'name = ''x''' end;
    execute format('alter table %I disable trigger set_updated_at', name);
    execute format('update %I set updated_at = ''2020-01-01''', name);
    execute format('alter table %I enable trigger set_updated_at', name);
    execute format('update %I set %s', name, change);
    perform tests.rows(format('select from %I where updated_at <> now()', name), 0);
  end loop;
end $$;

-- test: a user cannot set updated_at back
select tests.as_user('00000000-0000-4000-8000-00000000000a');
update conversations set title = 'x', updated_at = '2020-01-01';
select tests.rows('select from conversations where updated_at = now()', 1);

-- test: taking a turn on the agent limit does not touch the subscription's updated_at
alter table subscriptions disable trigger set_updated_at;
update subscriptions set updated_at = '2020-01-01';
alter table subscriptions enable trigger set_updated_at;
insert into agent_instances (user_id, definition_id, name)
values ('00000000-0000-4000-8000-00000000000a', '30000000-0000-4000-8000-00000000000a', 'second');
select tests.rows('select from subscriptions where updated_at <> ''2020-01-01''', 0);
