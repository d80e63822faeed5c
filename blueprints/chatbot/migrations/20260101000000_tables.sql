-- The document's nine tables as Drizzle makes them, in their order of dependence, with what the document left out: time
-- zones, checks, delete rules and an index under every foreign key. drizzle/schema.ts says the same in TypeScript; a test
-- compares the two, constraint names included, so change both.

create table public.users (
  id         uuid primary key default gen_random_uuid() not null,
  email      text not null,
  name       text,
  avatar_url text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint users_email_unique unique (email),
  -- A user exists because somebody signed up, and goes when the sign-up goes.
  constraint users_id_users_id_fk foreign key (id) references auth.users (id) on delete cascade
);

create table public.subscriptions (
  id                        uuid primary key default gen_random_uuid() not null,
  user_id                   uuid not null,
  stripe_customer_id        text,
  stripe_subscription_id    text,
  stripe_price_id           text,
  stripe_current_period_end timestamptz,
  plan                      text not null,
  status                    text not null,
  -- Generated, so that a canceled subscription cannot claim to be active.
  is_active                 boolean not null generated always as (status = 'active') stored,
  agent_limit               integer not null,
  created_at                timestamptz not null default now(),
  updated_at                timestamptz not null default now(),
  constraint subscriptions_user_id_unique unique (user_id),
  constraint subscriptions_stripe_subscription_id_unique unique (stripe_subscription_id),
  constraint subscriptions_plan_check check (plan in ('free', 'pro', 'enterprise')),
  constraint subscriptions_status_check check (status in ('active', 'canceled', 'past_due')),
  constraint subscriptions_agent_limit_check check (agent_limit >= 0),
  constraint subscriptions_user_id_users_id_fk foreign key (user_id) references public.users (id) on delete cascade
);

create table public.conversations (
  id            uuid primary key default gen_random_uuid() not null,
  user_id       uuid not null,
  title         text not null default 'New chat',
  system_prompt text,
  metadata      jsonb,
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now(),
  constraint conversations_user_id_users_id_fk foreign key (user_id) references public.users (id) on delete cascade
);
create index conversations_user_id_idx on public.conversations (user_id, updated_at);

create table public.messages (
  id              uuid primary key default gen_random_uuid() not null,
  conversation_id uuid not null,
  role            text not null,
  -- A message that only calls a tool says nothing.
  content         text not null default '',
  parts           jsonb,
  attachments     jsonb,
  reasoning       text,
  created_at      timestamptz not null default now(),
  constraint messages_role_check check (role in ('user', 'assistant', 'system', 'tool')),
  constraint messages_conversation_id_conversations_id_fk
    foreign key (conversation_id) references public.conversations (id) on delete cascade
);
create index messages_conversation_id_idx on public.messages (conversation_id, created_at);

create table public.artifacts (
  id         uuid primary key default gen_random_uuid() not null,
  user_id    uuid not null,
  message_id uuid,
  type       text not null,
  title      text not null,
  content    text,
  metadata   jsonb,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint artifacts_type_check check (type in ('code', 'text', 'sheet', 'image')),
  constraint artifacts_user_id_users_id_fk foreign key (user_id) references public.users (id) on delete cascade,
  -- An artifact outlives the message that made it.
  constraint artifacts_message_id_messages_id_fk
    foreign key (message_id) references public.messages (id) on delete set null
);
create index artifacts_user_id_idx on public.artifacts (user_id, updated_at);
create index artifacts_message_id_idx on public.artifacts (message_id);

-- Not in the document: every saved state of an artifact, written by a trigger. 1 is the first.
create table public.artifact_versions (
  id          uuid primary key default gen_random_uuid() not null,
  artifact_id uuid not null,
  version     integer not null,
  title       text not null,
  content     text,
  created_at  timestamptz not null default now(),
  constraint artifact_versions_artifact_id_version_unique unique (artifact_id, version),
  constraint artifact_versions_artifact_id_artifacts_id_fk
    foreign key (artifact_id) references public.artifacts (id) on delete cascade
);

create table public.agent_definitions (
  id            uuid primary key default gen_random_uuid() not null,
  user_id       uuid not null,
  name          text not null,
  description   text not null,
  system_prompt text not null,
  is_public     boolean not null default false,
  -- Ids of agent_tools, as a JSON array of strings. A trigger checks them, and keeps a tool that is in use from vanishing.
  tools         jsonb,
  capabilities  jsonb,
  metadata      jsonb,
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now(),
  constraint agent_definitions_user_id_users_id_fk
    foreign key (user_id) references public.users (id) on delete cascade
);
create index agent_definitions_user_id_idx on public.agent_definitions (user_id);
create index agent_definitions_is_public_idx on public.agent_definitions (is_public) where is_public;
create index agent_definitions_tools_idx on public.agent_definitions using gin (tools);

create table public.agent_instances (
  id            uuid primary key default gen_random_uuid() not null,
  user_id       uuid not null,
  definition_id uuid not null,
  name          text not null,
  configuration jsonb,
  status        text not null default 'active',
  metadata      jsonb,
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now(),
  constraint agent_instances_status_check check (status in ('active', 'paused', 'archived')),
  constraint agent_instances_user_id_users_id_fk
    foreign key (user_id) references public.users (id) on delete cascade,
  -- Takes the owner's own instances only: other users' are first given a copy of the definition, by a trigger.
  constraint agent_instances_definition_id_agent_definitions_id_fk
    foreign key (definition_id) references public.agent_definitions (id) on delete cascade
);
create index agent_instances_user_id_idx on public.agent_instances (user_id, created_at);
create index agent_instances_definition_id_idx on public.agent_instances (definition_id);

create table public.agent_tools (
  id          uuid primary key default gen_random_uuid() not null,
  name        text not null,
  description text not null,
  -- JSON Schema of the parameters. The check wants an object of named arguments; a trigger looks further down.
  schema      jsonb not null,
  is_system   boolean not null default false,
  metadata    jsonb,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  constraint agent_tools_name_unique unique (name),
  constraint agent_tools_schema_check check (schema @> '{"type": "object"}')
);

create table public.workflows (
  id                uuid primary key default gen_random_uuid() not null,
  user_id           uuid not null,
  agent_instance_id uuid,
  workflow_id       text not null,
  status            text not null,
  goal              text not null,
  steps             jsonb,
  result            jsonb,
  metadata          jsonb,
  created_at        timestamptz not null default now(),
  updated_at        timestamptz not null default now(),
  constraint workflows_workflow_id_unique unique (workflow_id),
  constraint workflows_status_check check (status in ('pending', 'running', 'completed', 'failed')),
  constraint workflows_user_id_users_id_fk foreign key (user_id) references public.users (id) on delete cascade,
  -- What was done stays on record when the agent that did it is gone.
  constraint workflows_agent_instance_id_agent_instances_id_fk
    foreign key (agent_instance_id) references public.agent_instances (id) on delete set null
);
create index workflows_user_id_idx on public.workflows (user_id, created_at);
create index workflows_agent_instance_id_idx on public.workflows (agent_instance_id);
create index workflows_status_idx on public.workflows (status, created_at);

-- In the same transaction as the tables, so that no moment exists in which they stand open. Policies follow.
alter table public.users enable row level security;
alter table public.subscriptions enable row level security;
alter table public.conversations enable row level security;
alter table public.messages enable row level security;
alter table public.artifacts enable row level security;
alter table public.artifact_versions enable row level security;
alter table public.agent_definitions enable row level security;
alter table public.agent_instances enable row level security;
alter table public.agent_tools enable row level security;
alter table public.workflows enable row level security;
