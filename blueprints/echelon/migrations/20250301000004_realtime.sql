-- The document's subscriptions, and what its mind map and deployment pages show live.
alter publication supabase_realtime add table
  public.agents, public.notifications, public.deployments, public.workflows, public.workflow_executions,
  public.agent_thoughts;

-- Subscribers filter these by created_by and user_id. A deleted row is matched by what the log keeps of it, and by
-- default that is the primary key alone.
alter table public.agents replica identity full;
alter table public.notifications replica identity full;
