-- Users, teams, agents and all that agents leave behind: deployments, workflows, executions, thoughts, numbers.
--
-- The order differs from the document's: a table comes after those it refers to. Indexes are at the end.

-- ---- User management ------------------------------------------------------------------------------------------------

create table public.users (
  id uuid primary key references auth.users (id) on delete cascade,
  email varchar(255) unique not null,
  full_name varchar(255),
  avatar_url text,
  subscription_tier varchar(50) default 'free', -- written by the server, see the column grants
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);
comment on table public.users is 'Profile of each auth account, made by the sign-up trigger.';

create table public.teams (
  id uuid primary key default gen_random_uuid(),
  name varchar(255) not null,
  slug varchar(100) unique not null,
  plan varchar(50) default 'starter', -- written by the server
  created_by uuid references public.users (id) on delete set null, -- a team outlives the account that made it
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);
comment on table public.teams is 'Tenants. Whoever creates a team becomes its admin.';

create table public.user_roles (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references public.users (id) on delete cascade,
  role varchar(50) not null check (role in ('admin', 'agent_manager', 'viewer')),
  team_id uuid references public.teams (id) on delete cascade,
  granted_by uuid default auth.uid() references public.users (id) on delete set null,
  granted_at timestamptz default now(),
  -- One role each: with two rows, taking one away would leave the other.
  unique (user_id, team_id)
);
comment on table public.user_roles is
  'Who is what in which team: viewers read, agent managers change agents, admins manage roles.';

create table public.team_invites (
  id uuid primary key default gen_random_uuid(),
  team_id uuid not null references public.teams (id) on delete cascade,
  email varchar(255) not null,
  role varchar(50) not null default 'viewer' check (role in ('admin', 'agent_manager', 'viewer')),
  invited_by uuid default auth.uid() references public.users (id) on delete set null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null default now() + interval '7 days'
);
comment on table public.team_invites is
  'Open invitations into teams; accept_team_invite turns one into a role and removes it.';

-- ---- Agent management -----------------------------------------------------------------------------------------------

create table public.agents (
  id uuid primary key default gen_random_uuid(),
  name varchar(255) not null,
  description text,
  type varchar(100) not null check (type in ('market', 'websearch', 'media', 'alarm')),
  status varchar(50) not null default 'inactive' check (status in ('active', 'paused', 'error', 'inactive')),
  config jsonb not null default '{}',
  deployment_config jsonb default '{}',
  created_by uuid references public.users (id) on delete cascade,
  team_id uuid references public.teams (id) on delete set null, -- back to its creator alone
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  last_activity timestamptz
);
comment on table public.agents is 'Agents of one user, and of a team when team_id is set.';

create table public.agent_templates (
  id uuid primary key default gen_random_uuid(),
  name varchar(255) not null,
  description text,
  type varchar(100) not null check (type in ('market', 'websearch', 'media', 'alarm')),
  default_config jsonb not null,
  is_public boolean default false,
  -- A public template stays for those who use it; a private one goes with its owner, by a trigger.
  created_by uuid references public.users (id) on delete set null,
  created_at timestamptz default now()
);
comment on table public.agent_templates is 'What new agents are made from: public ones and one''s own.';

-- ---- Workflow and deployment management -----------------------------------------------------------------------------

create table public.deployments (
  id uuid primary key default gen_random_uuid(),
  agent_id uuid references public.agents (id) on delete cascade,
  version integer not null default 1, -- counted per agent by a trigger
  status varchar(50) not null default 'pending'
    check (status in ('pending', 'deploying', 'deployed', 'failed', 'stopped')),
  trigger_type varchar(100) check (trigger_type in ('manual', 'config_change', 'scheduled')),
  trigger_config jsonb default '{}',
  deployment_url text,
  error_message text,
  deployed_at timestamptz,
  stopped_at timestamptz,
  created_at timestamptz default now(),
  unique (agent_id, version)
);
comment on table public.deployments is 'Attempts to bring an agent into service, numbered per agent.';

create table public.workflows (
  id uuid primary key default gen_random_uuid(),
  agent_id uuid references public.agents (id) on delete cascade,
  name varchar(255) not null,
  description text,
  -- Unique and written by the server: the server acts on this id in an n8n that all tenants share.
  n8n_workflow_id varchar(255) unique,
  trigger_config jsonb default '{}',
  status varchar(50) not null default 'inactive' check (status in ('active', 'paused', 'error', 'inactive')),
  last_execution timestamptz,
  next_execution timestamptz,
  -- Kept by a trigger on workflow_executions.
  execution_count integer not null default 0,
  success_count integer not null default 0,
  error_count integer not null default 0,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);
comment on table public.workflows is 'n8n workflows of agents, with counts of their executions.';

create table public.workflow_executions (
  id uuid primary key default gen_random_uuid(),
  workflow_id uuid references public.workflows (id) on delete cascade,
  execution_id varchar(255), -- n8n's
  status varchar(50) not null default 'running' check (status in ('running', 'success', 'error', 'waiting')),
  input_data jsonb,
  output_data jsonb,
  error_data jsonb,
  execution_time_ms integer,
  started_at timestamptz default now(),
  completed_at timestamptz,
  -- n8n reports one execution by callback and by poll; it is one row, counted once.
  unique (workflow_id, execution_id)
);
comment on table public.workflow_executions is 'Runs of workflows, reported by n8n.';

-- ---- Real-time communication ----------------------------------------------------------------------------------------

create table public.notifications (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references public.users (id) on delete cascade,
  type varchar(100) not null check (
    type in ('agent_status_change', 'agent_error', 'deployment_success', 'rate_limit_warning', 'budget_warning')),
  title varchar(255) not null,
  message text not null,
  data jsonb default '{}',
  priority varchar(20) not null default 'medium' check (priority in ('low', 'medium', 'high', 'critical')),
  read_at timestamptz,
  expires_at timestamptz,
  created_at timestamptz default now()
);
comment on table public.notifications is 'What users should know. Unread while read_at is null.';

create table public.agent_thoughts (
  id uuid primary key default gen_random_uuid(),
  agent_id uuid references public.agents (id) on delete cascade,
  execution_id uuid references public.workflow_executions (id) on delete cascade,
  node_id varchar(100) not null,
  node_type varchar(50) not null check (node_type in ('input', 'processing', 'action', 'output')),
  content text not null,
  metadata jsonb default '{}',
  parent_node_id varchar(100),
  confidence_score decimal(3, 2),
  processing_time_ms integer,
  created_at timestamptz default now()
);
comment on table public.agent_thoughts is 'Nodes of the mind map: a tree per execution by node_id and parent_node_id.';

-- ---- Analytics and monitoring ---------------------------------------------------------------------------------------

create table public.agent_metrics (
  id uuid primary key default gen_random_uuid(),
  agent_id uuid references public.agents (id) on delete cascade,
  metric_type varchar(100) not null check (metric_type in ('response_time', 'accuracy', 'cost', 'success_rate')),
  value numeric not null,
  unit varchar(50) check (unit in ('ms', 'usd', 'percent', 'count')),
  metadata jsonb default '{}',
  recorded_at timestamptz default now()
);
comment on table public.agent_metrics is 'Measurements of agents over time.';

create table public.api_usage (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references public.users (id) on delete cascade,
  agent_id uuid references public.agents (id) on delete set null, -- the cost stays when the agent goes
  endpoint varchar(255) not null,
  method varchar(10) not null,
  status_code integer not null,
  response_time_ms integer,
  cost_usd numeric(18, 9), -- a billionth of a dollar: one token of a small model costs a tenth of a millionth
  created_at timestamptz default now()
);
comment on table public.api_usage is 'One row per call of an outside API, with its cost.';

-- ---- Indexes --------------------------------------------------------------------------------------------------------
-- Left out because another index begins with the same column: idx_agents_created_by (idx_agents_user_status),
-- idx_deployments_agent_id (idx_deployments_agent_status), idx_workflow_executions_workflow_id
-- (idx_workflow_executions_workflow_status).

create index idx_agents_team_id on public.agents (team_id);
create index idx_agents_type on public.agents (type);
create index idx_agents_status on public.agents (status);
create index idx_deployments_status on public.deployments (status);
create index idx_workflow_executions_status on public.workflow_executions (status);
create index idx_workflow_executions_started_at on public.workflow_executions (started_at);
create index idx_notifications_user_id on public.notifications (user_id);
create index idx_notifications_created_at on public.notifications (created_at);
create index idx_notifications_priority on public.notifications (priority);
create index idx_agent_thoughts_agent_id on public.agent_thoughts (agent_id);
create index idx_agent_thoughts_execution_id on public.agent_thoughts (execution_id);
create index idx_agent_thoughts_created_at on public.agent_thoughts (created_at);
create index idx_agent_metrics_agent_id on public.agent_metrics (agent_id);
create index idx_agent_metrics_type on public.agent_metrics (metric_type);
create index idx_agent_metrics_recorded_at on public.agent_metrics (recorded_at);
create index idx_api_usage_user_id on public.api_usage (user_id);
create index idx_api_usage_agent_id on public.api_usage (agent_id);
create index idx_api_usage_created_at on public.api_usage (created_at);

-- Composite indexes for common queries
create index idx_agents_user_status on public.agents (created_by, status);
create index idx_deployments_agent_status on public.deployments (agent_id, status);
create index idx_workflow_executions_workflow_status on public.workflow_executions (workflow_id, status);

-- Partial indexes for active records
create index idx_active_agents on public.agents (created_by) where status = 'active';
create index idx_unread_notifications on public.notifications (user_id, created_at) where read_at is null;

-- Foreign keys and policy columns that the document leaves without an index (user_roles.user_id has its unique one).
create index idx_user_roles_team_id on public.user_roles (team_id);
create index idx_user_roles_granted_by on public.user_roles (granted_by);
create index idx_teams_created_by on public.teams (created_by);
create index idx_agent_templates_created_by on public.agent_templates (created_by);
create index idx_agent_templates_public on public.agent_templates (type) where is_public;
create index idx_workflows_agent_id on public.workflows (agent_id);
create index idx_team_invites_email on public.team_invites (lower(email));
create index idx_team_invites_invited_by on public.team_invites (invited_by);
-- An address is invited once per team.
create unique index idx_team_invites_team_email on public.team_invites (team_id, lower(email));
