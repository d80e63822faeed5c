-- Users can only access their own data and that of their teams.
--
-- A new table is granted to anon and authenticated in full; only row level security stands between, so it is on for
-- every table. Columns that the server alone writes are closed by column grants, because a policy speaks about rows.

alter table public.users enable row level security;
alter table public.teams enable row level security;
alter table public.user_roles enable row level security;
alter table public.team_invites enable row level security;
alter table public.agents enable row level security;
alter table public.agent_templates enable row level security;
alter table public.deployments enable row level security;
alter table public.workflows enable row level security;
alter table public.workflow_executions enable row level security;
alter table public.notifications enable row level security;
alter table public.agent_thoughts enable row level security;
alter table public.agent_metrics enable row level security;
alter table public.api_usage enable row level security;

-- Row level security says nothing about these three.
revoke truncate, references, trigger on all tables in schema public from anon, authenticated;

-- ---- users ----------------------------------------------------------------------------------------------------------

create policy "Users can view their own profile" on public.users
  for select to authenticated
  using (id = (select auth.uid()));

create policy "Users can update their own profile" on public.users
  for update to authenticated
  using (id = (select auth.uid()));

-- The address follows the account, and the tier follows the payment.
revoke insert, update, delete on public.users from anon, authenticated;
grant update (full_name, avatar_url) on public.users to authenticated;

-- ---- teams and roles ------------------------------------------------------------------------------------------------

create policy "Members can view their teams" on public.teams
  for select to authenticated
  using (id in (select private.teams_as('{admin,agent_manager,viewer}')));

-- `insert … returning` shows the row before the trigger has made its creator a member.
create policy "Creators can view the team they are making" on public.teams
  for select to authenticated
  using (created_by = (select auth.uid()) and not private.team_has_members(id));

create policy "Users can create teams" on public.teams
  for insert to authenticated
  with check (created_by = (select auth.uid()));

create policy "Admins can update their teams" on public.teams
  for update to authenticated
  using (id in (select private.teams_as('{admin}')));

create policy "Admins can delete their teams" on public.teams
  for delete to authenticated
  using (id in (select private.teams_as('{admin}')));

revoke insert, update on public.teams from anon, authenticated;
grant insert (id, name, slug, created_by), update (name, slug) on public.teams to authenticated;

create policy "Members can view the roles of their teams" on public.user_roles
  for select to authenticated
  using (user_id = (select auth.uid()) or team_id in (select private.teams_as('{admin,agent_manager,viewer}')));

create policy "Admins can grant roles" on public.user_roles
  for insert to authenticated
  with check (team_id in (select private.teams_as('{admin}')) and granted_by = (select auth.uid()));

create policy "Admins can change roles" on public.user_roles
  for update to authenticated
  using (team_id in (select private.teams_as('{admin}')));

create policy "Admins can take roles away and members can leave" on public.user_roles
  for delete to authenticated
  using (user_id = (select auth.uid()) or team_id in (select private.teams_as('{admin}')));

revoke update on public.user_roles from anon, authenticated;
grant update (role) on public.user_roles to authenticated;

create policy "Admins can manage invitations" on public.team_invites
  for all to authenticated
  using (team_id in (select private.teams_as('{admin}')))
  with check (team_id in (select private.teams_as('{admin}')) and invited_by = (select auth.uid()));

create policy "Invited users can view their invitations" on public.team_invites
  for select to authenticated
  using (lower(email) = (select private.confirmed_email()));

-- An invitation is withdrawn and made anew, never changed under the one who has read it.
revoke update on public.team_invites from anon, authenticated;

-- ---- agents ---------------------------------------------------------------------------------------------------------

-- The check also asks who may put an agent into a team; without it anybody could place agents before any team's eyes.
create policy "Users can manage their own agents" on public.agents
  for all to authenticated
  using ((select auth.uid()) = created_by)
  with check (
    (select auth.uid()) = created_by
    and (team_id is null or team_id in (select private.teams_as('{admin,agent_manager}')))
  );

create policy "Team members can view team agents" on public.agents
  for select to authenticated
  using (team_id in (select private.teams_as('{admin,agent_manager,viewer}')));

create policy "Agent managers can update team agents" on public.agents
  for update to authenticated
  using (team_id in (select private.teams_as('{admin,agent_manager}')));

create policy "Agent managers can delete team agents" on public.agents
  for delete to authenticated
  using (team_id in (select private.teams_as('{admin,agent_manager}')));

revoke insert, update on public.agents from anon, authenticated;
grant insert (id, name, description, type, status, config, deployment_config, created_by, team_id),
      update (name, description, type, status, config, deployment_config, team_id) on public.agents to authenticated;

create policy "Users can view public templates" on public.agent_templates
  for select to authenticated
  using (is_public);

create policy "Users can manage their own templates" on public.agent_templates
  for all to authenticated
  using (created_by = (select auth.uid()));

-- ---- deployments ----------------------------------------------------------------------------------------------------

create policy "Users can access deployments for their agents" on public.deployments
  for all to authenticated
  using (
    exists (
      select 1 from public.agents
      where agents.id = deployments.agent_id
        and agents.created_by = (select auth.uid())
    )
  );

-- An agent that the caller may see, by the policies of agents. EXISTS and not IN, here and below: for one row, as
-- realtime asks, it is one look into the key; for many, PostgreSQL makes the list of agents once.
create policy "Team members can view deployments of team agents" on public.deployments
  for select to authenticated
  using (exists (select from public.agents a where a.id = deployments.agent_id));

create policy "Agent managers can manage deployments of team agents" on public.deployments
  for all to authenticated
  using (
    exists (
      select from public.agents a
      where a.id = deployments.agent_id
        and a.team_id in (select private.teams_as('{admin,agent_manager}'))
    )
  );

-- How far a deployment is, the deployer says. Users ask for one, and for its end.
create policy "Users can only stop deployments" on public.deployments
  as restrictive for update to authenticated
  using (true)
  with check (status = 'stopped');

revoke insert, update on public.deployments from anon, authenticated;
grant insert (id, agent_id, trigger_type, trigger_config), update (status) on public.deployments to authenticated;

-- ---- workflows ------------------------------------------------------------------------------------------------------

create policy "Users can access workflows for their agents" on public.workflows
  for all to authenticated
  using (
    exists (
      select 1 from public.agents
      where agents.id = workflows.agent_id
        and agents.created_by = (select auth.uid())
    )
  );

create policy "Team members can view workflows of team agents" on public.workflows
  for select to authenticated
  using (exists (select from public.agents a where a.id = workflows.agent_id));

create policy "Agent managers can manage workflows of team agents" on public.workflows
  for all to authenticated
  using (
    exists (
      select from public.agents a
      where a.id = workflows.agent_id
        and a.team_id in (select private.teams_as('{admin,agent_manager}'))
    )
  );

-- Counters and times are kept by triggers; n8n_workflow_id names what the server acts on.
revoke insert, update on public.workflows from anon, authenticated;
grant insert (id, agent_id, name, description, trigger_config, status),
      update (name, description, trigger_config, status) on public.workflows to authenticated;

-- ---- what agents leave behind: read by whoever sees the agent, written by the server --------------------------------

create policy "Users can view executions of workflows they see" on public.workflow_executions
  for select to authenticated
  using (exists (select from public.workflows w where w.id = workflow_executions.workflow_id));

create policy "Users can view thoughts of agents they see" on public.agent_thoughts
  for select to authenticated
  using (exists (select from public.agents a where a.id = agent_thoughts.agent_id));

create policy "Users can view metrics of agents they see" on public.agent_metrics
  for select to authenticated
  using (exists (select from public.agents a where a.id = agent_metrics.agent_id));

create policy "Users can view their own usage" on public.api_usage
  for select to authenticated
  using (user_id = (select auth.uid()));

revoke insert, update, delete
  on public.workflow_executions, public.agent_thoughts, public.agent_metrics, public.api_usage
  from anon, authenticated;

-- ---- notifications --------------------------------------------------------------------------------------------------

create policy "Users can access their own notifications" on public.notifications
  for all to authenticated
  using ((select auth.uid()) = user_id);
