-- Gives back the jobs of worker $1, which stops: they were not at fault.
with back as (
  update plinth.job set state = 'q', worker = null where worker = $1 and state = 'r' and id = any ($2::bigint[]) returning id
), seats as (
  delete from plinth.seat using back where seat.job = back.id
)
delete from plinth.worker where id = $1
