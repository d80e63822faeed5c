-- Types, defaults, constraints and indexes.

-- test: `order by priority desc` begins with what is most urgent
select tests.is(array_agg(task_name order by priority desc), array['critical', 'high', 'medium', 'low']::varchar[], 'order')
from ai_tasks where clone_id = 'cc000000-0000-4000-8000-000000000001';

-- test: priorities and states that do not exist are refused
select tests.throws($$ update ai_tasks set priority = 'banana' $$, '22P02');
select tests.throws($$ update ai_tasks set status = 'running' $$, '23514', 'ai_tasks_status_check');
select tests.throws($$ update ai_clones set status = 'banana' $$, '23514', 'ai_clones_status_check');
select tests.throws($$ update payments set status = 'nonsense' $$, '23514', 'payments_status_check');

-- test: a state is always there
select tests.throws($$ update ai_tasks set status = null $$, '23502');
select tests.throws($$ update ai_tasks set priority = null $$, '23502');
select tests.throws($$ update ai_clones set status = null $$, '23502');
select tests.throws($$ update payments set status = null $$, '23502');
select tests.throws($$ update payments set currency = null $$, '23502');

-- test: the partial index of active tasks names states that exist
insert into ai_tasks (clone_id, task_name, status)
values ('cc000000-0000-4000-8000-000000000001', 'x', 'in_progress'), ('cc000000-0000-4000-8000-000000000001', 'y', 'pending');
select tests.ok(pg_get_indexdef('idx_active_tasks'::regclass) like '%''pending''%''in_progress''%', 'the index''s condition');

-- test: new rows have the defaults of the document
insert into ai_clones (id, name, model_type) values ('cc000000-0000-4000-8000-000000000009', 'x', 'y');
insert into ai_tasks (id, task_name) values ('7a000000-0000-4000-8000-000000000009', 'x');
insert into payments (id, order_id, amount) values ('9a000000-0000-4000-8000-000000000009', 'x', 1);
insert into activity_logs (id, log_type, action) values ('10900000-0000-4000-8000-000000000009', 'x', 'y');
select tests.is(row(c.status, c.config, c.created_at = now())::text, row('active', '{}'::jsonb, true)::text, 'clone')
from ai_clones c where c.id = 'cc000000-0000-4000-8000-000000000009';
select tests.is(row(t.status, t.priority, t.task_input, t.task_output)::text, '(pending,medium,{},{})', 'task')
from ai_tasks t where t.id = '7a000000-0000-4000-8000-000000000009';
select tests.is(row(p.currency, p.status, p.payment_method, p.metadata)::text, '(USD,created,paypal,{})', 'payment')
from payments p where p.id = '9a000000-0000-4000-8000-000000000009';
select tests.is(row(l.level, l.details, l.entity_id)::text, '(info,{},)', 'log line')
from activity_logs l where l.id = '10900000-0000-4000-8000-000000000009';
select tests.is(u.role, 'user'::varchar, 'role')
from users u where u.id = 'a0000000-0000-4000-8000-000000000001';

-- test: a log line may concern no entity
select tests.affects($$ insert into activity_logs (log_type, action, entity_id) values ('system', 'started', null) $$, 1);

-- test: every index of the document that has work of its own exists
select tests.is(array_agg(name), null, 'missing indexes')
from unnest(array[
    'idx_users_email', 'idx_users_created_at', 'idx_clones_user_id', 'idx_clones_status', 'idx_clones_created_at',
    'idx_clones_config', 'idx_tasks_status', 'idx_tasks_priority', 'idx_tasks_created_at', 'idx_tasks_completed_at',
    'idx_tasks_input', 'idx_tasks_output', 'idx_payments_order_id', 'idx_payments_status', 'idx_payments_user_id',
    'idx_payments_created_at', 'idx_payments_amount', 'idx_payments_metadata', 'idx_logs_type', 'idx_logs_entity_id',
    'idx_logs_level', 'idx_logs_created_at', 'idx_logs_user_id', 'idx_logs_details', 'idx_active_tasks',
    'idx_tasks_clone_status']) as name
where to_regclass('public.' || name) is null;

-- test: no index repeats another or the beginning of one
select tests.is(array_agg(format('%s begins %s', a.indexrelid::regclass, b.indexrelid::regclass)), null, 'indexes')
from pg_index a
join pg_class r on r.oid = a.indrelid and r.relnamespace = 'public'::regnamespace
join pg_index b on b.indrelid = a.indrelid and b.indexrelid <> a.indexrelid
join pg_class ca on ca.oid = a.indexrelid
join pg_class cb on cb.oid = b.indexrelid and cb.relam = ca.relam
where a.indpred is null and b.indpred is null and a.indexprs is null and b.indexprs is null
    and b.indkey::text || ' ' like a.indkey::text || ' %'
    and (not a.indisunique or a.indkey::text = b.indkey::text);

-- test: an address and an order are there once
select tests.throws($$ update users set email = 'ben@example.com' where name = 'Ada' $$, '23505', 'idx_users_email');
select tests.throws($$ insert into payments (order_id, amount) values ('order-ada', 1) $$, '23505', 'idx_payments_order_id');

-- test: updated_at follows every update and cannot be set
update users set updated_at = '2000-01-01';
update ai_clones set updated_at = '2000-01-01';
update ai_tasks set updated_at = '2000-01-01';
update payments set updated_at = '2000-01-01';
select tests.is(array_agg(distinct t.updated_at = now()), array[true], 'updated_at is now')
from (select updated_at from users union all select updated_at from ai_clones
      union all select updated_at from ai_tasks union all select updated_at from payments) t;
