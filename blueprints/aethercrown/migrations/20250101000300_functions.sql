-- The activity log's months, the task queue, exports and monitoring.

-- Months of the activity log -------------------------------------------------------------------------------------
-- Bounds are midnight UTC, whatever the session's time zone. These functions are for the server and change tables, so
-- they run with the owner's rights.

-- Where detached months go: out of the API's sight, there to be exported or dropped.
create schema archive;

-- Makes the partition of the month that `month` lies in, moving what the default partition holds of it.
-- Returns false when there is one already.
create function public.create_activity_log_partition(month date)
returns boolean
language plpgsql
strict
security definer
set search_path = ''
as $$
declare
    starts date := make_date(extract(year from month)::int, extract(month from month)::int, 1);
    lower_bound timestamptz := starts::timestamp at time zone 'UTC';
    upper_bound timestamptz := (starts + interval '1 month') at time zone 'UTC';
    partition text := 'activity_logs_' || to_char(starts, 'YYYY_MM');
begin
    if to_regclass(format('public.%I', partition)) is not null then
        return false;
    end if;

    -- One instance at a time, and no line may go to the default partition between moving and attaching. The strongest
    -- lock at once, because attaching takes it later: raising a weaker one could meet a reader that wants to write.
    lock table public.activity_logs in access exclusive mode;

    if to_regclass(format('public.%I', partition)) is not null then
        return false; -- made by another instance meanwhile
    end if;

    -- Made on its own and attached when it is filled: as a partition from the start it would be refused while the
    -- default partition holds rows of that month. Attaching gives it the indexes and foreign keys of the parent.
    execute format('create table public.%I (like public.activity_logs including defaults)', partition);
    execute format('alter table public.%I enable row level security', partition);
    execute format('revoke all on public.%I from anon, authenticated, service_role', partition);
    execute format(
        'with moved as (
             delete from public.activity_logs_default where created_at >= %2$L and created_at < %3$L returning *
         )
         insert into public.%1$I select * from moved',
        partition, lower_bound, upper_bound
    );
    execute format(
        'alter table public.activity_logs attach partition public.%I for values from (%L) to (%L)',
        partition, lower_bound, upper_bound
    );
    return true;
end;
$$;

-- Makes the partitions of this month and of the given number of months after it. Returns the names of the new ones.
create function public.create_activity_log_partitions(months_ahead int default 3)
returns setof text
language plpgsql
security definer
set search_path = ''
as $$
declare
    this_month date := to_char(now() at time zone 'UTC', 'YYYY-MM-01')::date;
    month date;
begin
    if months_ahead is null or months_ahead not between 0 and 120 then
        raise exception 'months_ahead must be between 0 and 120' using errcode = 'invalid_parameter_value';
    end if;
    for ahead in 0 .. months_ahead loop
        month := this_month + make_interval(months => ahead);
        if public.create_activity_log_partition(month) then
            return next 'activity_logs_' || to_char(month, 'YYYY_MM');
        end if;
    end loop;
end;
$$;

-- Detaches the months before the last `keep_months` ones (this month not counted) and puts them into schema archive.
-- Returns their names.
create function public.detach_old_activity_logs(keep_months int)
returns setof text
language plpgsql
security definer
set search_path = ''
as $$
declare
    oldest_kept date;
    month date;
    partition text;
begin
    if keep_months is null or keep_months < 0 then
        raise exception 'keep_months must not be negative' using errcode = 'invalid_parameter_value';
    end if;
    lock table public.activity_logs in access exclusive mode; -- as above
    oldest_kept := to_char(now() at time zone 'UTC', 'YYYY-MM-01')::date - make_interval(months => keep_months);

    -- Old lines that never got a month of their own leave in one, too.
    for month in
        select distinct to_char(l.created_at at time zone 'UTC', 'YYYY-MM-01')::date
        from public.activity_logs_default l
        where l.created_at < oldest_kept::timestamp at time zone 'UTC'
    loop
        perform public.create_activity_log_partition(month);
    end loop;

    for partition in
        select c.relname
        from pg_catalog.pg_inherits i
        join pg_catalog.pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'public.activity_logs'::regclass
            and c.relname ~ '^activity_logs_\d{4}_\d{2}$'
            and to_date(right(c.relname, 7), 'YYYY_MM') < oldest_kept
        order by c.relname
    loop
        execute format('alter table public.activity_logs detach partition public.%I', partition);
        if to_regclass(format('archive.%I', partition)) is null then
            execute format('alter table public.%I set schema archive', partition);
        else
            -- Lines that came in after their month was archived.
            execute format('insert into archive.%1$I select * from public.%1$I', partition);
            execute format('drop table public.%I', partition);
        end if;
        return next partition;
    end loop;
end;
$$;

-- Deletes log lines older than the given number of days, and returns how many.
create function public.delete_old_activity_logs(days_old int)
returns bigint
language plpgsql
security definer
set search_path = ''
as $$
declare
    deleted bigint;
begin
    if days_old is null or days_old < 1 then
        raise exception 'days_old must be at least 1' using errcode = 'invalid_parameter_value';
    end if;
    delete from public.activity_logs where created_at < now() - make_interval(days => days_old);
    get diagnostics deleted = row_count;
    return deleted;
end;
$$;

select public.create_activity_log_partitions(3);

-- Task queue -----------------------------------------------------------------------------------------------------

-- Takes the most urgent pending task, the oldest of equals, for a worker; any number of workers may ask at once.
-- Clones that are not active get no work.
create function public.claim_next_task(for_clone uuid default null)
returns setof public.ai_tasks
language sql
set search_path = ''
as $$
    update public.ai_tasks t
    set status = 'in_progress', error_message = null
    where t.id = (
        select q.id
        from public.ai_tasks q
        left join public.ai_clones c on c.id = q.clone_id
        where q.status = 'pending'
            and (c.status = 'active' or q.clone_id is null)
            and (for_clone is null or q.clone_id = for_clone)
        order by q.priority desc, q.created_at, q.id
        limit 1
        for update of q skip locked
    )
    returning t.*;
$$;

-- Exports --------------------------------------------------------------------------------------------------------

-- Everything about one user as one document. The server may name any user; for everybody else policies leave nothing
-- but their own.
create function public.export_user_data(user_uuid uuid default auth.uid())
returns jsonb
language sql
stable
set search_path = ''
as $$
    select jsonb_build_object(
        'user', (select to_jsonb(u) from public.user_profiles u where u.id = user_uuid),
        'ai_clones', (
            select coalesce(jsonb_agg(to_jsonb(c) || jsonb_build_object('ai_tasks', (
                select coalesce(jsonb_agg(to_jsonb(t) order by t.created_at, t.id), '[]')
                from public.ai_tasks t where t.clone_id = c.id
            )) order by c.created_at, c.id), '[]')
            from public.ai_clones c where c.user_id = user_uuid
        ),
        'payments', (
            select coalesce(jsonb_agg(to_jsonb(p) order by p.created_at, p.id), '[]')
            from public.payments p where p.user_id = user_uuid
        ),
        'activity_logs', (
            select coalesce(jsonb_agg(to_jsonb(l) order by l.created_at, l.id), '[]')
            from public.activity_logs l where l.user_id = user_uuid
        )
    );
$$;

-- The critical data of everybody, one record per row, for regular exports. `changed_since` makes the next one small.
create function public.export_critical_data(changed_since timestamp with time zone default '-infinity')
returns table (table_name text, record jsonb)
language sql
stable
set search_path = ''
as $$
    select 'users', to_jsonb(u) from public.user_profiles u where u.updated_at >= changed_since
    union all
    select 'ai_clones', to_jsonb(c) from public.ai_clones c where c.updated_at >= changed_since
    union all
    select 'ai_tasks', to_jsonb(t) from public.ai_tasks t where t.updated_at >= changed_since
    union all
    select 'payments', to_jsonb(p) from public.payments p where p.updated_at >= changed_since;
$$;

-- Monitoring, for the server -------------------------------------------------------------------------------------

-- Check table sizes. A partitioned table has the size of its partitions, which are listed as well.
create function public.table_sizes()
returns table (schemaname name, tablename name, size text, size_bytes bigint)
language sql
stable
set search_path = ''
as $$
    select t.nspname, t.relname, pg_size_pretty(t.bytes), t.bytes
    from (
        select n.nspname, c.relname,
               -- By oid: a name glued together from its parts is no name once it needs quotes.
               case c.relkind
                   when 'p' then (
                       select sum(pg_total_relation_size(p.relid))::bigint
                       from pg_catalog.pg_partition_tree(c.oid) p
                   )
                   else pg_total_relation_size(c.oid)
               end as bytes
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'public' and c.relkind in ('r', 'p')
    ) t
    order by t.bytes desc, t.relname;
$$;

-- Check index usage.
create function public.index_usage()
returns table (schemaname name, relname name, indexrelname name, idx_scan bigint, idx_tup_read bigint, idx_tup_fetch bigint)
language sql
stable
set search_path = ''
as $$
    select s.schemaname, s.relname, s.indexrelname, s.idx_scan, s.idx_tup_read, s.idx_tup_fetch
    from pg_catalog.pg_stat_user_indexes s
    where s.schemaname = 'public'
    order by s.idx_scan desc, s.relname, s.indexrelname;
$$;

-- Connections of this project and the cluster's limit.
create function public.connection_usage()
returns table (connections integer, max_connections integer)
language sql
stable
set search_path = ''
as $$
    select d.numbackends, current_setting('max_connections')::integer
    from pg_catalog.pg_stat_database d
    where d.datname = current_database();
$$;

-- The share of block reads that memory answered, per table; null where nothing was read yet.
create function public.cache_hit_rates()
returns table (relname name, table_hit_rate numeric, index_hit_rate numeric)
language sql
stable
set search_path = ''
as $$
    select s.relname,
           round(s.heap_blks_hit::numeric / nullif(s.heap_blks_hit + s.heap_blks_read, 0), 4),
           round(s.idx_blks_hit::numeric / nullif(s.idx_blks_hit + s.idx_blks_read, 0), 4)
    from pg_catalog.pg_statio_user_tables s
    where s.schemaname = 'public'
    order by s.relname;
$$;

-- Slow query log: the ten statements of this project that take longest, in milliseconds.
create function public.slow_queries()
returns table (query text, calls bigint, total_time double precision, mean_time double precision, rows bigint)
language sql
stable
set search_path = ''
as $$
    select s.query, s.calls, s.total_exec_time, s.mean_exec_time, s.rows
    from extensions.pg_stat_statements s
    order by s.mean_exec_time desc
    limit 10;
$$;

-- Who may call what ----------------------------------------------------------------------------------------------

revoke execute on function
    public.create_activity_log_partition(date),
    public.create_activity_log_partitions(int),
    public.detach_old_activity_logs(int),
    public.delete_old_activity_logs(int),
    public.claim_next_task(uuid),
    public.export_user_data(uuid),
    public.export_critical_data(timestamp with time zone),
    public.table_sizes(),
    public.index_usage(),
    public.connection_usage(),
    public.cache_hit_rates(),
    public.slow_queries(),
    public.currency_decimals(text)
from public, anon, authenticated, service_role;

grant execute on function public.export_user_data(uuid), public.currency_decimals(text)
to authenticated, service_role;

grant execute on function
    public.create_activity_log_partition(date),
    public.create_activity_log_partitions(int),
    public.detach_old_activity_logs(int),
    public.delete_old_activity_logs(int),
    public.claim_next_task(uuid),
    public.export_critical_data(timestamp with time zone),
    public.table_sizes(),
    public.index_usage(),
    public.connection_usage(),
    public.cache_hit_rates(),
    public.slow_queries()
to service_role;

-- Triggers call their functions by themselves; nobody else has a use for them.
revoke execute on function
    public.handle_new_user(),
    public.update_updated_at_column(),
    public.set_completed_at(),
    public.log_activity()
from public, anon, authenticated, service_role;
