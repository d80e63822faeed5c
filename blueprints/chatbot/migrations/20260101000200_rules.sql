-- What the document says in prose or leaves to the application: sign-up, updated_at, agent limits, tools that exist,
-- versions of artifacts, and the document's query. Functions that write where their caller may not are SECURITY DEFINER
-- with an empty search_path, and are only ever called by triggers.

-- ---- sign-up ---------------------------------------------------------------------------------------------------------

-- A sign-up makes the user and a free subscription, in the same transaction. Anonymous and phone sign-ups have no address;
-- the document's email is not null and unique, so they get one that can never receive mail until a real one is known.
create function public.handle_new_user() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.users (id, email, name, avatar_url)
  values (new.id,
          coalesce(nullif(new.email, ''), new.id || '@users.invalid'),
          coalesce(new.raw_user_meta_data ->> 'name', new.raw_user_meta_data ->> 'full_name'),
          new.raw_user_meta_data ->> 'avatar_url');
  insert into public.subscriptions (user_id, plan, status, agent_limit) values (new.id, 'free', 'active', 1);
  return new;
end $$;

create trigger on_auth_user_created after insert on auth.users
  for each row execute function public.handle_new_user();

create function public.handle_user_email_change() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.users set email = coalesce(nullif(new.email, ''), new.id || '@users.invalid') where id = new.id;
  return new;
end $$;

create trigger on_auth_user_email_changed after update of email on auth.users
  for each row when (old.email is distinct from new.email) execute function public.handle_user_email_change();

-- ---- updated_at ------------------------------------------------------------------------------------------------------

create function public.set_updated_at() returns trigger language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end $$;

create trigger set_updated_at before update on public.users
  for each row execute function public.set_updated_at();
create trigger set_updated_at before update on public.conversations
  for each row execute function public.set_updated_at();
create trigger set_updated_at before update on public.artifacts
  for each row execute function public.set_updated_at();
create trigger set_updated_at before update on public.agent_definitions
  for each row execute function public.set_updated_at();
create trigger set_updated_at before update on public.agent_instances
  for each row execute function public.set_updated_at();
create trigger set_updated_at before update on public.agent_tools
  for each row execute function public.set_updated_at();
create trigger set_updated_at before update on public.workflows
  for each row execute function public.set_updated_at();
-- Not on the empty update by which enforce_agent_limit takes its turn. (A generated column rules out `old.* … new.*`.)
create trigger set_updated_at before update on public.subscriptions
  for each row when (
    (old.user_id, old.stripe_customer_id, old.stripe_subscription_id, old.stripe_price_id,
     old.stripe_current_period_end, old.plan, old.status, old.agent_limit)
    is distinct from
    (new.user_id, new.stripe_customer_id, new.stripe_subscription_id, new.stripe_price_id,
     new.stripe_current_period_end, new.plan, new.status, new.agent_limit))
  execute function public.set_updated_at();

-- ---- agent limit -----------------------------------------------------------------------------------------------------

-- How many instances a subscription allows now. One that is not paid for allows what the free plan does. Through the API
-- this is also a computed column: subscriptions?select=plan,effective_agent_limit (The argument has no name because type
-- generators look for that.)
create function public.effective_agent_limit(public.subscriptions) returns integer
language sql immutable set search_path = '' as $$
  select case when $1.status = 'active' then $1.agent_limit else least($1.agent_limit, 1) end
$$;

-- Active and paused instances count, archived ones do not: pausing would else be a way around the limit. Restoring an
-- archived instance is checked like making one. AFTER, so that an upsert of an instance that exists is not refused.
create function public.enforce_agent_limit() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  allowed integer;
  used    integer;
begin
  -- Users take turns on the row of their subscription. An update rather than a lock, because under REPEATABLE READ a lock
  -- alone would let the second of two transactions count on its old snapshot; an updated row makes it fail instead.
  update public.subscriptions as s set agent_limit = s.agent_limit where s.user_id = new.user_id
    returning public.effective_agent_limit(s) into allowed;
  select count(*) into used from public.agent_instances i where i.user_id = new.user_id and i.status <> 'archived';
  if used > coalesce(allowed, 0) then
    raise exception 'agent limit reached' using
      errcode = 'check_violation',
      schema = 'public', table = 'agent_instances', constraint = 'agent_instances_agent_limit',
      detail = format('The subscription allows %s agent instance(s) that are not archived.', coalesce(allowed, 0)),
      hint = 'Archive an instance, or change the plan.';
  end if;
  return null;
end $$;

create trigger enforce_agent_limit_on_insert after insert on public.agent_instances
  for each row when (new.status <> 'archived') execute function public.enforce_agent_limit();
create trigger enforce_agent_limit_on_update after update on public.agent_instances
  for each row when (new.status <> 'archived' and (old.status = 'archived' or old.user_id <> new.user_id))
  execute function public.enforce_agent_limit();

-- Downgrade: when the limit falls, or the subscription is canceled, the newest instances beyond it are archived. Nothing is
-- deleted; the user may archive another and restore one of these. past_due is a time of grace: what runs goes on running,
-- but nothing is added.
create function public.apply_agent_limit() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.agent_instances set status = 'archived'
  where id in (select i.id from public.agent_instances i
               where i.user_id = new.user_id and i.status <> 'archived'
               order by i.created_at, i.id
               offset public.effective_agent_limit(new));
  return null;
end $$;

create trigger apply_agent_limit after update on public.subscriptions
  for each row when (new.status <> 'past_due'
                     and (old.agent_limit <> new.agent_limit or old.status <> new.status))
  execute function public.apply_agent_limit();

-- ---- definitions and their instances ---------------------------------------------------------------------------------

-- An instance is made of a definition that is its owner's, or public. Asked only when the definition changes: one that is
-- made private later must not freeze the instances that others have. A stranger's private definition gets the answer of
-- one that does not exist.
create function public.check_instance_definition() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if not exists (select 1 from public.agent_definitions d
                 where d.id = new.definition_id and (d.is_public or d.user_id = new.user_id)) then
    raise exception 'agent definition % does not exist', new.definition_id using
      errcode = 'foreign_key_violation',
      schema = 'public', table = 'agent_instances',
      constraint = 'agent_instances_definition_id_agent_definitions_id_fk';
  end if;
  return new;
end $$;

create trigger check_instance_definition_on_insert before insert on public.agent_instances
  for each row execute function public.check_instance_definition();
create trigger check_instance_definition_on_update before update on public.agent_instances
  for each row when ((old.definition_id, old.user_id) is distinct from (new.definition_id, new.user_id))
  execute function public.check_instance_definition();

-- Deleting a definition, or the account it belongs to, must not delete other users' agents: each of them keeps a private
-- copy, and their instances move to it.
create function public.hand_over_definition() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  heir uuid;
  copy uuid;
begin
  for heir in select distinct i.user_id from public.agent_instances i
              where i.definition_id = old.id and i.user_id <> old.user_id loop
    insert into public.agent_definitions (user_id, name, description, system_prompt, tools, capabilities, metadata)
    values (heir, old.name, old.description, old.system_prompt, old.tools, old.capabilities, old.metadata)
    returning id into copy;
    update public.agent_instances set definition_id = copy where definition_id = old.id and user_id = heir;
  end loop;
  return old;
end $$;

create trigger hand_over_definition before delete on public.agent_definitions
  for each row execute function public.hand_over_definition();

-- ---- tools -----------------------------------------------------------------------------------------------------------

-- agent_definitions.tools is a JSON array of ids in agent_tools. The rows are locked as a foreign key would lock them, so
-- a tool cannot be deleted between the check and the commit.
create function public.check_definition_tools() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  unknown text;
begin
  if (case when jsonb_typeof(new.tools) <> 'array' then true
           else exists (
             select 1 from jsonb_array_elements(new.tools) as tool
             where jsonb_typeof(tool) <> 'string'
                or tool #>> '{}' !~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$') end) then
    raise exception 'tools must be a JSON array of tool ids' using
      errcode = 'check_violation',
      schema = 'public', table = 'agent_definitions', column = 'tools', constraint = 'agent_definitions_tools_check',
      hint = 'An id is a lower-case UUID in a string.';
  end if;
  perform 1 from public.agent_tools t
    where t.id in (select listed.id::uuid from jsonb_array_elements_text(new.tools) as listed (id))
    order by t.id for key share;
  select listed.id into unknown from jsonb_array_elements_text(new.tools) as listed (id)
    where not exists (select 1 from public.agent_tools t where t.id = listed.id::uuid) limit 1;
  if found then
    raise exception 'tool % does not exist', unknown using
      errcode = 'foreign_key_violation',
      schema = 'public', table = 'agent_definitions', column = 'tools', constraint = 'agent_definitions_tools_fk';
  end if;
  return new;
end $$;

create trigger check_definition_tools before insert or update of tools on public.agent_definitions
  for each row when (new.tools is not null) execute function public.check_definition_tools();

-- The other half of that foreign key.
create function public.keep_tool_in_use() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if exists (select 1 from public.agent_definitions d where d.tools ? old.id::text) then
    raise exception 'tool % is in use', old.name using
      errcode = 'foreign_key_violation',
      schema = 'public', table = 'agent_definitions', column = 'tools', constraint = 'agent_definitions_tools_fk',
      hint = 'Take it out of the agent definitions first.';
  end if;
  return case tg_op when 'DELETE' then old else new end;
end $$;

create trigger keep_tool_in_use_on_delete before delete on public.agent_tools
  for each row execute function public.keep_tool_in_use();
create trigger keep_tool_in_use_on_update before update on public.agent_tools
  for each row when (old.id <> new.id) execute function public.keep_tool_in_use();

-- Whether a value is a JSON Schema, by the keywords that describe a tool's parameters (JSON Schema 2020-12, Validation §6.1
-- and Core §10): a boolean, or an object whose known keywords have values of the right kind. Unknown keywords are allowed,
-- as the specification wants.
create function public.is_json_schema(value jsonb) returns boolean
language plpgsql immutable set search_path = '' as $$
declare
  types constant jsonb := '["array", "boolean", "integer", "null", "number", "object", "string"]';
  keyword text;
  part    jsonb;
begin
  if value is null or jsonb_typeof(value) = 'boolean' then
    return value is not null;
  elsif jsonb_typeof(value) <> 'object' then
    return false;
  end if;
  for keyword, part in select k, v from jsonb_each(value) as e (k, v) loop
    if keyword = 'type' then
      -- A name, or a list of different names, of the seven types.
      if not (case jsonb_typeof(part)
                when 'string' then types @> part
                when 'array' then types @> part and jsonb_array_length(part) > 0
                  and jsonb_array_length(part) = (select count(distinct t) from jsonb_array_elements(part) as t)
                else false end) then
        return false;
      end if;
    elsif keyword in ('properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas') then
      if jsonb_typeof(part) <> 'object'
          or exists (select 1 from jsonb_each(part) as e (k, v) where not public.is_json_schema(v)) then
        return false;
      end if;
    elsif keyword in ('allOf', 'anyOf', 'oneOf', 'prefixItems') then
      if jsonb_typeof(part) <> 'array' or part = '[]'
          or exists (select 1 from jsonb_array_elements(part) as v where not public.is_json_schema(v)) then
        return false;
      end if;
    elsif keyword in ('items', 'additionalProperties', 'contains', 'not', 'if', 'then', 'else', 'propertyNames') then
      if not public.is_json_schema(part) then
        return false;
      end if;
    elsif keyword = 'required' then
      if jsonb_typeof(part) <> 'array'
          or exists (select 1 from jsonb_array_elements(part) as v where jsonb_typeof(v) <> 'string') then
        return false;
      end if;
    elsif keyword = 'enum' then
      if jsonb_typeof(part) <> 'array' then
        return false;
      end if;
    elsif keyword in ('description', 'title', 'format', 'pattern', '$ref', '$id', '$schema') then
      if jsonb_typeof(part) <> 'string' then
        return false;
      end if;
    elsif keyword in ('minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf',
                      'minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties') then
      if jsonb_typeof(part) <> 'number' then
        return false;
      end if;
    end if;
  end loop;
  return true;
end $$;

create function public.check_tool_schema() returns trigger language plpgsql set search_path = '' as $$
begin
  if not public.is_json_schema(new.schema) then
    raise exception 'schema of tool % is not a JSON Schema', new.name using
      errcode = 'check_violation',
      schema = 'public', table = 'agent_tools', column = 'schema', constraint = 'agent_tools_schema_check',
      hint = 'Look at "type", "properties", "items" and "required", at every level.';
  end if;
  return new;
end $$;

create trigger check_tool_schema before insert or update of schema on public.agent_tools
  for each row execute function public.check_tool_schema();

-- The tools of a definition as rows, in the order of its array. Through the API this embeds:
-- agent_definitions?select=name,tools_of(name,schema)
create function public.tools_of(public.agent_definitions) returns setof public.agent_tools
language sql stable set search_path = '' as $$
  select t.*
  from jsonb_array_elements_text(coalesce($1.tools, '[]')) with ordinality as listed (id, place)
  join public.agent_tools t on t.id = listed.id::uuid
  order by listed.place
$$;

-- ---- artifacts -------------------------------------------------------------------------------------------------------

-- Each saved state of an artifact becomes its next version. The artifact's row is locked by the write that fires this, so
-- numbers do not collide.
create function public.keep_artifact_version() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.artifact_versions (artifact_id, version, title, content)
  select new.id, coalesce(max(v.version), 0) + 1, new.title, new.content
  from public.artifact_versions v where v.artifact_id = new.id;
  return null;
end $$;

create trigger keep_artifact_version_on_insert after insert on public.artifacts
  for each row execute function public.keep_artifact_version();
create trigger keep_artifact_version_on_update after update on public.artifacts
  for each row when ((old.title, old.content) is distinct from (new.title, new.content))
  execute function public.keep_artifact_version();

-- ---- the document's query --------------------------------------------------------------------------------------------

-- A conversation with its messages, oldest first, or null when the caller has no such conversation. The same as
-- getConversationMessages in drizzle/queries.ts.
create function public.get_conversation_messages(conversation_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select to_jsonb(c) || jsonb_build_object('messages', (
    select coalesce(jsonb_agg(to_jsonb(m) order by m.created_at, m.id), '[]')
    from public.messages m where m.conversation_id = c.id))
  from public.conversations c where c.id = get_conversation_messages.conversation_id
$$;

-- ---- who may call what -----------------------------------------------------------------------------------------------

-- Triggers need no EXECUTE of whoever fires them.
revoke execute on function
  public.handle_new_user(), public.handle_user_email_change(), public.set_updated_at(),
  public.enforce_agent_limit(), public.apply_agent_limit(), public.check_instance_definition(),
  public.hand_over_definition(), public.check_definition_tools(), public.keep_tool_in_use(),
  public.check_tool_schema(), public.keep_artifact_version()
  from public, anon, authenticated, service_role;
revoke execute on function
  public.effective_agent_limit(public.subscriptions), public.is_json_schema(jsonb),
  public.tools_of(public.agent_definitions), public.get_conversation_messages(uuid)
  from public, anon;
grant execute on function
  public.effective_agent_limit(public.subscriptions), public.is_json_schema(jsonb),
  public.tools_of(public.agent_definitions), public.get_conversation_messages(uuid)
  to authenticated, service_role;
