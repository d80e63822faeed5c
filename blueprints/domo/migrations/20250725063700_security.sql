-- Who may see and do what. Everything is denied unless a policy here allows it. Policies are for signed-in users;
-- visitors have exactly one of their own.

alter table public.profiles enable row level security;
alter table public.demos enable row level security;
alter table public.demo_videos enable row level security;
alter table public.knowledge_chunks enable row level security;
alter table public.conversations enable row level security;
alter table public.processed_webhook_events enable row level security;
alter table public.conversation_messages enable row level security;
alter table public.audit_logs enable row level security;

-- profiles: one's own. The row comes and goes with the account, the address follows the account's.
create policy "Users can view their own profile" on public.profiles
    for select to authenticated using ((select auth.uid()) = id);

create policy "Users can update their own profile" on public.profiles
    for update to authenticated using ((select auth.uid()) = id);

revoke insert, update, delete, truncate on public.profiles from anon, authenticated;
grant update (display_name, avatar_url) on public.profiles to authenticated;

-- demos
create policy "Users can view their own demos" on public.demos
    for select to authenticated using ((select auth.uid()) = user_id);

create policy "Users can insert their own demos" on public.demos
    for insert to authenticated with check ((select auth.uid()) = user_id);

create policy "Users can update their own demos" on public.demos
    for update to authenticated using ((select auth.uid()) = user_id);

create policy "Users can delete their own demos" on public.demos
    for delete to authenticated using ((select auth.uid()) = user_id);

-- Visitors see published demos, and of these the columns that a demo's page needs: not the owner, the prompt
-- (agent_personality), the ids at Tavus or the metadata. Signed-in visitors go through published_demos(), since their
-- role must be able to read every column of their own demos.
create policy "Anyone can view published demos" on public.demos
    for select to anon using (status = 'published');

revoke all on public.demos from anon;
grant select (id, name, description, agent_name, agent_greeting, cta_text, cta_link, status, published_url,
              created_at, updated_at)
    on public.demos to anon;

-- demo_videos
create policy "Users can select their demo videos" on public.demo_videos
    for select to authenticated
    using (demo_id in (select d.id from public.demos d where d.user_id = (select auth.uid())));

create policy "Users can insert their demo videos" on public.demo_videos
    for insert to authenticated
    with check (demo_id in (select d.id from public.demos d where d.user_id = (select auth.uid())));

create policy "Users can update their demo videos" on public.demo_videos
    for update to authenticated
    using (demo_id in (select d.id from public.demos d where d.user_id = (select auth.uid())));

create policy "Users can delete their demo videos" on public.demo_videos
    for delete to authenticated
    using (demo_id in (select d.id from public.demos d where d.user_id = (select auth.uid())));

-- knowledge_chunks
create policy "Users can select their knowledge chunks" on public.knowledge_chunks
    for select to authenticated
    using (demo_id in (select d.id from public.demos d where d.user_id = (select auth.uid())));

create policy "Users can insert their knowledge chunks" on public.knowledge_chunks
    for insert to authenticated
    with check (demo_id in (select d.id from public.demos d where d.user_id = (select auth.uid())));

create policy "Users can update their knowledge chunks" on public.knowledge_chunks
    for update to authenticated
    using (demo_id in (select d.id from public.demos d where d.user_id = (select auth.uid())));

create policy "Users can delete their knowledge chunks" on public.knowledge_chunks
    for delete to authenticated
    using (demo_id in (select d.id from public.demos d where d.user_id = (select auth.uid())));

-- conversations: an owner reads them and asks for one by naming the demo; everything else about it is the server's.
create policy "Users can view conversations of their demos" on public.conversations
    for select to authenticated
    using (demo_id in (select d.id from public.demos d where d.user_id = (select auth.uid())));

create policy "Users can request conversations of their demos" on public.conversations
    for insert to authenticated
    with check (demo_id in (select d.id from public.demos d where d.user_id = (select auth.uid())));

revoke insert, update, delete, truncate on public.conversations from anon, authenticated;
grant insert (demo_id) on public.conversations to authenticated;

-- Events and messages: written by the server, read by the owner of the demo that the conversation belongs to.
create policy "Users can view webhook events of their demos" on public.processed_webhook_events
    for select to authenticated
    using (conversation_id in (
        select c.conversation_id
        from public.conversations c
        join public.demos d on d.id = c.demo_id
        where d.user_id = (select auth.uid())
    ));

revoke insert, update, delete, truncate on public.processed_webhook_events from anon, authenticated;

create policy "Users can view messages of their demos" on public.conversation_messages
    for select to authenticated
    using (conversation_id in (
        select c.conversation_id
        from public.conversations c
        join public.demos d on d.id = c.demo_id
        where d.user_id = (select auth.uid())
    ));

revoke insert, update, delete, truncate on public.conversation_messages from anon, authenticated;

-- audit_logs: read by the owner, appended to by the trigger and the server, changed by nobody, the service key included.
create policy "Users can view the audit log of their demos" on public.audit_logs
    for select to authenticated using ((select auth.uid()) = user_id);

revoke insert, update, delete, truncate on public.audit_logs from anon, authenticated;
revoke update, delete, truncate on public.audit_logs from service_role;

-- Storage --------------------------------------------------------------------------------------------------------

-- Demo videos bucket
insert into storage.buckets (id, name, public, file_size_limit)
values ('demo-videos', 'demo-videos', false, 104857600) -- 100MB limit
on conflict (id) do nothing;

-- An object's first folder is the id of its demo.
create policy "Users can view their own videos" on storage.objects
    for select to authenticated
    using (
        bucket_id = 'demo-videos'
        and (storage.foldername(name))[1] in (
            select d.id::text from public.demos d where d.user_id = (select auth.uid())
        )
    );

create policy "Users can upload their own videos" on storage.objects
    for insert to authenticated
    with check (
        bucket_id = 'demo-videos'
        and (storage.foldername(name))[1] in (
            select d.id::text from public.demos d where d.user_id = (select auth.uid())
        )
    );

create policy "Users can update their own videos" on storage.objects
    for update to authenticated
    using (
        bucket_id = 'demo-videos'
        and (storage.foldername(name))[1] in (
            select d.id::text from public.demos d where d.user_id = (select auth.uid())
        )
    );

create policy "Users can delete their own videos" on storage.objects
    for delete to authenticated
    using (
        bucket_id = 'demo-videos'
        and (storage.foldername(name))[1] in (
            select d.id::text from public.demos d where d.user_id = (select auth.uid())
        )
    );

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

-- Row level security decides who receives a change, as it decides who may read it.
select public.publish_to_realtime('public.demos');
select public.publish_to_realtime('public.demo_videos');
select public.publish_to_realtime('public.conversations');
select public.publish_to_realtime('public.processed_webhook_events');
select public.publish_to_realtime('public.conversation_messages');
