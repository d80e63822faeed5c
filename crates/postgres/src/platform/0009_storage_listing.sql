-- Why: the storage API and people's own SQL list a bucket like a folder; all of it under the caller's policies.
set local search_path = '';

-- ------------------------------------------------------------------ in byte order, page by page

-- Entries directly under `prefix_param`: files, and folders (id null, name ending in the delimiter) for everything
-- below them. It jumps over a folder's contents through the index, so the cost follows the entries and not the files.
-- A page goes on where the last one ended: `next_token`, or `start_after` for the first, is the last name seen.
create function storage.list_objects_with_delimiter(
  _bucket_id text, prefix_param text, delimiter_param text, max_keys integer default 100,
  start_after text default '', next_token text default '', sort_order text default 'asc')
returns table (
  name text, id uuid, metadata jsonb, updated_at timestamptz, created_at timestamptz, last_accessed_at timestamptz)
language plpgsql stable
set search_path = ''
as $$
#variable_conflict use_column
declare
  prefix     constant text := coalesce(prefix_param, '');
  -- In byte order a string is followed at once by itself with the smallest character appended.
  position   text := greatest(prefix collate "C", nullif(coalesce(nullif(next_token, ''), start_after), '') || E'\x01');
  emitted    integer := 0;
  found_file storage.objects;
  folder     text;
begin
  if pg_catalog.lower(sort_order) <> 'asc' then
    raise exception 'list_objects_with_delimiter lists in ascending order only' using errcode = 'feature_not_supported';
  end if;
  while emitted < max_keys loop
    select * into found_file from storage.objects as object
    where object.bucket_id = _bucket_id and object.name collate "C" >= position
    order by object.name collate "C" limit 1;
    exit when not found or not pg_catalog.starts_with(found_file.name, prefix);

    folder := storage.get_common_prefix(found_file.name, prefix, delimiter_param);
    if folder is null then
      name := found_file.name;
      id := found_file.id;
      metadata := found_file.metadata;
      updated_at := found_file.updated_at;
      created_at := found_file.created_at;
      last_accessed_at := found_file.last_accessed_at;
      position := found_file.name || E'\x01';
      return next;
      emitted := emitted + 1;
    else
      -- The token may be this very folder, whose contents sort after it.
      if folder is distinct from coalesce(nullif(next_token, ''), start_after) then
        name := folder;
        id := null; metadata := null; updated_at := null; created_at := null; last_accessed_at := null;
        return next;
        emitted := emitted + 1;
      end if;
      position := pg_catalog.left(folder, -1) || pg_catalog.chr(pg_catalog.ascii(pg_catalog.right(folder, 1)) + 1);
    end if;
  end loop;
end
$$;

-- ------------------------------------------------------------------ sorted, by offset

-- `levels` is the depth of the entries: the number of parts of `prefix` and one. Names are relative to their folder.
create function storage.search(
  prefix text, bucketname text, limits integer default 100, levels integer default 1, offsets integer default 0,
  search text default '', sortcolumn text default 'name', sortorder text default 'asc')
returns table (
  name text, id uuid, updated_at timestamptz, created_at timestamptz, last_accessed_at timestamptz, metadata jsonb)
language plpgsql stable
set search_path = ''
as $$
#variable_conflict use_column
declare
  -- The search is for text, in either case, not for a pattern.
  pattern   constant text := pg_catalog.regexp_replace(coalesce(prefix, '') || coalesce(search, ''), '([\\%_])', '\\\1', 'g') || '%';
  direction constant text := case when pg_catalog.lower(sortorder) = 'desc' then 'desc' else 'asc' end;
  column_of constant text := case when sortcolumn in ('name', 'updated_at', 'created_at', 'last_accessed_at') then sortcolumn else 'name' end;
begin
  return query execute pg_catalog.format(
    'select name, id, updated_at, created_at, last_accessed_at, metadata
     from (
       select path_tokens[$1] as name, null::uuid as id, null::timestamptz as updated_at, null::timestamptz as created_at,
         null::timestamptz as last_accessed_at, null::jsonb as metadata, 0 as kind
       from storage.objects
       where bucket_id = $2 and name ilike $3 and pg_catalog.cardinality(path_tokens) > $1
       group by path_tokens[$1]
       union all
       select path_tokens[$1], id, updated_at, created_at, last_accessed_at, metadata, 1
       from storage.objects
       where bucket_id = $2 and name ilike $3 and pg_catalog.cardinality(path_tokens) = $1
     ) as entry
     order by kind, %I %s, name collate "C" limit $4 offset $5', column_of, direction)
  using levels, bucketname, pattern, limits, offsets;
end
$$;

-- ------------------------------------------------------------------ sorted, from a cursor

-- `key` is the entry's name in its folder, `name` its whole name (a folder's ends in a slash). The cursor is the last
-- entry's name, with its time in `sort_column_after` when sorted by time. A folder is as old as what is oldest in it.
create function storage.search_v2(
  prefix text, bucket_name text, limits integer default 100, levels integer default 1, start_after text default '',
  sort_order text default 'asc', sort_column text default 'name', sort_column_after text default '')
returns table (
  key text, name text, id uuid, updated_at timestamptz, created_at timestamptz, last_accessed_at timestamptz, metadata jsonb)
language plpgsql stable
set search_path = ''
as $$
#variable_conflict use_column
declare
  pattern    constant text := pg_catalog.regexp_replace(coalesce(prefix, ''), '([\\%_])', '\\\1', 'g') || '%';
  descending constant boolean := pg_catalog.lower(sort_order) = 'desc';
  time_of    constant text := case when sort_column in ('updated_at', 'created_at') then sort_column end;
begin
  return query execute pg_catalog.format(
    'select pg_catalog.split_part(name, ''/'', $1), name, id, updated_at, created_at, last_accessed_at, metadata
     from (
       select pg_catalog.array_to_string(path_tokens[1:$1], ''/'') || ''/'' as name, null::uuid as id,
         min(updated_at) as updated_at, min(created_at) as created_at, min(last_accessed_at) as last_accessed_at, null::jsonb as metadata
       from storage.objects
       where bucket_id = $2 and name like $3 and pg_catalog.cardinality(path_tokens) > $1
       group by path_tokens[1:$1]
       union all
       select name, id, updated_at, created_at, last_accessed_at, metadata
       from storage.objects
       where bucket_id = $2 and name like $3 and pg_catalog.cardinality(path_tokens) = $1
     ) as entry
     where %s
     order by %s name collate "C" %s limit $6',
    case
      when time_of is null then pg_catalog.format('$4 = '''' or name collate "C" %s $4', case when descending then '<' else '>' end)
      else pg_catalog.format(
        '$4 = '''' or (pg_catalog.date_trunc(''milliseconds'', %1$I), name collate "C") %2$s
          (pg_catalog.date_trunc(''milliseconds'', nullif($5, '''')::timestamptz), $4)',
        time_of, case when descending then '<' else '>' end)
    end,
    case when time_of is null then '' else
      pg_catalog.format('pg_catalog.date_trunc(''milliseconds'', %I) %s,', time_of, case when descending then 'desc' else 'asc' end) end,
    case when descending then 'desc' else 'asc' end)
  using levels, bucket_name, pattern, coalesce(start_after, ''), sort_column_after, limits;
end
$$;
