-- Run by the superuser. What a crash undoes is undone here as well. Who took which job when:
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

-- Where the schedule began.
create table public.first_tick (at timestamptz not null);
create function public.note_first_tick() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into public.first_tick values (new.next_at);
  return null;
end
$$;
create trigger note_first_tick after insert on plinth.schedule for each row execute function public.note_first_tick();
