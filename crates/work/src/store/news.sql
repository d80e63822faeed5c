-- Queued jobs of bindings $1 whose numbers are from $2 to before $3: the first of each turn. The sum, and the order that is
-- asked for, keep this to the index of numbers.
with new as materialized (
  select binding, fair, priority, place
  from plinth.job
  where id >= $2 and id < $3 and binding + 0 = any ($1::integer[]) and state = 'q'
  order by id
)
select binding, fair, priority, min(place) from new group by binding, fair, priority
