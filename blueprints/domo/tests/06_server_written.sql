-- What only the server writes.

-- test: an owner cannot take over a conversation or a persona by naming it
select tests.as_user('b0000000-0000-4000-8000-000000000002');
select tests.throws($$ update demos set tavus_conversation_id = 'tavus-ada' $$, '42501');
select tests.throws($$ update demos set tavus_persona_id = 'persona-of-ada' $$, '42501');
select tests.throws($$ insert into demos (name, user_id, tavus_conversation_id)
    values ('Mine now', 'b0000000-0000-4000-8000-000000000002', 'tavus-ada') $$, '42501');
select tests.throws($$ insert into conversations (demo_id, conversation_id, status)
    values ('d0000000-0000-4000-8000-000000000003', 'tavus-next', 'active') $$, '42501');

-- test: an owner saves the whole row as it was read
select tests.as_service();
update demos set tavus_conversation_id = 'tavus-ada', tavus_persona_id = 'p1'
where id = 'd0000000-0000-4000-8000-000000000001';
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.affects($$ update demos
    set name = 'Saved', tavus_conversation_id = 'tavus-ada', tavus_persona_id = 'p1', status = 'published'
    where id = 'd0000000-0000-4000-8000-000000000001' $$, 1);

-- test: even the server cannot give one demo's conversation to another
select tests.as_service();
select tests.throws($$ update demos set tavus_conversation_id = 'tavus-ben'
    where id = 'd0000000-0000-4000-8000-000000000001' $$, '23505', 'belongs to another demo');

-- test: a conversation that an owner asks for waits for the server
select tests.as_user('a0000000-0000-4000-8000-000000000001');
insert into conversations (demo_id) values ('d0000000-0000-4000-8000-000000000001');
select tests.rows($$ select from conversations where status = 'requested' and conversation_id is null $$, 1);
select tests.as_service();
select tests.throws($$ update conversations set status = 'active' where status = 'requested' $$, '23514');
select tests.affects($$ update conversations set status = 'active', conversation_id = 'tavus-new'
    where status = 'requested' $$, 1);

-- test: updated_at follows every update and cannot be set
select tests.as_user('a0000000-0000-4000-8000-000000000001');
update demos set updated_at = '2000-01-01' where id = 'd0000000-0000-4000-8000-000000000001';
update demo_videos set updated_at = '2000-01-01';
update knowledge_chunks set updated_at = '2000-01-01';
update profiles set display_name = 'Ada L.';
select tests.is(array_agg(distinct t.updated_at = now()), array[true], 'updated_at is now')
from (select updated_at from demos where id = 'd0000000-0000-4000-8000-000000000001'
      union all select updated_at from demo_videos
      union all select updated_at from knowledge_chunks
      union all select updated_at from profiles) t;
