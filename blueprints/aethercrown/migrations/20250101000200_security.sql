-- Who may see and do what. Everything is denied unless a policy here allows it; visitors may do nothing at all.

-- Enable RLS on all tables
alter table public.users enable row level security;
alter table public.ai_clones enable row level security;
alter table public.ai_tasks enable row level security;
alter table public.payments enable row level security;
alter table public.activity_logs enable row level security;
-- A partition is a table of its own: reached by its name, only its own row security protects it.
alter table public.activity_logs_default enable row level security;

revoke all on
    public.users, public.ai_clones, public.ai_tasks, public.payments, public.activity_logs,
    public.activity_logs_default, public.activity_logs_partitioned, public.user_profiles
from anon;

-- users: the row comes and goes with the account, and the owner changes nothing but the name. password_hash is granted
-- to nobody, so `select *` is refused; the view user_profiles has the rest.
create policy user_select_own on public.users
    for select to authenticated using ((select auth.uid()) = id);

create policy user_update_own on public.users
    for update to authenticated using ((select auth.uid()) = id);

revoke all on public.users from authenticated, service_role;
grant select (id, email, name, role, created_at, updated_at, last_login), update (name)
    on public.users to authenticated;
grant
    select (id, email, name, role, created_at, updated_at, last_login),
    insert (id, email, name, role, created_at, updated_at, last_login),
    update (email, name, role, last_login),
    delete
on public.users to service_role;

revoke all on public.user_profiles from authenticated, service_role;
grant select on public.user_profiles to authenticated, service_role;

-- ai_clones: one's own.
create policy clone_select_own on public.ai_clones
    for select to authenticated using ((select auth.uid()) = user_id);

create policy clone_insert_own on public.ai_clones
    for insert to authenticated with check ((select auth.uid()) = user_id);

create policy clone_update_own on public.ai_clones
    for update to authenticated using ((select auth.uid()) = user_id);

create policy clone_delete_own on public.ai_clones
    for delete to authenticated using ((select auth.uid()) = user_id);

-- ai_tasks: those of one's own clones.
create policy task_select_clone on public.ai_tasks
    for select to authenticated
    using (clone_id in (select c.id from public.ai_clones c where c.user_id = (select auth.uid())));

create policy task_insert_clone on public.ai_tasks
    for insert to authenticated
    with check (clone_id in (select c.id from public.ai_clones c where c.user_id = (select auth.uid())));

create policy task_update_clone on public.ai_tasks
    for update to authenticated
    using (clone_id in (select c.id from public.ai_clones c where c.user_id = (select auth.uid())));

create policy task_delete_clone on public.ai_tasks
    for delete to authenticated
    using (clone_id in (select c.id from public.ai_clones c where c.user_id = (select auth.uid())));

-- payments: read by the payer, written by the server, which alone knows what was paid.
create policy payment_select_own on public.payments
    for select to authenticated using ((select auth.uid()) = user_id);

revoke insert, update, delete, truncate on public.payments from authenticated;

-- activity_logs: read by the user they concern, appended to by triggers and the server, changed by nobody, the service
-- key included. Old lines leave through the functions of the next migration.
create policy log_select_own on public.activity_logs
    for select to authenticated using ((select auth.uid()) = user_id);

revoke all on public.activity_logs, public.activity_logs_partitioned from authenticated, service_role;
grant select on public.activity_logs, public.activity_logs_partitioned to authenticated;
grant select, insert on public.activity_logs to service_role;
grant select on public.activity_logs_partitioned to service_role;

revoke all on public.activity_logs_default from authenticated, service_role;

-- Realtime -------------------------------------------------------------------------------------------------------

-- `alter publication … add table` fails on a table that is there already; this does not.
create function public.publish_to_realtime(relation regclass)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if not exists (
        select from pg_catalog.pg_publication_rel r
        join pg_catalog.pg_publication p on p.oid = r.prpubid
        where p.pubname = 'supabase_realtime' and r.prrelid = relation
    ) then
        execute format('alter publication supabase_realtime add table %s', relation);
    end if;
end;
$$;

revoke execute on function public.publish_to_realtime(regclass) from public, anon, authenticated, service_role;

select public.publish_to_realtime('public.ai_clones');
select public.publish_to_realtime('public.ai_tasks');
select public.publish_to_realtime('public.payments');
select public.publish_to_realtime('public.activity_logs');

-- Changes of a partition are told as changes of activity_logs, which is what people subscribe to.
alter publication supabase_realtime set (publish_via_partition_root = true);
