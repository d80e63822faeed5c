-- Tables of AetherCrown98: people, their AI clones, the clones' tasks, payments and the activity log.

-- In this order, so that `order by priority desc` begins with what is most urgent.
create type public.task_priority as enum ('low', 'medium', 'high', 'critical');

-- How many decimals amounts of a currency have, by ISO 4217; null for what is no currency in use.
create function public.currency_decimals(currency text)
returns integer
language sql
immutable
parallel safe
set search_path = ''
as $$
    select case
        when currency in ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV',
                          'XAF', 'XOF', 'XPF') then 0
        when currency in ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') then 3
        when currency in (
            'AED', 'AFN', 'ALL', 'AMD', 'AOA', 'ARS', 'AUD', 'AWG', 'AZN', 'BAM', 'BBD', 'BDT', 'BGN', 'BMD', 'BND',
            'BOB', 'BRL', 'BSD', 'BTN', 'BWP', 'BYN', 'BZD', 'CAD', 'CDF', 'CHF', 'CNY', 'COP', 'CRC', 'CUP', 'CVE',
            'CZK', 'DKK', 'DOP', 'DZD', 'EGP', 'ERN', 'ETB', 'EUR', 'FJD', 'FKP', 'GBP', 'GEL', 'GHS', 'GIP', 'GMD',
            'GTQ', 'GYD', 'HKD', 'HNL', 'HTG', 'HUF', 'IDR', 'ILS', 'INR', 'IRR', 'JMD', 'KES', 'KGS', 'KHR', 'KPW',
            'KYD', 'KZT', 'LAK', 'LBP', 'LKR', 'LRD', 'LSL', 'MAD', 'MDL', 'MGA', 'MKD', 'MMK', 'MNT', 'MOP', 'MRU',
            'MUR', 'MVR', 'MWK', 'MXN', 'MYR', 'MZN', 'NAD', 'NGN', 'NIO', 'NOK', 'NPR', 'NZD', 'PAB', 'PEN', 'PGK',
            'PHP', 'PKR', 'PLN', 'QAR', 'RON', 'RSD', 'RUB', 'SAR', 'SBD', 'SCR', 'SDG', 'SEK', 'SGD', 'SHP', 'SLE',
            'SOS', 'SRD', 'SSP', 'STN', 'SVC', 'SYP', 'SZL', 'THB', 'TJS', 'TMT', 'TOP', 'TRY', 'TTD', 'TWD', 'TZS',
            'UAH', 'USD', 'UYU', 'UZS', 'VES', 'WST', 'XCD', 'XCG', 'YER', 'ZAR', 'ZMW', 'ZWG') then 2
    end;
$$;

-- users: User authentication and profile information.
create table public.users (
    id uuid primary key default gen_random_uuid() references auth.users (id) on delete cascade,
    email varchar(255) not null,
    name varchar(255),
    -- Sign-in is auth.users' business. Only the owner role reads or writes this column (for imports).
    password_hash varchar(255),
    role varchar(50) default 'user',
    created_at timestamp with time zone default now(),
    updated_at timestamp with time zone default now(),
    last_login timestamp with time zone,
    constraint idx_users_email unique (email)
);

create index idx_users_created_at on public.users (created_at);

-- ai_clones: AI clone configurations and metadata.
create table public.ai_clones (
    id uuid primary key default gen_random_uuid(),
    name varchar(255) not null,
    description text,
    model_type varchar(100) not null,
    status varchar(50) not null default 'active',
    config jsonb default '{}',
    created_at timestamp with time zone default now(),
    updated_at timestamp with time zone default now(),
    user_id uuid references public.users (id) on delete cascade,
    constraint ai_clones_status_check
        check (status in ('active', 'inactive', 'paused', 'stopped', 'error', 'archived'))
);

create index idx_clones_user_id on public.ai_clones (user_id);
create index idx_clones_status on public.ai_clones (status);
create index idx_clones_created_at on public.ai_clones (created_at desc);
create index idx_clones_config on public.ai_clones using gin (config);

-- ai_tasks: Task management and execution tracking.
create table public.ai_tasks (
    id uuid primary key default gen_random_uuid(),
    clone_id uuid references public.ai_clones (id) on delete cascade,
    task_name varchar(255) not null,
    task_input jsonb default '{}',
    task_output jsonb default '{}',
    status varchar(50) not null default 'pending',
    priority public.task_priority not null default 'medium',
    error_message text,
    created_at timestamp with time zone default now(),
    updated_at timestamp with time zone default now(),
    completed_at timestamp with time zone,
    constraint ai_tasks_status_check
        check (status in ('pending', 'in_progress', 'completed', 'failed', 'cancelled')),
    constraint ai_tasks_completed_at_check
        check ((status in ('completed', 'failed', 'cancelled')) = (completed_at is not null))
);

create index idx_tasks_status on public.ai_tasks (status);
create index idx_tasks_priority on public.ai_tasks (priority);
create index idx_tasks_created_at on public.ai_tasks (created_at desc);
create index idx_tasks_completed_at on public.ai_tasks (completed_at desc);
create index idx_tasks_input on public.ai_tasks using gin (task_input);
create index idx_tasks_output on public.ai_tasks using gin (task_output);
create index idx_active_tasks on public.ai_tasks (clone_id) where status in ('pending', 'in_progress');
-- Leads with clone_id, so it also serves the lookups of the document's idx_tasks_clone_id.
create index idx_tasks_clone_status on public.ai_tasks (clone_id, status);
-- The order in which tasks are claimed.
create index idx_tasks_queue on public.ai_tasks (priority desc, created_at, id) where status = 'pending';

-- payments: Payment transaction records.
create table public.payments (
    id uuid primary key default gen_random_uuid(),
    order_id varchar(255) not null,
    -- Not decimal(10, 2): that rounds 1.234 KWD and cannot hold 100,000,000 JPY.
    amount numeric not null,
    currency varchar(10) not null default 'USD',
    status varchar(50) not null default 'created',
    description text,
    payment_method varchar(50) default 'paypal',
    metadata jsonb default '{}',
    created_at timestamp with time zone default now(),
    updated_at timestamp with time zone default now(),
    completed_at timestamp with time zone,
    user_id uuid references public.users (id) on delete set null,
    constraint idx_payments_order_id unique (order_id),
    -- The upper bound also keeps out NaN and Infinity, which are greater than any number.
    constraint payments_amount_check check (amount > 0 and amount < 1000000000000000),
    constraint payments_currency_check check (public.currency_decimals(currency) is not null),
    constraint payments_decimals_check check (amount = round(amount, public.currency_decimals(currency))),
    -- ISO 4217 gives these two decimals, PayPal takes none.
    constraint payments_paypal_decimals_check
        check (payment_method is distinct from 'paypal' or currency not in ('HUF', 'TWD') or amount = round(amount)),
    constraint payments_status_check
        check (status in ('created', 'approved', 'pending', 'completed', 'failed', 'cancelled', 'partially_refunded',
                          'refunded', 'reversed')),
    constraint payments_completed_at_check
        check ((status in ('completed', 'partially_refunded', 'refunded', 'reversed')) = (completed_at is not null))
);

create index idx_payments_status on public.payments (status);
create index idx_payments_user_id on public.payments (user_id);
create index idx_payments_created_at on public.payments (created_at desc);
create index idx_payments_amount on public.payments (amount);
create index idx_payments_metadata on public.payments using gin (metadata);

-- activity_logs: System activity and audit logs, one partition per month. A unique key of a partitioned table must
-- hold the column that it is partitioned by, hence the key of two columns.
create table public.activity_logs (
    id uuid default gen_random_uuid(),
    log_type varchar(50) not null,
    -- Null for what concerns no entity, such as a start of the system.
    entity_id uuid,
    action varchar(255) not null,
    details jsonb default '{}',
    level varchar(50) default 'info',
    created_at timestamp with time zone default now(),
    user_id uuid references public.users (id) on delete set null,
    primary key (id, created_at)
) partition by range (created_at);

create index idx_logs_type on public.activity_logs (log_type);
create index idx_logs_entity_id on public.activity_logs (entity_id);
create index idx_logs_level on public.activity_logs (level);
create index idx_logs_created_at on public.activity_logs (created_at desc);
create index idx_logs_user_id on public.activity_logs (user_id);
create index idx_logs_details on public.activity_logs using gin (details);

-- Where rows of months go that have no partition, so that a forgotten schedule refuses no log line.
create table public.activity_logs_default partition of public.activity_logs default;

-- The document's name for the partitioned table, which here is activity_logs itself.
create view public.activity_logs_partitioned with (security_invoker = true) as
select * from public.activity_logs;

-- A person as the API shows one: every column but password_hash.
create view public.user_profiles with (security_invoker = true) as
select id, email, name, role, created_at, updated_at, last_login
from public.users;
