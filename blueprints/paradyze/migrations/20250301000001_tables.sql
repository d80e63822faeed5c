-- The seven things Paradyze stores: who, their agents, what was said, and what is posted for them.
--
-- Every table here is reachable through the data API. What closes them is in 20250301000003_row_level_security.sql.

-- ---- profiles -------------------------------------------------------------------------------------------------------

create table public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  display_name text,
  email text, -- null for accounts that signed up with a phone number
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.profiles is 'User information linked to the auth account of the same id.';

-- ---- agents ---------------------------------------------------------------------------------------------------------

create table public.agents (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null default auth.uid() references public.profiles (id) on delete cascade,
  -- The agent's name in the runtime, written by the server when the runtime has made it. Two rows with one eliza_id
  -- would be two owners of one running agent.
  eliza_id text unique,
  name text not null,
  description text,
  template_id text,
  config jsonb,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.agents is 'ElizaOS agent configurations.';
comment on column public.agents.eliza_id is 'ElizaOS agent identifier; null until the runtime has created the agent.';
comment on column public.agents.template_id is 'Character template identifier.';
comment on column public.agents.config is
  'Overrides of the template''s character. Never holds secrets: see agent_secrets.';

create index agents_user_id_idx on public.agents (user_id);

-- A character file carries the provider keys of its author under `secrets`. They are moved here when an agent is saved
-- (20250301000002), because config is sent to browsers.
create table public.agent_secrets (
  -- Deferred: the row is written by a trigger that runs before the agent's own row is there.
  agent_id uuid primary key references public.agents (id) on delete cascade deferrable initially deferred,
  secrets jsonb not null default '{}' check (jsonb_typeof(secrets) = 'object'),
  updated_at timestamptz not null default now()
);
comment on table public.agent_secrets is
  'Secrets of a character, by name. For the server alone: no API role may read it.';

-- ---- twitter_accounts -----------------------------------------------------------------------------------------------

create table public.twitter_accounts (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null default auth.uid() references public.profiles (id) on delete cascade,
  -- One Twitter account belongs to one user: otherwise two users' queues post in one name and nobody knows who did.
  twitter_user_id text not null unique,
  username text not null,
  -- Null once access has been revoked; the account's history stays.
  access_token text,
  access_secret text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.twitter_accounts is
  'Twitter accounts linked to users. The two OAuth secrets are for the server alone.';

create index twitter_accounts_user_id_idx on public.twitter_accounts (user_id);

-- ---- conversations and messages -------------------------------------------------------------------------------------

create table public.conversations (
  id uuid primary key default gen_random_uuid(),
  agent_id uuid not null references public.agents (id) on delete cascade,
  user_id uuid not null default auth.uid() references public.profiles (id) on delete cascade,
  -- Made with the row, so a conversation has exactly one room from its first moment. Unique over all users: the
  -- runtime gives the memory of a room to whoever names it.
  room_id text not null unique default gen_random_uuid()::text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.conversations is 'Conversations between users and agents.';
comment on column public.conversations.room_id is 'ElizaOS room identifier.';

create index conversations_agent_id_idx on public.conversations (agent_id);
create index conversations_user_id_idx on public.conversations (user_id);

create table public.messages (
  id uuid primary key default gen_random_uuid(),
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  sender_type text not null check (sender_type in ('user', 'agent')),
  content text not null,
  -- The clock and not now(): a question and its answer stored in one transaction must keep their order.
  created_at timestamptz not null default clock_timestamp()
);
comment on table public.messages is 'Messages within conversations, in the order of created_at.';

-- History is always read in order, so the index carries it.
create index messages_conversation_id_idx on public.messages (conversation_id, created_at);

-- ---- tweets ---------------------------------------------------------------------------------------------------------

create table public.tweets (
  id uuid primary key default gen_random_uuid(),
  agent_id uuid not null references public.agents (id) on delete cascade,
  twitter_account_id uuid not null references public.twitter_accounts (id) on delete cascade,
  content text not null,
  twitter_tweet_id text unique, -- a tweet recorded twice would be a tweet counted twice
  status text not null default 'pending' check (status in ('pending', 'posted', 'failed', 'cancelled')),
  -- How posting went so far. Written by the server alone.
  attempts integer not null default 0 check (attempts >= 0),
  next_attempt_at timestamptz not null default now(),
  error text,
  created_at timestamptz not null default now(),
  posted_at timestamptz
);
comment on table public.tweets is
  'Tweets of agents: queued as pending, then posted, failed, or cancelled by their owner.';
comment on column public.tweets.next_attempt_at is 'Not to be tried before this time; moved on by a rate limit.';
comment on column public.tweets.error is 'Why the last attempt failed, in words for the owner.';

create index tweets_agent_id_idx on public.tweets (agent_id, created_at);
create index tweets_twitter_account_id_idx on public.tweets (twitter_account_id, created_at);
-- The queue: small however long the history grows.
create index tweets_pending_idx on public.tweets (next_attempt_at) where status = 'pending';
