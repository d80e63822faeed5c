-- Why: Supabase's guides keep `updated_at` with it, and its packager did not mark it as trusted, so that an owner cannot create it.
set local search_path = '';

do $extension$
begin
  if exists (select from pg_catalog.pg_available_extensions where name = 'moddatetime') then
    create extension if not exists moddatetime with schema extensions;
  end if;
end
$extension$;
