select id, binding, priority, place, key, input, attempt, failures, extract(epoch from clock_timestamp() - enqueued_at),
  exists (select from plinth.step where step.job = taken.id), false
from plinth.take_limited($1, $2, $3, $4 * interval '1 second', $5, $6) as taken
