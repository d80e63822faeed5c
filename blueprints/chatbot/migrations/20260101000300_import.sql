-- The document's migration plan: export the existing database (export.sql beside this folder, run there), transform and
-- import it here, compare. For the owner of the database only: it writes other people's rows.

-- Imports an export: a JSON object of arrays of rows, one per table of the document, columns named as in the tables.
-- Missing tables and columns are taken as empty. Rows that are here already (by id) are left alone, so a large export may
-- come in parts, and again. All or nothing: a row that the checks refuse fails the import and is named in the error.
--
-- What is transformed on the way:
--  * timestamps without a zone are read as wall-clock time of `time_zone`, where the old server's sessions ran;
--  * users become sign-ups in auth.users, without a password: they come in by a reset or a magic link;
--  * of several subscriptions of a user one stays, active before others, then the newest; is_active follows its status;
--  * of several workflows with one workflow_id the newest stays;
--  * titles and contents that are missing get their defaults, tools that do not exist leave their definitions;
--  * instances beyond the user's limit come in archived, the newest first.
--
-- Returns, per table, how many rows were given and how many of them are here now. The difference is what the rules above
-- left out; anything else would have been an error.
create function public.import_data(data jsonb, time_zone text default 'UTC')
returns table (table_name text, given bigint, present bigint)
language plpgsql set search_path = '' set timezone = 'UTC' as $$
begin
  -- Undone at the end of the function by its own `set timezone`.
  perform set_config('timezone', time_zone, true);

  insert into auth.users (id, aud, role, email, raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
  select u.id, 'authenticated', 'authenticated', u.email, '{"provider": "email", "providers": ["email"]}',
         jsonb_strip_nulls(jsonb_build_object('name', u.name, 'avatar_url', u.avatar_url)),
         coalesce(u.created_at, now()), coalesce(u.updated_at, u.created_at, now())
  from jsonb_populate_recordset(null::public.users, data -> 'users') as u
  on conflict (id) do nothing;
  update public.users as here set created_at = coalesce(u.created_at, here.created_at)
  from jsonb_populate_recordset(null::public.users, data -> 'users') as u
  where u.id = here.id and here.created_at <> u.created_at;

  -- Replaces the free subscription that the sign-up made, and no other.
  insert into public.subscriptions as here
    (id, user_id, stripe_customer_id, stripe_subscription_id, stripe_price_id, stripe_current_period_end,
     plan, status, agent_limit, created_at, updated_at)
  select distinct on (s.user_id)
         coalesce(s.id, gen_random_uuid()), s.user_id, s.stripe_customer_id, s.stripe_subscription_id,
         s.stripe_price_id, s.stripe_current_period_end, s.plan, s.status, s.agent_limit,
         coalesce(s.created_at, now()), coalesce(s.updated_at, now())
  from jsonb_populate_recordset(null::public.subscriptions, data -> 'subscriptions') as s
  order by s.user_id, (s.status = 'active') desc, s.updated_at desc nulls last, s.id
  on conflict (user_id) do update
    set id = excluded.id, stripe_customer_id = excluded.stripe_customer_id,
        stripe_subscription_id = excluded.stripe_subscription_id, stripe_price_id = excluded.stripe_price_id,
        stripe_current_period_end = excluded.stripe_current_period_end, plan = excluded.plan,
        status = excluded.status, agent_limit = excluded.agent_limit, created_at = excluded.created_at
    where here.plan = 'free' and here.stripe_subscription_id is null;

  insert into public.conversations (id, user_id, title, system_prompt, metadata, created_at, updated_at)
  select coalesce(c.id, gen_random_uuid()), c.user_id, coalesce(nullif(c.title, ''), 'New chat'), c.system_prompt,
         c.metadata, coalesce(c.created_at, now()), coalesce(c.updated_at, c.created_at, now())
  from jsonb_populate_recordset(null::public.conversations, data -> 'conversations') as c
  on conflict (id) do nothing;

  insert into public.messages (id, conversation_id, role, content, parts, attachments, reasoning, created_at)
  select coalesce(m.id, gen_random_uuid()), m.conversation_id, m.role, coalesce(m.content, ''), m.parts,
         m.attachments, m.reasoning, coalesce(m.created_at, now())
  from jsonb_populate_recordset(null::public.messages, data -> 'messages') as m
  on conflict (id) do nothing;

  insert into public.artifacts (id, user_id, message_id, type, title, content, metadata, created_at, updated_at)
  select coalesce(a.id, gen_random_uuid()), a.user_id, a.message_id, a.type, a.title, a.content, a.metadata,
         coalesce(a.created_at, now()), coalesce(a.updated_at, a.created_at, now())
  from jsonb_populate_recordset(null::public.artifacts, data -> 'artifacts') as a
  on conflict (id) do nothing;

  insert into public.agent_tools (id, name, description, schema, is_system, metadata, created_at, updated_at)
  select coalesce(t.id, gen_random_uuid()), t.name, t.description, t.schema, coalesce(t.is_system, false), t.metadata,
         coalesce(t.created_at, now()), coalesce(t.updated_at, t.created_at, now())
  from jsonb_populate_recordset(null::public.agent_tools, data -> 'agent_tools') as t
  on conflict (id) do nothing;

  insert into public.agent_definitions
    (id, user_id, name, description, system_prompt, is_public, tools, capabilities, metadata, created_at, updated_at)
  select coalesce(d.id, gen_random_uuid()), d.user_id, d.name, d.description, d.system_prompt,
         coalesce(d.is_public, false),
         case when jsonb_typeof(d.tools) = 'array' then (
           select coalesce(jsonb_agg(listed.id order by listed.place), '[]')
           from jsonb_array_elements_text(d.tools) with ordinality as listed (id, place)
           where exists (select 1 from public.agent_tools t where t.id::text = listed.id)) end,
         d.capabilities, d.metadata, coalesce(d.created_at, now()), coalesce(d.updated_at, d.created_at, now())
  from jsonb_populate_recordset(null::public.agent_definitions, data -> 'agent_definitions') as d
  on conflict (id) do nothing;

  insert into public.agent_instances
    (id, user_id, definition_id, name, configuration, status, metadata, created_at, updated_at)
  select coalesce(i.id, gen_random_uuid()), i.user_id, i.definition_id, i.name, i.configuration,
         -- The place among those that count, after the ones that are here already.
         case when given_status <> 'archived'
                and row_number() over (partition by i.user_id, given_status <> 'archived' order by i.created_at, i.id)
                    + (select count(*) from public.agent_instances o
                       where o.user_id = i.user_id and o.status <> 'archived')
                    > (select public.effective_agent_limit(s) from public.subscriptions s where s.user_id = i.user_id)
              then 'archived' else given_status end,
         i.metadata, coalesce(i.created_at, now()), coalesce(i.updated_at, i.created_at, now())
  from jsonb_populate_recordset(null::public.agent_instances, data -> 'agent_instances') as i,
       coalesce(i.status, 'active') as given_status
  where not exists (select 1 from public.agent_instances o where o.id = i.id);

  insert into public.workflows
    (id, user_id, agent_instance_id, workflow_id, status, goal, steps, result, metadata, created_at, updated_at)
  select distinct on (w.workflow_id)
         coalesce(w.id, gen_random_uuid()), w.user_id, w.agent_instance_id, w.workflow_id, w.status, w.goal, w.steps,
         w.result, w.metadata, coalesce(w.created_at, now()), coalesce(w.updated_at, w.created_at, now())
  from jsonb_populate_recordset(null::public.workflows, data -> 'workflows') as w
  order by w.workflow_id, w.updated_at desc nulls last, w.id
  on conflict do nothing;

  -- Compare. Rows without an id of their own cannot be found again, and count as present: their insert did not fail.
  foreach table_name in array array['users', 'conversations', 'messages', 'artifacts', 'agent_definitions',
                                    'agent_instances', 'agent_tools', 'workflows', 'subscriptions'] loop
    execute format(
      'select count(*), count(*) filter (where given ->> ''id'' is null
                                            or exists (select 1 from public.%I t where t.id = (given ->> ''id'')::uuid))
       from jsonb_array_elements(coalesce($1, ''[]'')) as given', table_name)
      into given, present using data -> table_name;
    return next;
  end loop;
end $$;

revoke execute on function public.import_data(jsonb, text) from public, anon, authenticated, service_role;
