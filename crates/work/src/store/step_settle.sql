-- Ends waits of the job $1 whose time is over: a sleep is done, and an event that comes from now on comes too late.
update plinth.step set state = 'd', result = 'null', event = null, due_at = null, at = clock_timestamp()
where job = $1 and state in ('s', 'e') and due_at <= clock_timestamp()
