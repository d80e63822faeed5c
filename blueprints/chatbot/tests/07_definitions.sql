-- Instances of other users' definitions.

-- test: an instance is made of an own or a public definition
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.throws($$insert into agent_instances (user_id, definition_id, name)
  values ('00000000-0000-4000-8000-00000000000b', '30000000-0000-4000-8000-00000000000a', 'n')$$, '23503');
select tests.affects($$insert into agent_instances (user_id, definition_id, name)
  values ('00000000-0000-4000-8000-00000000000b', '30000000-0000-4000-8000-00000000000b', 'n')$$, 1);
select tests.throws($$update agent_instances set definition_id = '30000000-0000-4000-8000-00000000000a'$$, '23503');

-- test: a definition that does not exist and one that is a stranger's secret get the same answer
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.throws($$insert into agent_instances (user_id, definition_id, name)
  values ('00000000-0000-4000-8000-00000000000b', '99999999-0000-4000-8000-000000000000', 'n')$$, '23503', 'does not exist');
select tests.throws($$insert into agent_instances (user_id, definition_id, name)
  values ('00000000-0000-4000-8000-00000000000b', '30000000-0000-4000-8000-00000000000a', 'n')$$, '23503', 'does not exist');

-- test: a definition that is made private does not freeze the instances of others
select tests.as_user('00000000-0000-4000-8000-00000000000b');
insert into agent_instances (user_id, definition_id, name)
values ('00000000-0000-4000-8000-00000000000b', '30000000-0000-4000-8000-00000000000b', 'n');
select tests.as_user('00000000-0000-4000-8000-00000000000a');
update agent_definitions set is_public = false;
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.rows('select from agent_definitions', 0);
select tests.affects('update agent_instances set status = ''paused''', 1);

-- test: deleting a definition leaves other users a copy
insert into agent_instances (user_id, definition_id, name)
values ('00000000-0000-4000-8000-00000000000b', '30000000-0000-4000-8000-00000000000b', 'kept'),
       ('00000000-0000-4000-8000-00000000000a', '30000000-0000-4000-8000-00000000000b', 'gone');
select tests.as_user('00000000-0000-4000-8000-00000000000a');
delete from agent_definitions where name = 'Public';
select tests.as_owner();
select tests.rows('select from agent_instances where name = ''gone''', 0);
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.rows($$select from agent_instances i join agent_definitions d on d.id = i.definition_id
  where i.name = 'kept' and d.user_id = i.user_id and d.system_prompt = 'open prompt' and not d.is_public
    and jsonb_array_length(d.tools) = 2$$, 1);

-- test: deleting an account leaves other users' agents
insert into agent_instances (user_id, definition_id, name)
values ('00000000-0000-4000-8000-00000000000b', '30000000-0000-4000-8000-00000000000b', 'kept');
delete from auth.users where id = '00000000-0000-4000-8000-00000000000a';
select tests.rows('select from agent_instances where name = ''kept''', 1);
select tests.rows('select from agent_definitions where user_id = ''00000000-0000-4000-8000-00000000000b''', 1);
