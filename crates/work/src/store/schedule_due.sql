-- Schedules whose tick has come, or whose spec was not read yet; at most $1.
select binding.id, binding.name, binding.spec, md5(binding.spec::text),
  schedule.spec, schedule.pattern, floor(extract(epoch from schedule.next_at))::bigint
from plinth.binding
left join plinth.schedule on schedule.binding = binding.id
where binding.kind = 'schedule' and binding.state = 'active'
  and (schedule.next_at <= now() or schedule.spec is distinct from md5(binding.spec::text))
order by schedule.next_at nulls first, binding.id
limit $1
