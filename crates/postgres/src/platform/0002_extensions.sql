-- Why: seeds call crypt() and uuid_generate_v4() without asking, and what stands in for extensions that are not here.
set local search_path = '';

-- ------------------------------------------------------------------ extensions that every project has

-- `vector` is left to the project: it is trusted, so the owner role creates it where its migrations say.
do $extensions$
declare
  wanted text;
begin
  foreach wanted in array array['uuid-ossp', 'pgcrypto', 'pg_trgm', 'pg_stat_statements'] loop
    continue when not exists (select from pg_catalog.pg_available_extensions where name = wanted);
    execute pg_catalog.format('create extension if not exists %I with schema extensions', wanted);
    -- A template database may have brought it along in another schema.
    if exists (
      select from pg_catalog.pg_extension
      where extname = wanted and extnamespace <> 'extensions'::pg_catalog.regnamespace
    ) then
      execute pg_catalog.format('alter extension %I set schema extensions', wanted);
    end if;
  end loop;
end
$extensions$;

-- Statistics are one table for the whole cluster and the roles are shared, so its view would show every other
-- project's statements to whoever may read it. plinth.statement_stats() shows this database's.
do $statistics$
declare
  item record;
begin
  for item in
    select case depend.classid when 'pg_catalog.pg_class'::pg_catalog.regclass then 'table' else 'function' end as kind,
      case depend.classid
        when 'pg_catalog.pg_class'::pg_catalog.regclass then depend.objid::pg_catalog.regclass::text
        else depend.objid::pg_catalog.regprocedure::text
      end as name
    from pg_catalog.pg_extension as extension
    join pg_catalog.pg_depend as depend
      on depend.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and depend.refobjid = extension.oid
    where extension.extname = 'pg_stat_statements' and depend.deptype = 'e'
      and depend.classid in ('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass)
  loop
    execute pg_catalog.format('revoke all on %s %s from public', item.kind, item.name);
  end loop;
end
$statistics$;

-- ------------------------------------------------------------------ pgjwt, as functions

create function extensions.url_encode(data bytea) returns text
language sql immutable strict parallel safe
return pg_catalog.translate(pg_catalog.encode(data, 'base64'), E'+/=\n', '-_');

create function extensions.url_decode(data text) returns bytea
language sql immutable strict parallel safe
return pg_catalog.decode(
  pg_catalog.translate(data, '-_', '+/') || pg_catalog.repeat('=', (4 - pg_catalog.length(data) % 4) % 4), 'base64');

create function extensions.algorithm_sign(signables text, secret text, algorithm text) returns text
language plpgsql immutable strict parallel safe
set search_path = ''
as $$
declare
  digest constant text := case algorithm when 'HS256' then 'sha256' when 'HS384' then 'sha384' when 'HS512' then 'sha512' end;
begin
  if digest is null then
    raise exception 'unknown algorithm "%"', algorithm using errcode = 'invalid_parameter_value', hint = 'HS256, HS384 or HS512';
  end if;
  return extensions.url_encode(extensions.hmac(
    pg_catalog.convert_to(signables, 'UTF8'), pg_catalog.convert_to(secret, 'UTF8'), digest));
end
$$;

create function extensions.sign(payload json, secret text, algorithm text default 'HS256') returns text
language plpgsql immutable strict parallel safe
set search_path = ''
as $$
declare
  header    constant text := pg_catalog.format('{"alg":"%s","typ":"JWT"}', algorithm);
  signables constant text := extensions.url_encode(pg_catalog.convert_to(header, 'UTF8'))
    || '.' || extensions.url_encode(pg_catalog.convert_to(payload::text, 'UTF8'));
begin
  return signables || '.' || extensions.algorithm_sign(signables, secret, algorithm);
end
$$;

-- `valid` says that the signature holds and that now lies between `nbf` and `exp`, where these are numbers.
create function extensions.verify(token text, secret text, algorithm text default 'HS256')
returns table (header json, payload json, valid boolean)
language plpgsql stable strict parallel safe
set search_path = ''
as $$
declare
  parts constant text[] := pg_catalog.string_to_array(token, '.');
  now_s constant double precision := extract(epoch from pg_catalog.clock_timestamp());
begin
  header := pg_catalog.convert_from(extensions.url_decode(parts[1]), 'UTF8')::json;
  payload := pg_catalog.convert_from(extensions.url_decode(parts[2]), 'UTF8')::json;
  valid := pg_catalog.cardinality(parts) = 3
    and parts[3] = extensions.algorithm_sign(parts[1] || '.' || parts[2], secret, algorithm)
    and (pg_catalog.json_typeof(payload -> 'nbf') is distinct from 'number' or (payload ->> 'nbf')::double precision <= now_s)
    and (pg_catalog.json_typeof(payload -> 'exp') is distinct from 'number' or (payload ->> 'exp')::double precision > now_s);
  return next;
end
$$;

-- ------------------------------------------------------------------ GraphQL, absent

-- Clients of /graphql/v1 get a GraphQL error to show instead of a missing function.
create function graphql_public.graphql(
  "operationName" text default null, query text default null, variables jsonb default null, extensions jsonb default null)
returns jsonb
language sql immutable parallel safe
return pg_catalog.jsonb_build_object('errors', pg_catalog.jsonb_build_array(
  pg_catalog.jsonb_build_object('message', 'pg_graphql extension is not enabled.')));
