-- What happens by itself: profiles at sign-up, updated_at, the map of conversations, cleaning up, the audit log.

-- People ---------------------------------------------------------------------------------------------------------

-- Runs inside the sign-up's transaction, as the owner: the auth service has no rights in public.
create function public.handle_new_user()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    insert into public.profiles (id, email, display_name, avatar_url)
    values (
        new.id,
        new.email,
        coalesce(new.raw_user_meta_data ->> 'display_name', new.raw_user_meta_data ->> 'full_name',
                 new.raw_user_meta_data ->> 'name', split_part(new.email, '@', 1)),
        new.raw_user_meta_data ->> 'avatar_url'
    )
    -- On a change of address only that follows; what people call themselves is theirs.
    on conflict (id) do update set email = excluded.email;
    return new;
end;
$$;

create trigger on_auth_user_created
    after insert on auth.users
    for each row execute function public.handle_new_user();

create trigger on_auth_user_email_changed
    after update of email on auth.users
    for each row when (old.email is distinct from new.email)
    execute function public.handle_new_user();

-- People who signed up before this blueprint was applied.
insert into public.profiles (id, email, display_name, avatar_url)
select u.id, u.email,
       coalesce(u.raw_user_meta_data ->> 'display_name', split_part(u.email, '@', 1)),
       u.raw_user_meta_data ->> 'avatar_url'
from auth.users u
on conflict (id) do nothing;

-- updated_at -----------------------------------------------------------------------------------------------------

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

create trigger update_demos_updated_at
    before update on public.demos
    for each row execute function public.update_updated_at_column();

create trigger update_demo_videos_updated_at
    before update on public.demo_videos
    for each row execute function public.update_updated_at_column();

create trigger update_knowledge_chunks_updated_at
    before update on public.knowledge_chunks
    for each row execute function public.update_updated_at_column();

create trigger update_profiles_updated_at
    before update on public.profiles
    for each row execute function public.update_updated_at_column();

create trigger update_conversations_updated_at
    before update on public.conversations
    for each row execute function public.update_updated_at_column();

-- Conversations --------------------------------------------------------------------------------------------------

-- Whoever names a conversation as a demo's own may read its transcript, and whoever names a persona may talk to it.
-- So the server alone writes these two columns. Saving a row with the values it already has stays allowed, because
-- clients save whole rows.
create function public.guard_tavus_ids()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if current_user in ('anon', 'authenticated') and (
        new.tavus_persona_id is distinct from case when tg_op = 'UPDATE' then old.tavus_persona_id end
        or new.tavus_conversation_id is distinct from case when tg_op = 'UPDATE' then old.tavus_conversation_id end
    ) then
        raise exception 'tavus_persona_id and tavus_conversation_id are written by the server'
            using errcode = 'insufficient_privilege';
    end if;
    return new;
end;
$$;

create trigger guard_demos_tavus_ids
    before insert or update on public.demos
    for each row execute function public.guard_tavus_ids();

-- Keeps the map complete for servers that only set demos.tavus_conversation_id.
create function public.register_conversation()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    known_demo uuid;
begin
    -- A client that saves its whole row names the column without changing it.
    if tg_op = 'UPDATE' and new.tavus_conversation_id is not distinct from old.tavus_conversation_id then
        return null;
    end if;

    insert into public.conversations (demo_id, conversation_id, status)
    values (new.id, new.tavus_conversation_id, 'active')
    on conflict (conversation_id) do nothing;

    select c.demo_id into known_demo
    from public.conversations c
    where c.conversation_id = new.tavus_conversation_id;

    if known_demo is distinct from new.id then
        raise exception 'conversation % belongs to another demo', new.tavus_conversation_id
            using errcode = 'unique_violation';
    end if;
    return null;
end;
$$;

create trigger register_demos_conversation
    after insert or update of tavus_conversation_id on public.demos
    for each row when (new.tavus_conversation_id is not null)
    execute function public.register_conversation();

-- Events and messages know their conversation by Tavus' id only, so no foreign key removes them. SECURITY DEFINER
-- because the delete usually comes from an owner, through a cascade, who may not delete events as such.
create function public.delete_conversation_data()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    delete from public.processed_webhook_events e using gone g where e.conversation_id = g.conversation_id;
    delete from public.conversation_messages m using gone g where m.conversation_id = g.conversation_id;
    return null;
end;
$$;

create trigger delete_conversations_data
    after delete on public.conversations
    referencing old table as gone
    for each statement execute function public.delete_conversation_data();

-- Audit ----------------------------------------------------------------------------------------------------------

-- Inserts and deletes are logged with the whole row, updates with the columns that changed. Embeddings are left out:
-- they are derived from the content, and a thousand times its size. SECURITY DEFINER because nobody else may write
-- the log.
create function public.audit_row_change()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    before jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) - 'vector_embedding' end;
    after jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) - 'vector_embedding' end;
    seen jsonb := coalesce(after, before);
    owner_id uuid;
begin
    if tg_op = 'UPDATE' then
        select jsonb_object_agg(b.key, b.value), jsonb_object_agg(b.key, after -> b.key)
        into before, after
        from jsonb_each(before) b
        where b.value is distinct from seen -> b.key and b.key <> 'updated_at';
        if before is null then
            return null;
        end if;
    end if;

    if tg_table_name = 'demos' then
        owner_id := (seen ->> 'user_id')::uuid;
    else
        select d.user_id into owner_id from public.demos d where d.id = (seen ->> 'demo_id')::uuid;
        -- Gone already when its demo is deleted: then an API user is the owner, for nobody else may delete it.
        owner_id := coalesce(owner_id, auth.uid());
    end if;

    -- While an account is deleted its rows go after it: the log keeps the fact and lets go of the person.
    select u.id into owner_id from auth.users u where u.id = owner_id;

    insert into public.audit_logs (user_id, action, table_name, record_id, old_values, new_values, actor_role)
    values (owner_id, lower(tg_op), tg_table_name, (seen ->> 'id')::uuid, before, after,
            coalesce(auth.role(), session_user));
    return null;
end;
$$;

create trigger audit_demos
    after insert or update or delete on public.demos
    for each row execute function public.audit_row_change();

create trigger audit_demo_videos
    after insert or update or delete on public.demo_videos
    for each row execute function public.audit_row_change();

-- The column list spares the worker that writes embeddings a look at each of them.
create trigger audit_knowledge_chunks
    after insert or delete or update of demo_id, content, question, answer, source on public.knowledge_chunks
    for each row execute function public.audit_row_change();
