-- Who may see and change what. Nothing here is for visitors: anon is refused by grant, and no policy names it.
-- drizzle/schema.ts names the same policies; grants are said here alone.

revoke all on all tables in schema public from anon, authenticated;
grant all on all tables in schema public to service_role;
grant select on all tables in schema public to authenticated;
grant insert, update, delete
  on public.conversations, public.messages, public.artifacts, public.agent_definitions, public.agent_instances
  to authenticated;

-- Users. The row comes and goes with the sign-up, and the address belongs to auth.users: only the profile is the user's.
grant update (name, avatar_url) on public.users to authenticated;

create policy "Users read their own row" on public.users
  for select to authenticated using (id = (select auth.uid()));
create policy "Users change their own row" on public.users
  for update to authenticated using (id = (select auth.uid())) with check (id = (select auth.uid()));

-- Subscriptions are written by the server, from what Stripe says. agent_limit is what the user pays for.
create policy "Users read their own subscription" on public.subscriptions
  for select to authenticated using (user_id = (select auth.uid()));

-- Conversations and what hangs on them.
create policy "Users manage their own conversations" on public.conversations
  for all to authenticated using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));

create policy "Users manage the messages of their conversations" on public.messages
  for all to authenticated
  using (exists (
    select 1 from public.conversations c where c.id = conversation_id and c.user_id = (select auth.uid())))
  with check (exists (
    select 1 from public.conversations c where c.id = conversation_id and c.user_id = (select auth.uid())));

-- The message that an artifact names must be the user's too, or an artifact could be hung on a stranger's message.
create policy "Users manage their own artifacts" on public.artifacts
  for all to authenticated
  using (user_id = (select auth.uid()))
  with check (user_id = (select auth.uid()) and (message_id is null or exists (
    select 1 from public.messages m join public.conversations c on c.id = m.conversation_id
    where m.id = message_id and c.user_id = (select auth.uid()))));

-- Versions are written by a trigger.
create policy "Users read the versions of their artifacts" on public.artifact_versions
  for select to authenticated
  using (exists (
    select 1 from public.artifacts a where a.id = artifact_id and a.user_id = (select auth.uid())));

-- Agents. A public definition is for every signed-in user to read and to make an instance of.
create policy "Users manage their own agent definitions" on public.agent_definitions
  for all to authenticated using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
create policy "Signed-in users read public agent definitions" on public.agent_definitions
  for select to authenticated using (is_public);

create policy "Users manage their own agent instances" on public.agent_instances
  for all to authenticated using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));

-- The registry of tools says what code may be called with, so the server alone writes it.
create policy "Signed-in users read the tools" on public.agent_tools
  for select to authenticated using (true);

-- A user starts a workflow and may drop it; its status, steps and result are the engine's account of what happened.
grant delete on public.workflows to authenticated;
grant insert (id, user_id, agent_instance_id, workflow_id, status, goal, metadata) on public.workflows to authenticated;
grant update (goal, metadata) on public.workflows to authenticated;

create policy "Users read their own workflows" on public.workflows
  for select to authenticated using (user_id = (select auth.uid()));
create policy "Users start workflows of their own" on public.workflows
  for insert to authenticated
  with check (user_id = (select auth.uid()) and status = 'pending' and (agent_instance_id is null or exists (
    select 1 from public.agent_instances i where i.id = agent_instance_id and i.user_id = (select auth.uid()))));
create policy "Users change their own workflows" on public.workflows
  for update to authenticated using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
create policy "Users delete their own workflows" on public.workflows
  for delete to authenticated using (user_id = (select auth.uid()));
