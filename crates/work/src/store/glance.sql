-- The revision of the bindings, whether one of $1 has a queued job or a lost worker has any, and in how many seconds the
-- next waiting job is due.
select (select last_value from plinth.binding_revision),
  exists (select from unnest($1::integer[]) as wanted (id)
          cross join lateral (select from plinth.job where binding = wanted.id and place is not null and state = 'q' limit 1) as one)
    or exists (select from plinth.worker where alive_until < clock_timestamp()),
  (select extract(epoch from min(due_at) - clock_timestamp()) from plinth.job where due_at is not null)
