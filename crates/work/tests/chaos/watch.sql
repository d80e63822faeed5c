-- Run by the superuser: who took which job when. What a crash undoes is undone here as well.
create table public.claim (
  number bigint generated always as identity,
  job bigint not null,
  binding integer not null,
  attempt integer not null,
  worker bigint not null,
  rate_key text,
  at timestamptz not null
);
create function public.note_claim() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into public.claim (job, binding, attempt, worker, rate_key, at)
  values (new.id, new.binding, new.attempt, new.worker, new.rate_key, new.started_at);
  return null;
end
$$;
create trigger note_claim after update on plinth.job for each row
  when (new.state = 'r' and old.state <> 'r') execute function public.note_claim();
