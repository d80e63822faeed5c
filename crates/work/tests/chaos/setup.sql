-- Run by the owner.
create table task (
  id bigint generated always as identity primary key,
  kind text not null,
  tenant text not null,
  status text not null default 'pending',
  note integer not null default 0
);
-- No unique constraint: what happens twice is seen twice.
create table effect (
  number bigint generated always as identity,
  what text not null,
  job bigint not null,
  row bigint,
  attempt integer not null,
  detail jsonb,
  at timestamptz not null default clock_timestamp()
);
-- Every entry of a row into its state, and every way out of it that its users took, by their own transactions.
create table entry (
  row bigint not null,
  kind text not null,
  at timestamptz not null
);
create table way_out (
  row bigint not null,
  how text not null,
  at timestamptz not null default clock_timestamp()
);
create function note_entry() returns trigger language plpgsql as $$
begin
  insert into entry values (new.id, new.kind, now());
  return null;
end
$$;
create trigger note_insert after insert on task for each row when (new.status = 'pending') execute function note_entry();
create trigger note_enter after update on task for each row
  when (new.status = 'pending' and old.status <> 'pending') execute function note_entry();
create function note_way_out() returns trigger language plpgsql as $$
begin
  insert into way_out (row, how) values (old.id, case tg_op when 'DELETE' then 'deleted' else new.status end);
  return null;
end
$$;
create trigger note_cancel after update on task for each row
  when (new.status in ('cancelled', 'pending') and new.status <> old.status) execute function note_way_out();
create trigger note_delete after delete on task for each row execute function note_way_out();
