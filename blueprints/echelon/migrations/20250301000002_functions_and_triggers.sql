-- What happens by itself: profiles follow accounts, creators become admins, versions and executions are counted, and a
-- change of an agent's status reaches its creator.

-- Helpers of policies and triggers. The schema is not exposed, and USAGE is given to nobody: a stored policy needs only
-- EXECUTE, so no caller can name these functions.
create schema private;

-- ---- profiles follow auth accounts ----------------------------------------------------------------------------------

-- The address of an account. users.email may be neither null nor twice the same, and who signs up by phone has none:
-- they get one that can never receive mail, until the real one is known.
create function private.email_or_placeholder(id uuid, email text) returns text
language sql immutable set search_path = '' as $$
  select coalesce(nullif(email, ''), id || '@users.invalid')
$$;
revoke execute on function private.email_or_placeholder(uuid, text) from public;

-- SECURITY DEFINER: it runs as the auth server, which has no rights in public.
create function public.handle_new_user() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.users (id, email, full_name, avatar_url)
  values (
    new.id,
    private.email_or_placeholder(new.id, new.email),
    coalesce(new.raw_user_meta_data ->> 'full_name', new.raw_user_meta_data ->> 'name'),
    coalesce(new.raw_user_meta_data ->> 'avatar_url', new.raw_user_meta_data ->> 'picture')
  );
  return new;
end $$;
revoke execute on function public.handle_new_user() from public, anon, authenticated;

create trigger on_auth_user_created
  after insert on auth.users
  for each row execute function public.handle_new_user();

create function private.sync_user_email() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.users set email = private.email_or_placeholder(new.id, new.email) where id = new.id;
  return new;
end $$;
revoke execute on function private.sync_user_email() from public;

create trigger on_auth_user_email_changed
  after update of email on auth.users
  for each row when (old.email is distinct from new.email)
  execute function private.sync_user_email();

-- ---- automatic timestamps -------------------------------------------------------------------------------------------

create or replace function public.update_updated_at_column() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.updated_at = now();
  return new;
end $$;

create trigger update_agents_updated_at
  before update on public.agents
  for each row execute function public.update_updated_at_column();
create trigger update_users_updated_at
  before update on public.users
  for each row execute function public.update_updated_at_column();
create trigger update_teams_updated_at
  before update on public.teams
  for each row execute function public.update_updated_at_column();
create trigger update_workflows_updated_at
  before update on public.workflows
  for each row execute function public.update_updated_at_column();

-- ---- teams ----------------------------------------------------------------------------------------------------------

-- The teams in which the caller has one of these roles. SECURITY DEFINER, because policies of user_roles ask it too: a
-- policy that reads its own table directly is refused as infinite recursion. It tells callers about themselves only.
create function private.teams_as(roles text[]) returns setof uuid
language sql stable security definer set search_path = '' as $$
  select r.team_id
  from public.user_roles r
  where r.user_id = (select auth.uid()) and r.role = any (roles) and r.team_id is not null
$$;
revoke execute on function private.teams_as(text[]) from public;
grant execute on function private.teams_as(text[]) to authenticated;

-- Whether anybody is in the team; a team has nobody only between its own insert and the trigger below.
create function private.team_has_members(team uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.user_roles r where r.team_id = team)
$$;
revoke execute on function private.team_has_members(uuid) from public;
grant execute on function private.team_has_members(uuid) to authenticated;

-- SECURITY DEFINER: nobody may make themselves admin, except here, of a team that was not there before.
create function private.make_creator_admin() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.user_roles (user_id, role, team_id, granted_by)
  values (new.created_by, 'admin', new.id, new.created_by);
  return null;
end $$;
revoke execute on function private.make_creator_admin() from public;

create trigger make_creator_admin
  after insert on public.teams
  for each row when (new.created_by is not null)
  execute function private.make_creator_admin();

-- A team keeps an admin as long as its people have a say: the last one cannot leave or step down. An account that is
-- deleted takes its roles along regardless; a team that has nobody left goes with it.
create function private.keep_team_admin() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- Two admins who step down at once must not both find the other one still there.
  perform from public.teams t where t.id = old.team_id for no key update;
  if not found -- the team itself is being deleted
     or exists (select from public.user_roles r where r.team_id = old.team_id and r.role = 'admin') then
    return null;
  end if;
  if exists (select from public.users u where u.id = old.user_id) then
    if old.role = 'admin' then
      raise check_violation using
        message = 'a team needs an admin',
        hint = 'Make another member admin first, or delete the team.';
    end if;
  elsif not exists (select from public.user_roles r where r.team_id = old.team_id) then
    delete from public.teams t where t.id = old.team_id;
  end if;
  return null;
end $$;
revoke execute on function private.keep_team_admin() from public;

create trigger keep_team_admin
  after delete or update on public.user_roles
  for each row execute function private.keep_team_admin();

-- The caller's address in lower case, if it is proven to be theirs. The token's claim would not do: it says nothing
-- about confirmation.
create function private.confirmed_email() returns text
language sql stable security definer set search_path = '' as $$
  select lower(u.email) from auth.users u where u.id = (select auth.uid()) and u.email_confirmed_at is not null
$$;
revoke execute on function private.confirmed_email() from public;
grant execute on function private.confirmed_email() to authenticated;

-- Takes up an invitation to the caller's own address; returns the team. Whoever is a member already keeps their role.
-- SECURITY DEFINER: the invitation is what entitles to the role, and users do not write roles.
create function public.accept_team_invite(invite_id uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  invite public.team_invites;
begin
  delete from public.team_invites i
  where i.id = invite_id and i.expires_at > now() and lower(i.email) = private.confirmed_email()
  returning i.* into invite;
  if not found then
    raise insufficient_privilege using message = 'there is no open invitation for this account';
  end if;
  insert into public.user_roles (user_id, role, team_id, granted_by)
  values (auth.uid(), invite.role, invite.team_id, invite.invited_by)
  on conflict (user_id, team_id) do nothing;
  return invite.team_id;
end $$;
revoke execute on function public.accept_team_invite(uuid) from public, anon;

-- ---- templates ------------------------------------------------------------------------------------------------------

-- Nobody could see a private template without its owner.
create function private.delete_private_templates() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.agent_templates t where t.created_by = old.id and t.is_public is not true;
  return old;
end $$;
revoke execute on function private.delete_private_templates() from public;

create trigger delete_private_templates
  before delete on public.users
  for each row execute function private.delete_private_templates();

-- ---- deployments ----------------------------------------------------------------------------------------------------

-- Numbers the deployments of an agent 1, 2, 3…; the lock makes two that start at once take two numbers.
create function private.number_deployment() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('deployments ' || new.agent_id, 0));
  select coalesce(max(d.version), 0) + 1 into new.version
  from public.deployments d
  where d.agent_id = new.agent_id;
  return new;
end $$;

create trigger number_deployment
  before insert on public.deployments
  for each row execute function private.number_deployment();

-- Users ask for a stop by writing the status and cannot write the times.
create function private.stamp_deployment() returns trigger
language plpgsql set search_path = '' as $$
begin
  if new.status = 'deployed' then
    new.deployed_at := coalesce(new.deployed_at, now());
  elsif new.status = 'stopped' then
    new.stopped_at := coalesce(new.stopped_at, now());
  end if;
  return new;
end $$;

create trigger stamp_deployment
  before insert or update of status on public.deployments
  for each row execute function private.stamp_deployment();

-- ---- workflow counters ----------------------------------------------------------------------------------------------

-- An execution counts once when it appears, and once more as a success or an error when it is one. Written as
-- differences, so that a status reported twice adds nothing and a corrected one moves from one count to the other.
create function private.count_execution() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  old_status constant text := case tg_op when 'UPDATE' then old.status else '' end;
begin
  update public.workflows w
  set execution_count = w.execution_count + (tg_op = 'INSERT')::integer,
      success_count = w.success_count + (new.status = 'success')::integer - (old_status = 'success')::integer,
      error_count = w.error_count + (new.status = 'error')::integer - (old_status = 'error')::integer,
      last_execution = greatest(w.last_execution, new.started_at)
  where w.id = new.workflow_id;
  return null;
end $$;
revoke execute on function private.count_execution() from public;

create trigger count_new_execution
  after insert on public.workflow_executions
  for each row execute function private.count_execution();
create trigger count_finished_execution
  after update of status on public.workflow_executions
  for each row when (old.status is distinct from new.status)
  execute function private.count_execution();

-- ---- notifications --------------------------------------------------------------------------------------------------

-- SECURITY DEFINER: the one who changes the status may be a team member, the one who is told is the creator.
create or replace function public.notify_agent_status_change() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- Create notification when agent status changes
  if old.status is distinct from new.status and new.created_by is not null then
    insert into public.notifications (user_id, type, title, message, data, priority)
    values (
      new.created_by,
      'agent_status_change',
      'Agent Status Updated',
      'Agent "' || new.name || '" status changed from ' || old.status || ' to ' || new.status,
      jsonb_build_object('agent_id', new.id, 'old_status', old.status, 'new_status', new.status),
      case
        when new.status = 'error' then 'high'
        when new.status = 'active' then 'medium'
        else 'low'
      end
    );
  end if;
  return new;
end $$;
revoke execute on function public.notify_agent_status_change() from public, anon, authenticated;

create trigger agent_status_notification
  after update on public.agents
  for each row execute function public.notify_agent_status_change();

-- Marks the caller's notifications read, these or all of them; returns how many were unread.
create function public.mark_notifications_read(notification_ids uuid[] default null) returns integer
language plpgsql set search_path = '' as $$
declare
  marked integer;
begin
  update public.notifications n
  set read_at = now()
  where n.user_id = auth.uid()
    and n.read_at is null
    and (notification_ids is null or n.id = any (notification_ids));
  get diagnostics marked = row_count;
  return marked;
end $$;
revoke execute on function public.mark_notifications_read(uuid[]) from public, anon;

-- ---- queries --------------------------------------------------------------------------------------------------------

-- The agent dashboard: each agent the caller may see, its latest deployment, and the counts of all its workflows.
-- The document's `where created_by = $1 order by updated_at desc` is what the caller adds:
-- `agent_dashboard?created_by=eq.<id>&order=updated_at.desc`.
create view public.agent_dashboard with (security_invoker = true) as
select
  a.id, a.name, a.description, a.type, a.status, a.config, a.deployment_config,
  a.created_by, a.team_id, a.created_at, a.updated_at, a.last_activity,
  d.status as deployment_status,
  d.deployed_at,
  w.execution_count,
  w.success_count,
  w.error_count
from public.agents a
left join lateral (
  select latest.status, latest.deployed_at
  from public.deployments latest
  where latest.agent_id = a.id
  order by latest.created_at desc, latest.version desc
  limit 1
) d on true
left join lateral (
  select coalesce(sum(each.execution_count), 0) as execution_count,
         coalesce(sum(each.success_count), 0) as success_count,
         coalesce(sum(each.error_count), 0) as error_count
  from public.workflows each
  where each.agent_id = a.id
) w on true;
comment on view public.agent_dashboard is 'Agents with their latest deployment and the counts of all their workflows.';

create view public.unread_notifications with (security_invoker = true) as
select n.id, n.user_id, n.type, n.title, n.message, n.data, n.priority, n.expires_at, n.created_at
from public.notifications n
where n.read_at is null and (n.expires_at is null or n.expires_at > now());
comment on view public.unread_notifications is 'Notifications that are neither read nor expired.';
