-- A first look with life in it. ada runs three clones, ben tries one, eve has signed up only.
-- Everybody's password is plinth-demo.

insert into auth.users
    (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data,
     created_at, updated_at)
select '00000000-0000-0000-0000-000000000000', id, 'authenticated', 'authenticated', email,
       extensions.crypt('plinth-demo', extensions.gen_salt('bf')), now() - since,
       '{"provider": "email", "providers": ["email"]}', jsonb_build_object('name', name), now() - since, now() - since
from (values
    ('a0000000-0000-4000-8000-000000000001'::uuid, 'ada@example.com', 'Ada', interval '100 days'),
    ('b0000000-0000-4000-8000-000000000002', 'ben@example.com', 'Ben', interval '12 days'),
    ('e0000000-0000-4000-8000-000000000003', 'eve@example.com', 'Eve', interval '1 hour')
) as person (id, email, name, since)
on conflict (id) do nothing;

-- How they sign in.
insert into auth.identities
    (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
select u.id::text, u.id, jsonb_build_object('sub', u.id, 'email', u.email, 'email_verified', true), 'email',
       u.created_at, u.created_at, u.created_at
from auth.users u
where u.email in ('ada@example.com', 'ben@example.com', 'eve@example.com')
on conflict do nothing;

-- Partitions for the months that the log below reaches back to.
select public.create_activity_log_partition((current_date - make_interval(months => ago))::date)
from generate_series(0, 4) as ago;

insert into public.ai_clones (id, name, description, model_type, status, config, created_at, user_id) values
    ('cc000000-0000-4000-8000-000000000001', 'Atlas', 'Reads sales data and finds what changed.', 'gpt-4', 'active',
     '{"model_version": "4.0", "temperature": 0.2, "max_tokens": 2000, "custom_parameters": {"language": "en"}}',
     now() - interval '95 days', 'a0000000-0000-4000-8000-000000000001'),
    ('cc000000-0000-4000-8000-000000000002', 'Clio', 'Writes product texts in the house''s tone.', 'claude-3', 'active',
     '{"model_version": "3.5", "temperature": 0.8, "max_tokens": 1200, "custom_parameters": {"tone": "warm"}}',
     now() - interval '60 days', 'a0000000-0000-4000-8000-000000000001'),
    ('cc000000-0000-4000-8000-000000000003', 'Janus', 'The old support clone.', 'gpt-3.5', 'stopped',
     '{"model_version": "3.5", "temperature": 0.5, "max_tokens": 500, "custom_parameters": {}}',
     now() - interval '90 days', 'a0000000-0000-4000-8000-000000000001'),
    ('cc000000-0000-4000-8000-000000000004', 'Ben''s helper', null, 'gpt-4', 'active',
     '{"model_version": "4.0", "temperature": 0.7, "max_tokens": 2000, "custom_parameters": {}}',
     now() - interval '10 days', 'b0000000-0000-4000-8000-000000000002')
on conflict (id) do nothing;

-- Tasks of every state and priority.
insert into public.ai_tasks
    (id, clone_id, task_name, task_input, task_output, status, priority, error_message, created_at, completed_at)
select ('7a000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
       ('cc000000-0000-4000-8000-' || lpad(clone::text, 12, '0'))::uuid,
       task_name, input::jsonb, output::jsonb, status, priority::public.task_priority, error, now() - since,
       case when status in ('completed', 'failed', 'cancelled') then now() - since + interval '6 seconds' end
from (values
    (1, 1, 'Quarterly trend', '{"dataset": "sales_data.csv", "analysis_type": "trend",
        "date_range": {"start": "2024-01-01", "end": "2024-12-31"}}',
     '{"result": "success", "data": {"processed_records": 1000,
        "insights": ["Autumn grew by 12 %", "Returns fell by a third"]}, "execution_time": "5.2s"}',
     'completed', 'high', null, interval '62 days'),
    (2, 1, 'Outliers in March', '{"dataset": "sales_2025_03.csv", "analysis_type": "outliers"}',
     '{"result": "success", "data": {"processed_records": 312, "insights": ["Two orders of 900 pieces"]},
        "execution_time": "2.9s"}', 'completed', 'medium', null, interval '33 days'),
    (3, 1, 'Forecast next quarter', '{"dataset": "sales_data.csv", "analysis_type": "forecast"}', '{}',
     'in_progress', 'critical', null, interval '4 minutes'),
    (4, 1, 'Churn by region', '{"dataset": "customers.csv", "analysis_type": "churn"}', '{}',
     'pending', 'high', null, interval '3 minutes'),
    (5, 1, 'Nightly summary', '{"dataset": "sales_data.csv", "analysis_type": "summary"}', '{}',
     'pending', 'low', null, interval '2 hours'),
    (6, 2, 'Text for the blue teapot', '{"product": "teapot-blue", "words": 80}',
     '{"result": "success", "data": {"text": "Pours like a promise kept."}, "execution_time": "3.1s"}',
     'completed', 'medium', null, interval '9 days'),
    (7, 2, 'Text for the garden chair', '{"product": "chair-garden", "words": 80}', '{}',
     'failed', 'medium', 'the model did not answer within 60 seconds', interval '8 days'),
    (8, 2, 'Text for the garden chair, again', '{"product": "chair-garden", "words": 80}', '{}',
     'pending', 'critical', null, interval '1 minute'),
    (9, 3, 'Answer the mail of August', '{"mailbox": "support"}', '{}',
     'cancelled', 'low', null, interval '88 days'),
    (10, 4, 'Summarise my notes', '{"file": "notes.md"}',
     '{"result": "success", "data": {"processed_records": 14, "insights": ["Ship it"]}, "execution_time": "1.4s"}',
     'completed', 'medium', null, interval '6 days'),
    (11, 4, 'Plan the week', '{"file": "notes.md"}', '{}', 'pending', 'medium', null, interval '20 minutes')
) as task (n, clone, task_name, input, output, status, priority, error, since)
on conflict (id) do nothing;

insert into public.payments
    (id, order_id, amount, currency, status, description, payment_method, metadata, created_at, completed_at, user_id)
values
    ('9a000000-0000-4000-8000-000000000001', '5O190127TN364715T', 49.00, 'USD', 'completed', 'Plan Pro, first month',
     'paypal', '{"customer_name": "Ada", "invoice_number": "INV-2024-001", "tax_amount": 7.82, "discount": 5.00}',
     now() - interval '92 days', now() - interval '92 days' + interval '2 minutes',
     'a0000000-0000-4000-8000-000000000001'),
    ('9a000000-0000-4000-8000-000000000002', '8HB12345AB678901C', 49.00, 'USD', 'completed', 'Plan Pro, second month',
     'paypal', '{"customer_name": "Ada", "invoice_number": "INV-2024-002", "tax_amount": 7.82}',
     now() - interval '61 days', now() - interval '61 days' + interval '1 minute',
     'a0000000-0000-4000-8000-000000000001'),
    ('9a000000-0000-4000-8000-000000000003', '2GG279541U471931P', 6800, 'JPY', 'refunded', 'Extra tokens',
     'paypal', '{"customer_name": "Ada", "invoice_number": "INV-2024-003"}', now() - interval '30 days',
     now() - interval '30 days' + interval '5 minutes', 'a0000000-0000-4000-8000-000000000001'),
    ('9a000000-0000-4000-8000-000000000004', '4KL98765MN432109P', 12.50, 'EUR', 'failed', 'Extra tokens',
     'paypal', '{"issue": "INSTRUMENT_DECLINED"}', now() - interval '11 days', null,
     'b0000000-0000-4000-8000-000000000002'),
    ('9a000000-0000-4000-8000-000000000005', '7QR55555ST666666U', 12.50, 'EUR', 'approved', 'Extra tokens',
     'paypal', '{"customer_name": "Ben"}', now() - interval '10 minutes', null, 'b0000000-0000-4000-8000-000000000002')
on conflict (id) do nothing;

-- The triggers have logged what was made just now. These lines tell of the months before.
insert into public.activity_logs (id, log_type, entity_id, action, details, level, created_at, user_id)
select ('10900000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, log_type, entity::uuid, action, details::jsonb,
       level, date_trunc('day', now()) - since,
       case whose when 'ada' then 'a0000000-0000-4000-8000-000000000001'::uuid
                  when 'ben' then 'b0000000-0000-4000-8000-000000000002' end
from (values
    (1, 'user', 'a0000000-0000-4000-8000-000000000001', 'user.signed_in', '{"ip_address": "192.0.2.1"}', 'info',
     interval '99 days', 'ada'),
    (2, 'clone', 'cc000000-0000-4000-8000-000000000001', 'clone.created', '{"new_state": "active"}', 'info',
     interval '95 days', 'ada'),
    (3, 'payment', '9a000000-0000-4000-8000-000000000001', 'payment.completed',
     '{"previous_state": "approved", "new_state": "completed", "changed_fields": ["completed_at", "status"]}', 'info',
     interval '92 days', 'ada'),
    (4, 'system', null, 'system.started', '{"version": "1.4.0"}', 'info', interval '80 days', null),
    (5, 'clone', 'cc000000-0000-4000-8000-000000000003', 'clone.stopped',
     '{"previous_state": "active", "new_state": "stopped", "changed_fields": ["status"]}', 'info',
     interval '70 days', 'ada'),
    (6, 'task', '7a000000-0000-4000-8000-000000000001', 'task.completed',
     '{"previous_state": "in_progress", "new_state": "completed", "changed_fields": ["completed_at", "status"],
       "ip_address": "192.0.2.1"}', 'info', interval '62 days', 'ada'),
    (7, 'system', null, 'system.backup_finished', '{"bytes": 184320000}', 'info', interval '45 days', null),
    (8, 'system', null, 'system.disk_filling', '{"used_percent": 81}', 'warning', interval '31 days', null),
    (9, 'task', '7a000000-0000-4000-8000-000000000007', 'task.failed',
     '{"previous_state": "in_progress", "new_state": "failed", "changed_fields": ["error_message", "status"]}', 'error',
     interval '8 days', 'ada'),
    (10, 'payment', '9a000000-0000-4000-8000-000000000004', 'payment.failed',
     '{"previous_state": "approved", "new_state": "failed", "changed_fields": ["status"]}', 'error',
     interval '11 days', 'ben'),
    (11, 'task', '7a000000-0000-4000-8000-000000000010', 'task.completed',
     '{"previous_state": "in_progress", "new_state": "completed", "changed_fields": ["completed_at", "status"]}',
     'info', interval '6 days', 'ben')
) as line (n, log_type, entity, action, details, level, since, whose)
on conflict (id, created_at) do nothing;

-- As if they had just been here.
update auth.users
set last_sign_in_at = now() - case email when 'ada@example.com' then interval '12 minutes' else interval '1 day' end
where email in ('ada@example.com', 'ben@example.com') and last_sign_in_at is null;
