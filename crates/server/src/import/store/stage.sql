-- Rows as they were read, until the file is at its end.
create temporary table plinth_import_row (
  position bigint generated always as identity primary key,
  kind     text not null,
  line     bigint not null,
  doc      jsonb not null
) on commit drop
