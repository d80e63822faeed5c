-- Search, statistics, dashboard, export and monitoring. All but published_demos() run as their caller, so that they
-- show nobody more than the tables do.

-- Function for semantic search in knowledge base.
--
-- The demo's chunks are compared one by one: an index scan looks for neighbours among the chunks of all demos, drops
-- those of others afterwards and so returns too few. A demo has tens to thousands of chunks, which is quick enough.
create function public.search_knowledge_chunks(
    query_embedding extensions.vector(1536),
    demo_id uuid,
    match_threshold float default 0.7,
    match_count int default 5
)
returns table (
    id uuid,
    content text,
    question text,
    answer text,
    source text,
    similarity float
)
language sql
stable
set search_path = ''
as $$
    with chunk as materialized (
        select
            kc.id, kc.content, kc.question, kc.answer, kc.source,
            kc.vector_embedding operator(extensions.<=>) search_knowledge_chunks.query_embedding as distance
        from public.knowledge_chunks kc
        where kc.demo_id = search_knowledge_chunks.demo_id
            and kc.vector_embedding is not null
    )
    select c.id, c.content, c.question, c.answer, c.source, 1 - c.distance as similarity
    from chunk c
    -- Written this way round, a chunk whose embedding is all zeros (its distance is NaN) never matches.
    where c.distance < 1 - search_knowledge_chunks.match_threshold
    order by c.distance, c.id
    limit search_knowledge_chunks.match_count;
$$;

-- Function to get demo statistics.
create function public.get_demo_stats(demo_uuid uuid)
returns table (
    video_count bigint,
    knowledge_chunk_count bigint,
    total_video_duration integer,
    last_conversation_at timestamp with time zone
)
language sql
stable
set search_path = ''
as $$
    select
        (select count(*) from public.demo_videos dv where dv.demo_id = demo_uuid),
        (select count(*) from public.knowledge_chunks kc where kc.demo_id = demo_uuid),
        (select coalesce(sum(dv.duration_seconds), 0)::integer from public.demo_videos dv where dv.demo_id = demo_uuid),
        (select max(pwe.processed_at)
         from public.conversations c
         join public.processed_webhook_events pwe on pwe.conversation_id = c.conversation_id
         where c.demo_id = demo_uuid);
$$;

-- The demo dashboard. Each number is counted on its own: joining all three children to the demo would multiply them
-- with each other.
create view public.demo_dashboard with (security_invoker = true) as
select
    d.*,
    (select count(*) from public.demo_videos dv where dv.demo_id = d.id) as video_count,
    (select count(*) from public.knowledge_chunks kc where kc.demo_id = d.id) as knowledge_count,
    (select max(pwe.processed_at)
     from public.conversations c
     join public.processed_webhook_events pwe on pwe.conversation_id = c.conversation_id
     where c.demo_id = d.id) as last_activity
from public.demos d
order by d.updated_at desc;

revoke all on public.demo_dashboard from anon, authenticated, service_role;
grant select on public.demo_dashboard to authenticated, service_role;

-- Export demo data for user: one object per demo, with everything that hangs on it. The server may name any user;
-- for everybody else policies leave nothing but their own.
create function public.export_demo_data(user_uuid uuid default auth.uid())
returns setof jsonb
language sql
stable
set search_path = ''
as $$
    select to_jsonb(d) || jsonb_build_object(
        'videos', (
            select coalesce(jsonb_agg(to_jsonb(dv) order by dv.order_index), '[]')
            from public.demo_videos dv where dv.demo_id = d.id
        ),
        'knowledge_chunks', (
            select coalesce(jsonb_agg(to_jsonb(kc) order by kc.created_at, kc.id), '[]')
            from public.knowledge_chunks kc where kc.demo_id = d.id
        ),
        'conversations', (
            select coalesce(jsonb_agg(to_jsonb(c) || jsonb_build_object('messages', (
                select coalesce(jsonb_agg(to_jsonb(cm) order by cm.timestamp, cm.id), '[]')
                from public.conversation_messages cm where cm.conversation_id = c.conversation_id
            )) order by c.created_at, c.id), '[]')
            from public.conversations c where c.demo_id = d.id
        )
    )
    from public.demos d
    where d.user_id = user_uuid
    order by d.created_at, d.id;
$$;

-- What a visitor may know of published demos, whether signed in or not. SECURITY DEFINER because the role of signed-in
-- users reads every column of the demos that policies show it, and of other people's demos it must not.
create function public.published_demos()
returns table (
    id uuid,
    name text,
    description text,
    agent_name text,
    agent_greeting text,
    cta_text text,
    cta_link text,
    published_url text,
    created_at timestamp with time zone,
    updated_at timestamp with time zone
)
language sql
stable
security definer
set search_path = ''
as $$
    select d.id, d.name, d.description, d.agent_name, d.agent_greeting, d.cta_text, d.cta_link, d.published_url,
           d.created_at, d.updated_at
    from public.demos d
    where d.status = 'published'
    order by d.updated_at desc;
$$;

-- Puts the videos of a demo in the given order, numbered from 0, and returns them so.
create function public.reorder_demo_videos(demo_uuid uuid, video_ids uuid[])
returns setof public.demo_videos
language plpgsql
set search_path = ''
as $$
begin
    -- One at a time, and none while a video is added: both take the row of the demo.
    perform from public.demos d where d.id = demo_uuid for update;

    if (select array_agg(dv.id order by dv.id) from public.demo_videos dv where dv.demo_id = demo_uuid)
        is distinct from (select array_agg(given.id order by given.id) from unnest(video_ids) as given (id))
        or video_ids is null or video_ids = '{}'
    then
        raise exception 'video_ids must name every video of the demo exactly once'
            using errcode = 'invalid_parameter_value';
    end if;

    update public.demo_videos dv
    set order_index = given.place - 1
    from unnest(video_ids) with ordinality as given (id, place)
    where dv.id = given.id and dv.order_index <> given.place - 1;

    return query select dv.* from public.demo_videos dv where dv.demo_id = demo_uuid order by dv.order_index;
end;
$$;

revoke execute on function
    public.search_knowledge_chunks(extensions.vector, uuid, float, int),
    public.export_demo_data(uuid),
    public.reorder_demo_videos(uuid, uuid[])
from public, anon;

-- Visitors may ask for statistics, as the document lets them; they get what they may see of it, which is nothing.
revoke execute on function public.get_demo_stats(uuid), public.published_demos() from public;

grant execute on function
    public.search_knowledge_chunks(extensions.vector, uuid, float, int),
    public.export_demo_data(uuid),
    public.reorder_demo_videos(uuid, uuid[])
to authenticated, service_role;

grant execute on function public.get_demo_stats(uuid), public.published_demos()
to anon, authenticated, service_role;

-- Triggers call their functions by themselves; nobody else has a use for them.
revoke execute on function
    public.handle_new_user(),
    public.update_updated_at_column(),
    public.guard_tavus_ids(),
    public.register_conversation(),
    public.delete_conversation_data(),
    public.audit_row_change()
from public, anon, authenticated, service_role;

-- Monitoring, for the server -------------------------------------------------------------------------------------

-- Check table sizes.
create function public.table_sizes()
returns table (schemaname name, tablename name, size text, size_bytes bigint)
language sql
stable
set search_path = ''
as $$
    -- By oid: a name glued together from its parts is no name once it needs quotes.
    select n.nspname, c.relname, pg_size_pretty(pg_total_relation_size(c.oid)), pg_total_relation_size(c.oid)
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind in ('r', 'p')
    order by pg_total_relation_size(c.oid) desc, c.relname;
$$;

-- Check index usage.
create function public.index_usage()
returns table (schemaname name, relname name, indexrelname name, idx_tup_read bigint, idx_tup_fetch bigint, idx_scan bigint)
language sql
stable
set search_path = ''
as $$
    select s.schemaname, s.relname, s.indexrelname, s.idx_tup_read, s.idx_tup_fetch, s.idx_scan
    from pg_catalog.pg_stat_user_indexes s
    where s.schemaname = 'public'
    order by s.idx_scan desc, s.relname, s.indexrelname;
$$;

-- Slow query analysis: the ten statements of this project that take longest, in milliseconds. (PostgreSQL 13 gave the
-- columns total_time and mean_time of the extension other names.)
create function public.slow_queries()
returns table (query text, calls bigint, total_time double precision, mean_time double precision, rows bigint)
language sql
stable
set search_path = ''
as $$
    select s.query, s.calls, s.total_exec_time, s.mean_exec_time, s.rows
    from extensions.pg_stat_statements s
    order by s.mean_exec_time desc
    limit 10;
$$;

revoke execute on function public.table_sizes(), public.index_usage(), public.slow_queries()
from public, anon, authenticated;
grant execute on function public.table_sizes(), public.index_usage(), public.slow_queries() to service_role;
