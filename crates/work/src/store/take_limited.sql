select id, binding, priority, place, key, input, attempt, failures, extract(epoch from clock_timestamp() - enqueued_at),
  exists (select from plinth.step where step.job = taken.id), parent is null and $6::integer is null, fair, state
from plinth.take_limited($1, $2, $3, $4 * interval '1 second', $5, $6, $7, $8, $9, $10, $11) as taken
