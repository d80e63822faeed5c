-- What happens by itself: people follow auth.users, updated_at and completed_at, log lines for changes of state.

-- People ---------------------------------------------------------------------------------------------------------

-- Runs inside the sign-up's transaction, as the owner: the auth service has no rights in public. Who signs up without
-- an address (anonymously, by phone) gets the row when an address is known, for the document wants one.
create function public.handle_new_user()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if new.email is null then
        return new;
    end if;

    insert into public.users (id, email, name, last_login)
    values (
        new.id,
        new.email,
        coalesce(new.raw_user_meta_data ->> 'name', new.raw_user_meta_data ->> 'full_name',
                 new.raw_user_meta_data ->> 'display_name', split_part(new.email, '@', 1)),
        new.last_sign_in_at
    )
    -- Later on address and last sign-in follow; what people call themselves is theirs.
    on conflict (id) do update set email = excluded.email, last_login = excluded.last_login;
    return new;
end;
$$;

create trigger on_auth_user_created
    after insert on auth.users
    for each row execute function public.handle_new_user();

create trigger on_auth_user_updated
    after update of email, last_sign_in_at on auth.users
    for each row when (
        old.email is distinct from new.email or old.last_sign_in_at is distinct from new.last_sign_in_at
    )
    execute function public.handle_new_user();

-- People who signed up before this blueprint was applied.
insert into public.users (id, email, name, last_login)
select u.id, u.email, coalesce(u.raw_user_meta_data ->> 'name', split_part(u.email, '@', 1)), u.last_sign_in_at
from auth.users u
where u.email is not null
on conflict (id) do nothing;

-- Times ----------------------------------------------------------------------------------------------------------

create function public.update_updated_at_column()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.updated_at = now();
    return new;
end;
$$;

create trigger update_users_updated_at
    before update on public.users
    for each row execute function public.update_updated_at_column();

create trigger update_clones_updated_at
    before update on public.ai_clones
    for each row execute function public.update_updated_at_column();

create trigger update_tasks_updated_at
    before update on public.ai_tasks
    for each row execute function public.update_updated_at_column();

create trigger update_payments_updated_at
    before update on public.payments
    for each row execute function public.update_updated_at_column();

-- completed_at is set exactly while the row is in one of the states that the trigger names.
create function public.set_completed_at()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.completed_at = case when new.status = any (tg_argv) then coalesce(new.completed_at, now()) end;
    return new;
end;
$$;

create trigger set_tasks_completed_at
    before insert or update of status, completed_at on public.ai_tasks
    for each row execute function public.set_completed_at('completed', 'failed', 'cancelled');

create trigger set_payments_completed_at
    before insert or update of status, completed_at on public.payments
    for each row execute function
        public.set_completed_at('completed', 'partially_refunded', 'refunded', 'reversed');

-- Activity log ---------------------------------------------------------------------------------------------------

-- One line per row created, deleted or brought into another state: `task.created`, `payment.completed`… The argument
-- is the log type. SECURITY DEFINER because nobody else's rights suffice to write the log.
create function public.log_activity()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    was jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
    becomes jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
    seen jsonb := coalesce(becomes, was);
    event text := case tg_op when 'INSERT' then 'created' when 'DELETE' then 'deleted' else becomes ->> 'status' end;
    owner_id uuid;
begin
    if tg_table_name = 'ai_tasks' then
        select c.user_id into owner_id from public.ai_clones c where c.id = (seen ->> 'clone_id')::uuid;
        -- Gone already when its clone is deleted: then an API user is the owner, for nobody else may delete it.
        owner_id := coalesce(owner_id, auth.uid());
    else
        owner_id := (seen ->> 'user_id')::uuid;
    end if;

    -- While an account is deleted its rows go after it: the log keeps the fact and lets go of the person.
    select u.id into owner_id from public.users u where u.id = owner_id;

    insert into public.activity_logs (log_type, entity_id, action, details, level, user_id)
    values (
        tg_argv[0],
        (seen ->> 'id')::uuid,
        tg_argv[0] || '.' || event,
        jsonb_build_object(
            'previous_state', was -> 'status',
            'new_state', becomes -> 'status',
            'changed_fields', (
                select coalesce(jsonb_agg(k.key order by k.key), '[]')
                from jsonb_object_keys(was) as k (key)
                where tg_op = 'UPDATE' and was -> k.key <> becomes -> k.key and k.key <> 'updated_at'
            )
        ),
        case when becomes ->> 'status' in ('failed', 'error') then 'error' else 'info' end,
        owner_id
    );
    return null;
end;
$$;

create trigger log_clones_created_deleted
    after insert or delete on public.ai_clones
    for each row execute function public.log_activity('clone');

create trigger log_clones_status
    after update of status on public.ai_clones
    for each row when (old.status is distinct from new.status)
    execute function public.log_activity('clone');

create trigger log_tasks_created_deleted
    after insert or delete on public.ai_tasks
    for each row execute function public.log_activity('task');

create trigger log_tasks_status
    after update of status on public.ai_tasks
    for each row when (old.status is distinct from new.status)
    execute function public.log_activity('task');

create trigger log_payments_created_deleted
    after insert or delete on public.payments
    for each row execute function public.log_activity('payment');

create trigger log_payments_status
    after update of status on public.payments
    for each row when (old.status is distinct from new.status)
    execute function public.log_activity('payment');
