-- Ends the leases that are over, except while their workers take jobs.
update plinth.worker set alive_until = '-infinity'
where id in (select id from plinth.worker where alive_until < clock_timestamp() for update skip locked)
returning id
