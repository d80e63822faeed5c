//! Our statements on the tables of messages; most of what they do is in the functions of `0017_messages.sql` and
//! `0021_runs.sql`. Each gives one JSON value, or one in a row.

use super::filter::with_filters;
use crate::store::statements;

statements! {
    PUBLISH = "select plinth.publish_messages($1::jsonb)";
    TAKE = "select plinth.message_work(taken) || jsonb_build_object('signing', (select signing from plinth.message_state))
            from plinth.take_messages($1, $2) as taken";
    FINISH = "select to_jsonb(plinth.finish_message($1, $2, $3, $4::jsonb)::text)";
    // Its answers to a take were lost: $2 and $3 are the messages that it knows of, with the attempts.
    ORPHANS = "with back as (
                 update plinth.message set state = 'q', worker = null
                 where state = 'r' and worker = $1 and not exists (
                   select from unnest($2::text[], $3::integer[]) as known (id, attempt)
                   where known.id = message.id and known.attempt = message.attempt)
                 returning id
               )
               select to_jsonb(count(*)) from back";
    // Seconds until something is to be done, or its worker's lease is over. What a paused queue holds back counts too, or it
    // would be late when it goes on.
    NEXT = "select to_jsonb(extract(epoch from least(
              (select min(due_at) from plinth.message where state = 'q' and lane is null),
              (select min(due_at) from plinth.message where state = 'q' and lane is not null),
              (select min(next_at) from plinth.message_schedule where not paused),
              (select min(greatest(coalesce(alive_until, '-infinity'), clock_timestamp()))
               from plinth.message left join plinth.worker on worker.id = message.worker where message.state = 'r')
            ) - clock_timestamp()))";
    USED = "select to_jsonb(exists (select from plinth.message) or exists (select from plinth.message_schedule)
              or exists (select from plinth.message_event))";
    RECLAIM = "select to_jsonb(plinth.reclaim_messages())";
    ROTATE = "select to_jsonb(plinth.rotate_messages($1 * interval '1 second')::text)";

    MESSAGE = "select plinth.message_view(message) from plinth.message where id = $1 and state in ('q', 'r')";
    // Steps of runs end with their run and not alone.
    CANCEL = with_filters("with gone as (
                delete from plinth.message where id in (
                  select id from plinth.message
                  where state in ('q', 'r') and kind in ('p', 'f') and @message@
                  order by place limit $2 for update skip locked)
                returning *
              ), logged as (
                insert into plinth.message_event (message, state, url, topic, endpoint, queue, flow, schedule, labels, run, caller_ip)
                select id, 'CANCELED', url, topic, endpoint, queue, flow, schedule, labels, run, settings ->> 'callerIP' from gone
              )
              select to_jsonb(count(*)) from gone");
    DEAD_LIST = with_filters("select plinth.message_view(message) from plinth.message
                 where state = 'd' and @message@ and ($3::text is null or dead_id < $3)
                 order by dead_id desc limit $2");
    // Of these kinds, beginning behind a place.
    DEAD_PAGE = with_filters("select to_jsonb(dead_id) from plinth.message
                 where state = 'd' and strpos($4, kind::text) > 0 and @message@ and ($3::text is null or dead_id < $3)
                 order by dead_id desc limit $2");
    DEAD_DELETE = with_filters("with gone as (
                     delete from plinth.message where id in (
                       select id from plinth.message where state = 'd' and @message@
                       order by dead_id desc limit $2 for update skip locked)
                     returning id, run, kind
                   ), held as (
                     -- Nobody can take the run up again.
                     delete from plinth.message using gone
                     where gone.kind in ('s', 'b') and message.run = gone.run and message.state = 'h'
                   ), waiters as (
                     delete from plinth.run_waiter using gone where gone.kind in ('s', 'b') and run_waiter.run = gone.run
                   ), notices as (
                     delete from plinth.run_notice using gone where gone.kind in ('s', 'b') and run_notice.run = gone.run
                   )
                   select to_jsonb(count(*)) from gone");
    DEAD_RETRY = with_filters("with back as (
                    update plinth.message
                    set id = plinth.message_id('msg_'), state = 'q', attempt = 0, retried = 0, due_at = clock_timestamp(),
                      created_at = clock_timestamp(), dead_id = null, dead_at = null, response = null
                    where id in (
                      select id from plinth.message
                      where state = 'd' and kind in ('p', 'f') and @message@
                      order by dead_id desc limit $2 for update skip locked)
                    returning *
                  ), logged as (
                    insert into plinth.message_event (message, state, url, topic, endpoint, queue, flow, schedule, labels, run, next_at, caller_ip)
                    select id, 'CREATED', url, topic, endpoint, queue, flow, schedule, labels, run, due_at, settings ->> 'callerIP' from back
                  )
                  select jsonb_build_object('messageId', id) from back");
    EVENTS = with_filters("select jsonb_strip_nulls(jsonb_build_object(
                'id', id, 'time', plinth.message_ms(at), 'state', state, 'messageId', message, 'url', url, 'topicName', topic,
                'endpointName', endpoint, 'queueName', queue, 'scheduleId', schedule, 'flowControlKey', flow, 'error', error,
                'nextDeliveryTime', plinth.message_ms(next_at), 'workflowRunId', run, 'label', labels[1],
                'labels', case when labels <> '{}' then to_jsonb(labels) end))
              from plinth.message_event where @event@
                and ($3::bigint is null or id < $3)
              order by id desc limit $2");

    SIGNING = "select to_jsonb(signing) from plinth.message_state";
    ROTATE_SIGNING = "update plinth.message_state set signing = signing + 1 returning to_jsonb(signing)";

    QUEUES = "select jsonb_build_object('name', name, 'parallelism', parallelism, 'paused', paused,
                'createdAt', plinth.message_ms(created_at), 'updatedAt', plinth.message_ms(updated_at),
                'lag', (select count(*) from plinth.message where queue = name and state in ('q', 'r')))
              from plinth.message_queue where $1::text is null or name = $1 order by name";
    QUEUE_WRITE = "insert into plinth.message_queue as known (name, parallelism, paused) values ($1, coalesce($2::integer, 1), $3)
                   on conflict (name) do update
                   set parallelism = coalesce($2::integer, known.parallelism), paused = known.paused or excluded.paused,
                     updated_at = clock_timestamp()
                   returning to_jsonb(name)";
    QUEUE_PAUSE = "insert into plinth.message_queue (name, paused) values ($1, $2)
                   on conflict (name) do update set paused = excluded.paused, updated_at = clock_timestamp()
                   returning to_jsonb(name)";
    // With what waits in it: nobody could look at it any more.
    QUEUE_DELETE = "with gone as (delete from plinth.message_queue where name = $1 returning name),
                    messages as (
                      delete from plinth.message using gone where queue = gone.name and state = 'q' returning message.*
                    ), logged as (
                      insert into plinth.message_event (message, state, url, topic, endpoint, queue, flow, schedule, labels, run, caller_ip)
                      select id, 'CANCELED', url, topic, endpoint, queue, flow, schedule, labels, run, settings ->> 'callerIP' from messages
                    )
                    select to_jsonb(count(*)) from gone";

    GROUPS = "select jsonb_build_object('name', name, 'endpoints', endpoints,
                'createdAt', plinth.message_ms(created_at), 'updatedAt', plinth.message_ms(updated_at))
              from plinth.url_group where $1::text is null or name = $1 order by name";
    GROUP_ADD = "insert into plinth.url_group as known (name, endpoints) values ($1, $2::jsonb)
                 on conflict (name) do update set updated_at = clock_timestamp(), endpoints = (
                   select coalesce(jsonb_agg(old), '[]') from jsonb_array_elements(known.endpoints) as old
                   where not exists (
                     select from jsonb_array_elements(excluded.endpoints) as new
                     where new ->> 'url' = old ->> 'url' or new ->> 'name' = old ->> 'name')
                 ) || excluded.endpoints
                 returning to_jsonb(name)";
    GROUP_REMOVE = "update plinth.url_group set updated_at = clock_timestamp(), endpoints = (
                      select coalesce(jsonb_agg(old), '[]') from jsonb_array_elements(endpoints) as old
                      where not exists (
                        select from jsonb_array_elements($2::jsonb) as new
                        where new ->> 'url' = old ->> 'url' or new ->> 'name' = old ->> 'name'))
                    where name = $1 returning to_jsonb(name)";
    GROUP_DELETE = "delete from plinth.url_group where name = $1 returning to_jsonb(name)";

    FLOWS = "select jsonb_build_object('flowControlKey', key, 'parallelismMax', parallelism, 'rateMax', rate, 'ratePeriod', period_s,
               'parallelismCount', (select count(*) from plinth.message where flow = key and state = 'r'),
               'rateCount', case when window_start + period_s * interval '1 second' > clock_timestamp() then window_count else 0 end,
               'ratePeriodStart', case when isfinite(window_start) then extract(epoch from window_start)::bigint else 0 end,
               'waitListSize', (select count(*) from plinth.message where flow = key and state = 'q' and due_at <= statement_timestamp()),
               'isPaused', paused, 'isPinnedParallelism', pinned_parallelism, 'isPinnedRate', pinned_rate)
             from plinth.message_flow where ($1::text is null or key = $1) and ($2::text is null or strpos(key, $2) > 0)
             order by key limit 1000";
    FLOW_PAUSE = "insert into plinth.message_flow (key, paused) values ($1, $2)
                  on conflict (key) do update set paused = excluded.paused returning to_jsonb(key)";
    FLOW_PIN = "insert into plinth.message_flow as known (key, parallelism, rate, period_s, pinned_parallelism, pinned_rate)
                values ($1, coalesce($2::integer, 0), coalesce($3::integer, 0), coalesce($4::integer, 1),
                  $2::integer is not null, $3::integer is not null)
                on conflict (key) do update set
                  parallelism = coalesce($2::integer, known.parallelism), rate = coalesce($3::integer, known.rate),
                  period_s = coalesce($4::integer, known.period_s),
                  pinned_parallelism = known.pinned_parallelism or excluded.pinned_parallelism,
                  pinned_rate = known.pinned_rate or excluded.pinned_rate
                returning to_jsonb(key)";
    FLOW_UNPIN = "update plinth.message_flow
                  set pinned_parallelism = pinned_parallelism and not $2, pinned_rate = pinned_rate and not $3
                  where key = $1 returning to_jsonb(key)";
    FLOW_SET = "select to_jsonb(plinth.set_flow($1, $2::jsonb)::text)";
    FLOW_RESET = "update plinth.message_flow set window_start = '-infinity', window_count = 0 where key = $1 returning to_jsonb(key)";
    RUNNING = "select to_jsonb(count(*)) from plinth.message where state = 'r'";

    SCHEDULES = "select jsonb_strip_nulls(jsonb_build_object(
                   'scheduleId', id, 'cron', cron, 'destination', destination, 'isPaused', paused,
                   'createdAt', plinth.message_ms(created_at), 'nextScheduleTime', plinth.message_ms(next_at),
                   'lastScheduleTime', plinth.message_ms(last_at), 'lastScheduleStates', last,
                   'method', item #> '{settings,method}', 'header', item #> '{settings,header}',
                   'body', plinth.message_text(decode(item ->> 'body', 'base64')),
                   'retries', item #> '{settings,retries}', 'delay', item -> 'delay',
                   'callback', item #> '{settings,callback,url}', 'failureCallback', item #> '{settings,failure,url}',
                   'callerIP', item #> '{settings,callerIP}', 'queueName', item -> 'queue',
                   'retryDelayExpression', item #> '{settings,retryDelay}', 'timeout', item #> '{settings,timeout}',
                   'flowControlKey', item -> 'flow', 'parallelism', item #> '{flowValue,parallelism}',
                   'rate', item #> '{flowValue,rate}', 'period', item #> '{flowValue,period}',
                   'label', item #> '{labels,0}', 'labels', case when item -> 'labels' <> '[]' then item -> 'labels' end))
                 from plinth.message_schedule where $1::text is null or id = $1 order by created_at, id limit 1000";
    SCHEDULE_WRITE = "insert into plinth.message_schedule (id, cron, destination, item, next_at)
                      values ($1, $2, $3, $4::jsonb, $5::timestamptz)
                      on conflict (id) do update set cron = excluded.cron, destination = excluded.destination,
                        item = excluded.item, next_at = excluded.next_at
                      returning to_jsonb(id)";
    SCHEDULE_DELETE = "delete from plinth.message_schedule where id = $1 returning to_jsonb(id)";
    SCHEDULE_CRON = "select to_jsonb(cron) from plinth.message_schedule where id = $1";
    // A schedule that is taken up again goes on with its next tick and not with those that it slept through.
    SCHEDULE_PAUSE = "update plinth.message_schedule set paused = $2,
                        next_at = case when $2 then next_at else coalesce($3::timestamptz, next_at) end
                      where id = $1 returning to_jsonb(id)";
    SCHEDULES_DUE = "select jsonb_build_object('id', id, 'cron', cron, 'due', next_at::text)
                     from plinth.message_schedule where not paused and next_at <= statement_timestamp() order by next_at limit 100";
    TICK = "select to_jsonb(plinth.tick_message($1, $2::timestamptz, $3::timestamptz))";

    NOTIFY = "select plinth.notify_runs($1, $2, $3)";
    WAITERS = "select request from plinth.run_waiter where event = $1 order by message limit 1000";
    // Of a failed run too: what was under way when it failed goes on, and counts when the run does.
    RUN_LIST = "select plinth.run_list(id, null) from plinth.run where id = $1 and state in ('RUN_STARTED', 'RUN_FAILED')";
    RUN_STANDS = "select to_jsonb(exists (select from plinth.run where id = $1 and state = 'RUN_FAILED'))";
    RUN_END = "select to_jsonb(plinth.end_run($1, $2, $3, null))";
    RUNS_CANCEL = with_filters("select to_jsonb(plinth.end_run(id, 'RUN_CANCELED', null, null)) from (
                     select id from plinth.run
                     where state = 'RUN_STARTED'
                       and @run@
                     order by created_at limit $2) as named");
    RUNS_RESUME = with_filters("with failed as (
                     select run as of_run from plinth.message
                     where state = 'd' and kind in ('s', 'b') and @message@
                     order by dead_id desc limit $2
                   ), again as materialized (
                     select plinth.resume_run(of_run, $3::jsonb, $4::text) as answer from failed
                   )
                   select answer from again where answer is not null");
    RUNS_RESTART = with_filters("with failed as (
                      select run as of_run from plinth.message
                      where state = 'd' and kind in ('s', 'b') and @message@
                      order by dead_id desc limit $2
                    ), gone as (
                      delete from plinth.message using failed
                      where message.run = failed.of_run and message.state in ('d', 'h') and message.kind in ('s', 'b', 'c')
                    ), waiters as (
                      delete from plinth.run_waiter using failed where run_waiter.run = failed.of_run
                    ), notices as (
                      delete from plinth.run_notice using failed where run_notice.run = failed.of_run
                    ), items as (
                      select jsonb_build_object('kind', 'i', 'run', plinth.message_id('wfr_'), 'url', run.url,
                        'labels', to_jsonb(run.labels), 'settings', run.settings || $3::jsonb,
                        'body', plinth.message_base64(run.body)) || case
                          when coalesce($4::text, run.flow) is null then '{}'
                          else jsonb_build_object('flow', coalesce($4::text, run.flow)) end as item
                      from failed join plinth.run on run.id = failed.of_run
                    )
                    select answer - 'messageId' from items, plinth.publish_messages(jsonb_build_array(item)) as answers,
                      jsonb_array_elements(answers) as answer");
    FAILURE_CALL = "with word as (
                      select word.id, word.run from plinth.message as dead
                      join plinth.message as word on word.run = dead.run and word.kind = 'f' and word.state = 'd'
                      where dead.dead_id = $1 limit 1
                    ), back as (
                      update plinth.message
                      set state = 'q', attempt = 0, retried = 0, due_at = clock_timestamp(), dead_id = null, dead_at = null, response = null
                      from word where message.id = word.id
                    )
                    select jsonb_build_object('workflowRunId', run.id, 'workflowCreatedAt', plinth.message_ms(run.created_at))
                    from word join plinth.run on run.id = word.run";
    RUNS = with_filters("select jsonb_strip_nulls(jsonb_build_object(
              'workflowRunId', run.id, 'workflowUrl', run.url, 'workflowState', run.state,
              'workflowRunCreatedAt', plinth.message_ms(run.created_at), 'workflowRunCompletedAt', plinth.message_ms(run.ended_at),
              'workflowRunResponse', case run.state when 'RUN_FAILED' then to_json(run.result)::text else run.result end,
              'dlqId', run.dead_id, 'label', run.labels[1],
              'labels', case when run.labels <> '{}' then to_jsonb(run.labels) end,
              'invoker', (select jsonb_build_object('workflowRunId', parent.id, 'workflowUrl', parent.url,
                'workflowRunCreatedAt', plinth.message_ms(parent.created_at)) from plinth.run as parent where parent.id = run.parent),
              'failureFunction', plinth.run_failure(run) || jsonb_build_object('dlqId', run.dead_id) || coalesce((
                select jsonb_build_object('failStatus', response -> 'status', 'failHeaders', response -> 'header',
                  'failResponse', plinth.message_text(decode(response ->> 'body', 'base64')))
                from plinth.message where message.dead_id = run.dead_id), '{}'),
              'retries', run.settings -> 'retries', 'redacted', run.settings #> '{redact,body}',
              'headers', plinth.shown_headers(run.settings),
              'cursor', (extract(epoch from run.created_at) * 1000000)::bigint || '-' || run.id,
              'entries', (
                select coalesce(jsonb_agg(jsonb_build_object('messageId', step.message, 'body', plinth.message_text(step.body),
                  'time', plinth.message_ms(step.at)) order by step.place), '[]')
                from (select * from plinth.run_step where run_step.run = run.id order by place limit 1000) as step),
              'pending', (
                select coalesce(jsonb_agg(jsonb_build_object('messageId', message.id, 'state', message.state, 'kind', message.kind,
                  'retried', message.retried, 'due', plinth.message_ms(message.due_at),
                  'stepName', message.response #>> '{header,Upstash-Error-Step-Name,0}') order by message.place), '[]')
                from plinth.message where message.run = run.id and message.kind <> 'f')))
            from plinth.run
            where @run@
              and ($3::bigint is null or (run.created_at, run.id) < (timestamptz 'epoch' + $3::bigint * interval '1 microsecond', $4::text))
            order by run.created_at desc, run.id desc limit $2");
}
