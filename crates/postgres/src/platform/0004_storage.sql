-- Why: policies on storage.objects decide who may read and write files; the rows are the truth, the bytes lie elsewhere.
set local search_path = '';

-- ------------------------------------------------------------------ tables

create type storage.buckettype as enum ('STANDARD', 'ANALYTICS', 'VECTOR');

create table storage.buckets (
  id                 text primary key,
  name               text not null,
  owner              uuid,
  created_at         timestamptz default now(),
  updated_at         timestamptz default now(),
  public             boolean default false,
  avif_autodetection boolean default false,
  file_size_limit    bigint,
  allowed_mime_types text[],
  owner_id           text,
  type               storage.buckettype not null default 'STANDARD',
  versioning_status  text default 'DISABLED'
);
comment on column storage.buckets.owner is 'Deprecated: use owner_id';
create unique index bname on storage.buckets (name);

create table storage.objects (
  id               uuid primary key default gen_random_uuid(),
  bucket_id        text constraint "objects_bucketId_fkey" references storage.buckets (id),
  name             text,
  owner            uuid,
  created_at       timestamptz default now(),
  updated_at       timestamptz default now(),
  last_accessed_at timestamptz default now(),
  metadata         jsonb,
  path_tokens      text[] generated always as (string_to_array(name, '/')) stored,
  version          text,
  owner_id         text,
  user_metadata    jsonb,
  archived_at      timestamptz,
  is_delete_marker boolean not null default false,
  is_versioned     boolean not null default false
);
comment on column storage.objects.owner is 'Deprecated: use owner_id';
comment on column storage.objects.owner_id is 'The sub of the token that uploaded it; text, since it need not be a uuid';
create unique index bucketid_objname on storage.objects (bucket_id, name);
create index name_prefix_search on storage.objects (name text_pattern_ops);
-- Listing pages through one bucket in byte order.
create index idx_objects_bucket_id_name on storage.objects (bucket_id, name collate "C");
-- The usual policy: owner_id = (select auth.uid())::text.
create index idx_objects_owner_id on storage.objects (owner_id);

create table storage.s3_multipart_uploads (
  id               text primary key,
  in_progress_size bigint not null default 0,
  upload_signature text not null,
  bucket_id        text not null references storage.buckets (id),
  key              text collate "C" not null,
  version          text not null,
  owner_id         text,
  created_at       timestamptz not null default now(),
  user_metadata    jsonb,
  metadata         jsonb
);
create index idx_multipart_uploads_list on storage.s3_multipart_uploads (bucket_id, key, created_at);

create table storage.s3_multipart_uploads_parts (
  id          uuid primary key default gen_random_uuid(),
  upload_id   text not null references storage.s3_multipart_uploads (id) on delete cascade,
  size        bigint not null default 0,
  part_number integer not null,
  bucket_id   text not null references storage.buckets (id),
  key         text collate "C" not null,
  etag        text not null,
  owner_id    text,
  version     text not null,
  created_at  timestamptz not null default now()
);
create index s3_multipart_uploads_parts_upload_id_idx on storage.s3_multipart_uploads_parts (upload_id, part_number);
create index s3_multipart_uploads_parts_bucket_id_idx on storage.s3_multipart_uploads_parts (bucket_id);

-- Kept for tools that look for it.
create table storage.migrations (
  id          integer primary key,
  name        varchar(100) not null unique,
  hash        varchar(40) not null,
  executed_at timestamp default current_timestamp
);

-- ------------------------------------------------------------------ what policies say about names

-- Not STRICT, though null in is null out: PostgreSQL inlines them into the policy without it.

create function storage.foldername(name text) returns text[]
language sql immutable parallel safe
return (pg_catalog.string_to_array(name, '/'))[1:pg_catalog.array_length(pg_catalog.string_to_array(name, '/'), 1) - 1];

create function storage.filename(name text) returns text
language sql immutable parallel safe
return pg_catalog.split_part(name, '/', -1);

create function storage.extension(name text) returns text
language sql immutable parallel safe
return pg_catalog.split_part(pg_catalog.split_part(name, '/', -1), '.', -1);

comment on function storage.foldername(text) is 'All parts of an object''s name but the last';
comment on function storage.filename(text) is 'The last part of an object''s name';
comment on function storage.extension(text) is 'What follows the last dot of the file name; the whole of it when it has none';

-- ------------------------------------------------------------------ what policies say about the operation

create function storage.operation() returns text
language sql stable parallel safe
return pg_catalog.current_setting('storage.operation', true);

-- 'storage.object.upload' and 'object.upload' are the same operation.
create function storage.allow_any_operation(expected_operations text[]) returns boolean
language sql stable parallel safe
return coalesce(
  pg_catalog.regexp_replace(nullif(storage.operation(), ''), '^storage\.', '')
    in (select pg_catalog.regexp_replace(expected, '^storage\.', '') from pg_catalog.unnest(expected_operations) as item (expected)),
  false);

create function storage.allow_only_operation(expected_operation text) returns boolean
language sql stable parallel safe
return storage.allow_any_operation(array[expected_operation]);

comment on function storage.operation() is 'What the storage API is doing, such as storage.object.upload; null in plain SQL';

-- ------------------------------------------------------------------ listing

-- The entry of a listing that `key` falls under: the folder up to the next delimiter after `prefix`, null for a file.
create function storage.get_common_prefix(p_key text, p_prefix text, p_delimiter text) returns text
language sql immutable parallel safe
return case
  when pg_catalog.strpos(pg_catalog.substr(p_key, pg_catalog.length(p_prefix) + 1), p_delimiter) > 0
  then pg_catalog.left(p_key, pg_catalog.length(p_prefix)
    + pg_catalog.strpos(pg_catalog.substr(p_key, pg_catalog.length(p_prefix) + 1), p_delimiter)
    + pg_catalog.length(p_delimiter) - 1)
end;

create function storage.get_size_by_bucket() returns table (size bigint, bucket_id text)
language sql stable
begin atomic
  select coalesce(sum((object.metadata ->> 'size')::bigint), 0)::bigint, object.bucket_id
  from storage.objects as object
  group by object.bucket_id;
end;

-- Whether the caller's policies would let this object in. The row never stays: the exception that says so undoes it.
create function storage.can_insert_object(bucketid text, name text, owner uuid, metadata jsonb) returns void
language plpgsql
set search_path = ''
as $$
begin
  insert into storage.objects (bucket_id, name, owner, owner_id, metadata)
  values (bucketid, name, owner, owner::text, metadata);
  raise sqlstate 'PT200' using message = 'ROLLBACK', detail = 'rollback successful insert';
end
$$;

-- ------------------------------------------------------------------ triggers

create function storage.update_updated_at_column() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.updated_at = pg_catalog.now();
  return new;
end
$$;

create trigger update_objects_updated_at before update on storage.objects
for each row execute function storage.update_updated_at_column();

create function storage.enforce_bucket_name_length() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if pg_catalog.length(new.name) > 100 then
    raise exception 'bucket name "%" is too long (% characters). Max is 100.', new.name, pg_catalog.length(new.name);
  end if;
  return new;
end
$$;

create trigger enforce_bucket_name_length_trigger before insert or update of name on storage.buckets
for each row execute function storage.enforce_bucket_name_length();

-- A row deleted here would leave its bytes behind for ever, so only the storage API deletes.
create function storage.protect_delete() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if coalesce(pg_catalog.current_setting('storage.allow_delete_query', true), '') <> 'true' then
    raise exception 'Direct deletion from storage tables is not allowed. Use the Storage API instead.'
      using errcode = 'insufficient_privilege',
        hint = 'This prevents orphaned files. To delete rows nevertheless: set storage.allow_delete_query = ''true''';
  end if;
  return null;
end
$$;

create trigger protect_buckets_delete before delete on storage.buckets
for each statement execute function storage.protect_delete();
create trigger protect_objects_delete before delete on storage.objects
for each statement execute function storage.protect_delete();

-- ------------------------------------------------------------------ ownership and grants

do $ownership$
declare
  item record;
begin
  for item in
    select oid::pg_catalog.regclass as name from pg_catalog.pg_class
    where relnamespace = 'storage'::pg_catalog.regnamespace and relkind = 'r'
  loop
    execute pg_catalog.format('alter table %s owner to supabase_storage_admin', item.name);
    execute pg_catalog.format('alter table %s enable row level security', item.name);
  end loop;
end
$ownership$;
alter type storage.buckettype owner to supabase_storage_admin;

-- No truncate: neither policies nor the trigger above would be asked.
grant select, insert, update, delete on storage.buckets, storage.objects to anon, authenticated, service_role;
grant select, insert, update, delete on storage.s3_multipart_uploads, storage.s3_multipart_uploads_parts to service_role;
grant select on storage.s3_multipart_uploads, storage.s3_multipart_uploads_parts to anon, authenticated;
grant all on all tables in schema storage to @owner@ with grant option;
