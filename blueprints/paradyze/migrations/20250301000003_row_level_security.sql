-- Users can only view, insert, update and delete what they own.
--
-- A new table is granted to anon and authenticated in full; only row level security stands between, so it is on for
-- every table and grants nothing by default. Columns that the server alone writes are closed by column grants, because
-- a policy speaks about rows.

alter table public.profiles enable row level security;
alter table public.agents enable row level security;
alter table public.agent_secrets enable row level security; -- and no policy: nobody but the server
alter table public.twitter_accounts enable row level security;
alter table public.conversations enable row level security;
alter table public.messages enable row level security;
alter table public.tweets enable row level security;

-- Row level security says nothing about these three.
revoke truncate, references, trigger on all tables in schema public from anon, authenticated;

-- ---- profiles -------------------------------------------------------------------------------------------------------

create policy "Users can manage their own profile" on public.profiles
  for all to authenticated
  using (id = (select auth.uid()));

-- The email follows the account.
revoke insert, update on public.profiles from anon, authenticated;
grant insert (id, display_name), update (display_name) on public.profiles to authenticated;

-- ---- agents ---------------------------------------------------------------------------------------------------------

create policy "Users can manage their own agents" on public.agents
  for all to authenticated
  using (user_id = (select auth.uid()));

-- Whoever writes eliza_id chooses which running agent is theirs to stop.
revoke insert, update on public.agents from anon, authenticated;
grant insert (id, user_id, name, description, template_id, config),
      update (name, description, template_id, config) on public.agents to authenticated;

revoke all on public.agent_secrets from anon, authenticated;

-- ---- twitter_accounts -----------------------------------------------------------------------------------------------

create policy "Users can view their own Twitter accounts" on public.twitter_accounts
  for select to authenticated
  using (user_id = (select auth.uid()));

create policy "Users can unlink their own Twitter accounts" on public.twitter_accounts
  for delete to authenticated
  using (user_id = (select auth.uid()));

-- A row is the proof that Twitter let this user in; only the server, at the end of the OAuth dance, has that proof. A
-- user who could insert one would keep the account's true owner from linking it.
revoke all on public.twitter_accounts from anon, authenticated;
grant select (id, user_id, twitter_user_id, username, created_at, updated_at), delete
  on public.twitter_accounts to authenticated;

-- ---- conversations --------------------------------------------------------------------------------------------------

-- Reading asks for the user alone; writing also for the agent, so that nobody talks to another's agent.
create policy "Users can manage their own conversations" on public.conversations
  for all to authenticated
  using (user_id = (select auth.uid()))
  with check (
    user_id = (select auth.uid())
    and agent_id in (select a.id from public.agents a where a.user_id = (select auth.uid()))
  );

-- ---- messages -------------------------------------------------------------------------------------------------------

-- What an agent said is written by the server: a user who could write it would put words into the agent's mouth, and
-- the model takes them for its own.
create policy "Users can manage messages of their own conversations" on public.messages
  for all to authenticated
  using (conversation_id in (select c.id from public.conversations c where c.user_id = (select auth.uid())))
  with check (
    sender_type = 'user'
    and conversation_id in (select c.id from public.conversations c where c.user_id = (select auth.uid()))
  );

revoke update on public.messages from anon, authenticated;
grant update (content) on public.messages to authenticated;

-- ---- tweets ---------------------------------------------------------------------------------------------------------

-- Own agent and own account, both: with the agent alone, a user posts through anybody's account.
create policy "Users can view their own tweets" on public.tweets
  for select to authenticated
  using (
    agent_id in (select a.id from public.agents a where a.user_id = (select auth.uid()))
    and twitter_account_id in (select t.id from public.twitter_accounts t where t.user_id = (select auth.uid()))
  );

create policy "Users can queue tweets of their own agents" on public.tweets
  for insert to authenticated
  with check (
    status = 'pending'
    and agent_id in (select a.id from public.agents a where a.user_id = (select auth.uid()))
    and twitter_account_id in (select t.id from public.twitter_accounts t where t.user_id = (select auth.uid()))
  );

-- Only what has not been posted can be edited or cancelled, and only the server says that it was posted.
create policy "Users can edit and cancel their own pending tweets" on public.tweets
  for update to authenticated
  using (
    status = 'pending'
    and agent_id in (select a.id from public.agents a where a.user_id = (select auth.uid()))
    and twitter_account_id in (select t.id from public.twitter_accounts t where t.user_id = (select auth.uid()))
  )
  with check (
    status in ('pending', 'cancelled')
    and agent_id in (select a.id from public.agents a where a.user_id = (select auth.uid()))
    and twitter_account_id in (select t.id from public.twitter_accounts t where t.user_id = (select auth.uid()))
  );

create policy "Users can delete their own tweets" on public.tweets
  for delete to authenticated
  using (
    agent_id in (select a.id from public.agents a where a.user_id = (select auth.uid()))
    and twitter_account_id in (select t.id from public.twitter_accounts t where t.user_id = (select auth.uid()))
  );

revoke insert, update on public.tweets from anon, authenticated;
grant insert (id, agent_id, twitter_account_id, content, status),
      update (twitter_account_id, content, status) on public.tweets to authenticated;
