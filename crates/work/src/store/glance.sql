-- The revision of the bindings; whether one of $1 has a queued job, a schedule has a tick or was not read yet, or a lost worker
-- may have jobs, or jobs are to be cancelled; in how many seconds the next waiting job or tick is due.
select (select last_value from plinth.binding_revision),
  exists (select from unnest($1::integer[]) as wanted (id)
          cross join lateral (select from plinth.job where binding = wanted.id and place is not null and state = 'q' limit 1) as one)
    or exists (select from plinth.worker where alive_until < clock_timestamp())
    or exists (select from plinth.leaving)
    or exists (select from plinth.binding left join plinth.schedule on schedule.binding = binding.id
               where binding.kind = 'schedule' and binding.state = 'active'
                 and (schedule.next_at <= clock_timestamp() or schedule.spec is distinct from md5(binding.spec::text))),
  (select extract(epoch from least(
     (select min(due_at) from plinth.job where due_at is not null),
     (select min(schedule.next_at) from plinth.schedule join plinth.binding on binding.id = schedule.binding
      where binding.state = 'active' and schedule.next_at > statement_timestamp())) - clock_timestamp()))
