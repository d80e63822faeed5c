-- Amounts, currencies and who may say that something is paid.

-- test: amounts are positive and finite
select tests.throws($$ insert into payments (order_id, amount) values ('x', -5.01) $$, '23514', 'payments_amount_check');
select tests.throws($$ insert into payments (order_id, amount) values ('x', 0) $$, '23514', 'payments_amount_check');
select tests.throws($$ insert into payments (order_id, amount) values ('x', 'NaN') $$, '23514', 'payments_amount_check');
select tests.throws($$ insert into payments (order_id, amount) values ('x', 'Infinity') $$, '23514', 'payments_amount_check');

-- test: currencies are those of ISO 4217
select tests.throws($$ insert into payments (order_id, amount, currency) values ('x', 1, 'banana') $$, '23514');
select tests.throws($$ insert into payments (order_id, amount, currency) values ('x', 1, 'usd') $$, '23514');
select tests.throws($$ insert into payments (order_id, amount, currency) values ('x', 1, 'XYZ') $$, '23514');
select tests.is(array[currency_decimals('USD'), currency_decimals('JPY'), currency_decimals('KWD'),
    currency_decimals('DEM')], array[2, 0, 3, null], 'decimals');

-- test: a hundred million yen fit, and keep their value
insert into payments (order_id, amount, currency) values ('x', 100000000, 'JPY');
select tests.is(amount, 100000000::numeric, 'amount') from payments where order_id = 'x';

-- test: an amount has no more decimals than its currency
select tests.throws($$ insert into payments (order_id, amount, currency) values ('x', 10.5, 'JPY') $$, '23514', 'decimals');
select tests.throws($$ insert into payments (order_id, amount, currency) values ('x', 10.005, 'USD') $$, '23514', 'decimals');
select tests.throws($$ insert into payments (order_id, amount, currency) values ('x', 1.2345, 'KWD') $$, '23514', 'decimals');
select tests.affects($$ insert into payments (order_id, amount, currency)
    values ('x', 10.05, 'USD'), ('y', 1.234, 'KWD'), ('z', 10.00, 'JPY') $$, 3);

-- test: PayPal takes no decimals for forints and Taiwan dollars
select tests.throws($$ insert into payments (order_id, amount, currency) values ('x', 9.5, 'HUF') $$, '23514', 'paypal');
select tests.affects($$ insert into payments (order_id, amount, currency, payment_method)
    values ('x', 9.5, 'HUF', 'card') $$, 1);

-- test: completed_at is set when a payment is completed, and stays through a refund
select tests.as_service();
update payments set status = 'completed' where order_id = 'order-ada';
select tests.is(completed_at, now(), 'completed') from payments where order_id = 'order-ada';
update payments set status = 'completed', completed_at = '2025-06-01 12:00+00' where order_id = 'order-ada';
update payments set status = 'refunded' where order_id = 'order-ada';
select tests.is(completed_at, '2025-06-01 12:00+00'::timestamptz, 'refunded') from payments where order_id = 'order-ada';

-- test: what is not completed has no time of completion
update payments set completed_at = now() where order_id = 'order-ada';
select tests.is(completed_at, null::timestamptz, 'created') from payments where order_id = 'order-ada';
alter table payments disable trigger set_payments_completed_at;
select tests.throws($$ update payments set completed_at = now() where order_id = 'order-ada' $$, '23514');
select tests.throws($$ update payments set status = 'completed' where order_id = 'order-ada' $$, '23514');

-- test: a payer sees the payment and cannot mark it paid
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.is(array_agg(order_id), array['order-ada']::varchar[], 'payments') from payments;
select tests.throws($$ update payments set status = 'completed' $$, '42501');
select tests.throws($$ update payments set amount = 0.01 $$, '42501');
select tests.throws($$ insert into payments (order_id, amount, status, user_id)
    values ('free', 1, 'completed', 'a0000000-0000-4000-8000-000000000001') $$, '42501');
select tests.throws($$ delete from payments $$, '42501');
