-- The document's query.

-- test: a conversation comes with its messages, oldest first
insert into messages (conversation_id, role, content, created_at)
values ('50000000-0000-4000-8000-00000000000a', 'user', 'Zeroth', now() - interval '1 hour');
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.is(get_conversation_messages('50000000-0000-4000-8000-00000000000a') ->> 'title', 'Private talk', 'title');
select tests.is(
  (select string_agg(m ->> 'content', ',')
   from jsonb_array_elements(get_conversation_messages('50000000-0000-4000-8000-00000000000a') -> 'messages') m),
  'Zeroth,First,Second', 'messages');

-- test: an empty conversation has an empty list
insert into conversations (id, user_id) values ('50000000-0000-4000-8000-0000000000c1', '00000000-0000-4000-8000-00000000000a');
select tests.is(get_conversation_messages('50000000-0000-4000-8000-0000000000c1') -> 'messages', '[]'::jsonb, 'messages');

-- test: nobody else gets it
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.is(get_conversation_messages('50000000-0000-4000-8000-00000000000a'), null::jsonb, 'as other');
select tests.as_anon();
select tests.throws('select get_conversation_messages(''50000000-0000-4000-8000-00000000000a'')', '42501');
