-- Gives back the jobs of worker $1, which stops: they were not at fault. All of them: those that it does not know of
-- would belong to nobody.
with back as (
  update plinth.job set state = 'q', worker = null, place = nextval('plinth.job_number')
  where worker = $1 and state = 'r' returning id
), seats as (
  delete from plinth.seat where job = any (array(select id from back))
)
delete from plinth.worker where id = $1
