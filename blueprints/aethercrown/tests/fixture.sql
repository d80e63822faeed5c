-- The rows that the access table and the tests speak of. ada owns, ben is somebody else, cleo has lost her row.

select tests.sign_up('a0000000-0000-4000-8000-000000000001', 'ada@example.com', '{"name": "Ada"}');
select tests.sign_up('b0000000-0000-4000-8000-000000000002', 'ben@example.com', '{"name": "Ben"}');
select tests.sign_up('c0000000-0000-4000-8000-000000000003', 'cleo@example.com');
delete from public.users where id = 'c0000000-0000-4000-8000-000000000003';

insert into public.ai_clones (id, name, model_type, user_id) values
    ('cc000000-0000-4000-8000-000000000001', 'Atlas', 'gpt-4', 'a0000000-0000-4000-8000-000000000001'),
    ('cc000000-0000-4000-8000-000000000002', 'Ben''s', 'gpt-4', 'b0000000-0000-4000-8000-000000000002');

-- Added from the least urgent on, as the alphabet would not have it.
insert into public.ai_tasks (id, clone_id, task_name, priority, created_at) values
    ('7a000000-0000-4000-8000-000000000001', 'cc000000-0000-4000-8000-000000000001', 'low', 'low', '2025-06-01 10:00+00'),
    ('7a000000-0000-4000-8000-000000000002', 'cc000000-0000-4000-8000-000000000001', 'medium', 'medium', '2025-06-01 10:01+00'),
    ('7a000000-0000-4000-8000-000000000003', 'cc000000-0000-4000-8000-000000000001', 'high', 'high', '2025-06-01 10:02+00'),
    ('7a000000-0000-4000-8000-000000000004', 'cc000000-0000-4000-8000-000000000001', 'critical', 'critical', '2025-06-01 10:03+00'),
    ('7a000000-0000-4000-8000-000000000005', 'cc000000-0000-4000-8000-000000000002', 'ben''s', 'medium', '2025-06-01 09:00+00');

insert into public.payments (id, order_id, amount, user_id) values
    ('9a000000-0000-4000-8000-000000000001', 'order-ada', 19.99, 'a0000000-0000-4000-8000-000000000001'),
    ('9a000000-0000-4000-8000-000000000002', 'order-ben', 5, 'b0000000-0000-4000-8000-000000000002');

-- The triggers have logged all of the above; these lines have ids to ask for.
insert into public.activity_logs (id, log_type, action, created_at, user_id) values
    ('10900000-0000-4000-8000-000000000001', 'user', 'user.signed_in', now(), 'a0000000-0000-4000-8000-000000000001'),
    ('10900000-0000-4000-8000-000000000002', 'system', 'system.started', now(), null);
