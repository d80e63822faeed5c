-- What happens by itself: sign-up makes a profile, saving an agent parts its secrets from its character, a tweet is
-- refused when agent and account are not the same person's, and updated_at moves.

-- Trigger functions and helpers that nobody calls by name. The schema is not exposed, and USAGE is given to nobody.
create schema private;

-- ---- profiles follow auth accounts ----------------------------------------------------------------------------------

-- SECURITY DEFINER: it runs as the auth server, which has no rights in public.
create function public.handle_new_user() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.profiles (id, email, display_name)
  values (
    new.id,
    new.email,
    coalesce(new.raw_user_meta_data ->> 'display_name',
             new.raw_user_meta_data ->> 'full_name', -- what OAuth providers send
             new.raw_user_meta_data ->> 'name')
  );
  return new;
end $$;
revoke execute on function public.handle_new_user() from public, anon, authenticated;

create trigger on_auth_user_created
  after insert on auth.users
  for each row execute function public.handle_new_user();

-- The address is the account's: a user changes it there, with a confirmation, and the profile follows.
create function private.sync_profile_email() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.profiles set email = new.email where id = new.id;
  return new;
end $$;
revoke execute on function private.sync_profile_email() from public;

create trigger on_auth_user_email_changed
  after update of email on auth.users
  for each row when (old.email is distinct from new.email)
  execute function private.sync_profile_email();

-- ---- updated_at -----------------------------------------------------------------------------------------------------

create function public.set_updated_at() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.updated_at = now();
  return new;
end $$;

create trigger set_profiles_updated_at before update on public.profiles
  for each row execute function public.set_updated_at();
create trigger set_agents_updated_at before update on public.agents
  for each row execute function public.set_updated_at();
create trigger set_agent_secrets_updated_at before update on public.agent_secrets
  for each row execute function public.set_updated_at();
create trigger set_twitter_accounts_updated_at before update on public.twitter_accounts
  for each row execute function public.set_updated_at();
create trigger set_conversations_updated_at before update on public.conversations
  for each row execute function public.set_updated_at();

-- A conversation is as recent as its last message, so a list of conversations can be ordered by it.
create function private.touch_conversation() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.conversations set updated_at = now() where id = new.conversation_id;
  return null;
end $$;
revoke execute on function private.touch_conversation() from public;

create trigger touch_conversation after insert on public.messages
  for each row execute function private.touch_conversation();

-- ---- secrets of characters ------------------------------------------------------------------------------------------

-- All entries of every object named `secrets`, however deep: character files have them at the top, under `settings`,
-- and under `settings` of a wrapped `character`.
create function private.secrets_in(config jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  with recursive node (key, value) as (
    select '', config
    union all
    select child.key, child.value
    from node cross join lateral (
      select key, value
      from jsonb_each(case jsonb_typeof(node.value) when 'object' then node.value else '{}' end)
      union all
      select '', value
      from jsonb_array_elements(case jsonb_typeof(node.value) when 'array' then node.value else '[]' end)
    ) child
    where lower(node.key) <> 'secrets'
  )
  select coalesce(jsonb_object_agg(secret.key, secret.value), '{}')
  from node cross join lateral jsonb_each(
    case jsonb_typeof(node.value) when 'object' then node.value else jsonb_build_object('secrets', node.value) end
  ) secret
  where lower(node.key) = 'secrets'
$$;
revoke execute on function private.secrets_in(jsonb) from public;

-- The same config without them.
create function private.without_secrets(config jsonb) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  case jsonb_typeof(config)
    when 'object' then
      return (select coalesce(jsonb_object_agg(key, private.without_secrets(value)), '{}')
              from jsonb_each(config) where lower(key) <> 'secrets');
    when 'array' then
      return (select coalesce(jsonb_agg(private.without_secrets(value) order by position), '[]')
              from jsonb_array_elements(config) with ordinality item (value, position));
    else
      return config;
  end case;
end $$;
revoke execute on function private.without_secrets(jsonb) from public;

-- Moves the secrets of a saved character to agent_secrets, where a name that is there already gets the new value and a
-- name with the value null is forgotten. A trigger BEFORE the write, so that a secret never reaches the table, its dead
-- rows, or the change stream of agents.
--
-- It also runs for an insert that ON CONFLICT then turns away. Row level security has vouched for new.user_id by the
-- end of the statement, hence the test for another's agent with this id: without it a stranger could overwrite secrets
-- by inserting a row that is never stored.
create function private.move_agent_secrets() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  found_secrets constant jsonb := private.secrets_in(new.config);
begin
  new.config := private.without_secrets(new.config);
  if found_secrets <> '{}' then
    insert into public.agent_secrets as kept (agent_id, secrets)
    select new.id, jsonb_strip_nulls(found_secrets)
    where not exists (select from public.agents a where a.id = new.id and a.user_id <> new.user_id)
    on conflict (agent_id) do update set secrets = jsonb_strip_nulls(kept.secrets || found_secrets);
  end if;
  return new;
end $$;
revoke execute on function private.move_agent_secrets() from public;

create trigger move_agent_secrets
  before insert or update of config on public.agents
  for each row when (new.config is not null)
  execute function private.move_agent_secrets();

-- ---- tweets ---------------------------------------------------------------------------------------------------------

-- An agent posts with its owner's account only. The policies say so for users; this says so for the server too, which
-- passes row level security and queues tweets that agents draft. A foreign row reads as absent to a user, so the answer
-- tells nothing about it.
create function private.check_tweet_owner() returns trigger
language plpgsql set search_path = '' as $$
begin
  if not exists (
    select from public.agents a join public.twitter_accounts t on t.user_id = a.user_id
    where a.id = new.agent_id and t.id = new.twitter_account_id
  ) then
    raise insufficient_privilege using message = 'an agent can only tweet through a Twitter account of its own owner';
  end if;
  return new;
end $$;

create trigger check_tweet_owner
  before insert or update of agent_id, twitter_account_id on public.tweets
  -- A missing one is answered by the column's own rule.
  for each row when (new.agent_id is not null and new.twitter_account_id is not null)
  execute function private.check_tweet_owner();
