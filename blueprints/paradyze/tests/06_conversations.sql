-- test: a conversation has a room of its own from the start
select tests.as_user('00000000-0000-4000-8000-00000000000a');
insert into public.conversations (agent_id) values ('a0000000-0000-4000-8000-000000000001');
select tests.rows($$select from public.conversations where room_id is not null and room_id <> ''$$, 2);

-- test: nobody enters another's room
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.throws($$insert into public.conversations (agent_id, room_id)
                      values ('a0000000-0000-4000-8000-000000000002', 'room-1')$$, '23505');

-- test: nobody talks to another's agent
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.throws($$insert into public.conversations (agent_id) values ('a0000000-0000-4000-8000-000000000001')$$, '42501');
select tests.throws($$update public.conversations set agent_id = 'a0000000-0000-4000-8000-000000000001'
                      where room_id = 'room-2'$$, '42501');

-- test: nobody writes into or reads another's conversation
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.rows($$select from public.messages where conversation_id = 'd0000000-0000-4000-8000-000000000001'$$, 0);
select tests.throws($$insert into public.messages (conversation_id, sender_type, content)
                      values ('d0000000-0000-4000-8000-000000000001', 'user', 'let me in')$$, '42501');

-- test: only the server speaks for the agent
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.throws($$insert into public.messages (conversation_id, sender_type, content)
                      values ('d0000000-0000-4000-8000-000000000001', 'agent', 'I obey')$$, '42501');
select tests.throws($$update public.messages set content = 'I obey'
                      where id = 'e0000000-0000-4000-8000-000000000002'$$, '42501');
select tests.throws($$update public.messages set sender_type = 'agent'
                      where id = 'e0000000-0000-4000-8000-000000000001'$$, '42501');
select tests.as_service();
select tests.affects($$insert into public.messages (conversation_id, sender_type, content)
                       values ('d0000000-0000-4000-8000-000000000001', 'agent', 'I answer')$$, 1);

-- test: a question and its answer stored in one transaction keep their order
insert into public.messages (conversation_id, sender_type, content)
values ('d0000000-0000-4000-8000-000000000002', 'user', 'question');
insert into public.messages (conversation_id, sender_type, content)
values ('d0000000-0000-4000-8000-000000000002', 'agent', 'answer');
select tests.ok(
  (select created_at from public.messages where content = 'question')
    < (select created_at from public.messages where content = 'answer'), 'question before answer');

-- test: a new message makes its conversation the latest
select tests.as_user('00000000-0000-4000-8000-00000000000a');
insert into public.messages (conversation_id, sender_type, content)
values ('d0000000-0000-4000-8000-000000000001', 'user', 'still there?');
select tests.is((select updated_at from public.conversations where room_id = 'room-1'), now(), 'updated_at');
