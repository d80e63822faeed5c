-- What is broken at this moment, a line each. One statement, so one snapshot.
select 'breaks the rules of its state: ' || to_jsonb(job)::text from plinth.job
where case state
  when 'q' then place is null or worker is not null or due_at is not null
  when 'w' then place is not null or worker is not null
  when 'r' then worker is null or due_at is not null
  when 'd' then place is not null or worker is not null or due_at is not null
  else true end
union all
select 'is nobody''s: ' || to_jsonb(job)::text from plinth.job
where state = 'r' and not exists (select from plinth.worker where worker.id = job.worker)
union all
select 'runs without a seat: ' || to_jsonb(job)::text from plinth.job
where state = 'r' and binding = 2 and not exists (select from plinth.seat where seat.job = job.id)
union all
select 'is a seat of no running job: ' || to_jsonb(seat)::text from plinth.seat
where not exists (select from plinth.job where job.id = seat.job and state = 'r')
union all
select 'has too many seats: ' || key from plinth.seat group by binding, key having count(*) > $1
union all
select 'is a step of no job: ' || to_jsonb(step)::text from plinth.step
where not exists (select from plinth.job where job.id = step.job)
