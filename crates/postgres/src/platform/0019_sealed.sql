-- Why: columns that hold secrets are sealed before they are stored, whoever writes them, with a key that only seals: what
-- this database holds it cannot open.
set local search_path = '';

create table plinth.sealing (
  one    boolean primary key default true check (one),
  -- The project's public key, and its name in sealed texts; null until a manifest wants one.
  name   text check (name ~ '^[0-9a-f]{8}$'),
  public bytea
);
insert into plinth.sealing default values;
-- Marks what a transaction has sealed. It is no key to anything, and nobody reads it. A table of its own: who has rights on columns
-- alone cannot `drop owned`.
create table plinth.sealing_secret (
  one    boolean primary key default true check (one),
  secret bytea not null default extensions.gen_random_bytes(32)
);
insert into plinth.sealing_secret default values;
comment on table plinth.sealing is 'The key that columns are sealed with; what opens them is not in this database';

-- Whether a text looks sealed.
create function plinth.is_sealed(value text) returns boolean
language sql immutable parallel safe
return value ~ '^sealed[.]v1[.][0-9a-f]{8}[.][0-9a-f]{32}[.][^.]+$';

-- Says that a text was sealed in this very transaction; nobody can say that of another's text.
create function plinth.sealing_mark(body text, secret bytea) returns text
language sql volatile
set search_path = ''
as $$
  select pg_catalog.left(pg_catalog.encode(extensions.hmac(
    pg_catalog.convert_to(pg_catalog.pg_current_xact_id()::text || '.' || body, 'UTF8'), secret, 'sha256'::text), 'hex'), 32)
$$;

-- What is to be stored of a value that somebody writes. A text that looks sealed is sealed like any other, or a copy of
-- another row's secret could be used as one's own. Only what this transaction sealed itself stays: the update of an `insert
-- … on conflict do update` gets what the insert has sealed.
create function plinth.seal_value(value text) returns text
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  own  plinth.sealing;
  mark constant bytea := (select secret from plinth.sealing_secret);
  body text;
begin
  if value is null or value = '' then
    return value;
  end if;
  select * into own from plinth.sealing;
  if own.public is null then
    raise exception 'this project has no key that seals' using hint = '`plinth blueprint apply` gives it one';
  end if;
  if plinth.is_sealed(value)
    and pg_catalog.split_part(value, '.', 4) = plinth.sealing_mark(pg_catalog.split_part(value, '.', 5), mark) then
    return value;
  end if;
  body := pg_catalog.translate(pg_catalog.encode(extensions.pgp_pub_encrypt_bytea(
    pg_catalog.convert_to(value, 'UTF8'), own.public, 'cipher-algo=aes256, compress-algo=0'::text), 'base64'), E'\n', '');
  return pg_catalog.concat('sealed.v1.', own.name, '.', plinth.sealing_mark(body, mark), '.', body);
end
$$;

-- The same for a value that was there before its column was sealed: what looks sealed then is.
create function plinth.seal_found(value text) returns text
language sql volatile
set search_path = ''
as $$
  select case when plinth.is_sealed(value) then value else plinth.seal_value(value) end
$$;

grant select, update on plinth.sealing to @owner@;
revoke all on function plinth.is_sealed(text), plinth.sealing_mark(text, bytea), plinth.seal_value(text), plinth.seal_found(text) from public;
grant execute on function plinth.is_sealed(text), plinth.seal_value(text), plinth.seal_found(text) to @owner@;
