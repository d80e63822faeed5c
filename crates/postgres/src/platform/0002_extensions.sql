-- Why: seeds call crypt() and uuid_generate_v4() without asking, and what stands in for extensions that are not here.
set local search_path = '';

-- ------------------------------------------------------------------ extensions that every project has

-- `vector` only where its packager did not mark it as trusted: then the owner role could not create it, and finds it
-- here (`create extension if not exists vector` says so and goes on). A trusted one is left to the migrations.
do $extensions$
declare
  wanted text;
begin
  for wanted in
    select available.name
    from pg_catalog.pg_available_extensions as available
    join pg_catalog.pg_available_extension_versions as version
      on version.name = available.name and version.version = available.default_version
    where available.name in ('uuid-ossp', 'pgcrypto', 'pg_trgm') or available.name = 'vector' and not version.trusted
  loop
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

-- ------------------------------------------------------------------ statistics of statements

-- They are one table for the whole cluster and the roles are shared, so whoever may read the extension's view sees the
-- statements of other projects. It lives in our schema, closed; people's SQL finds this database's share under the
-- usual name. What superusers ran is left out: it is the platform's, and utility statements keep their literals.
do $statistics$
begin
  if not exists (select from pg_catalog.pg_available_extensions where name = 'pg_stat_statements') then
    return;
  end if;
  create extension if not exists pg_stat_statements with schema plinth;
  revoke all on all tables in schema plinth from public;
  revoke all on all functions in schema plinth from public;

  create function plinth.statement_stats() returns setof plinth.pg_stat_statements
  language sql stable security definer
  set search_path = ''
  as $body$
    select stats.*
    from plinth.pg_stat_statements as stats
    join pg_catalog.pg_database as here on here.oid = stats.dbid and here.datname = pg_catalog.current_database()
    join pg_catalog.pg_roles as who on who.oid = stats.userid and not who.rolsuper
  $body$;
  revoke all on function plinth.statement_stats() from public;
  grant execute on function plinth.statement_stats() to @owner@, service_role;

  create view extensions.pg_stat_statements as select * from plinth.statement_stats();
  grant select on extensions.pg_stat_statements to @owner@, service_role;
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
