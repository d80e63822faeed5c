-- Search in the knowledge base.

-- test: the vector index is HNSW, which needs no data to be built well
select tests.is(am.amname::text, 'hnsw', 'access method')
from pg_class c join pg_am am on am.oid = c.relam
where c.oid = 'public.knowledge_chunks_vector_embedding_idx'::regclass;

-- test: among the chunks of forty demos, the best five of one demo are all found, in order
insert into demos (id, name, user_id)
select ('dd000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'Demo ' || n, 'a0000000-0000-4000-8000-000000000001'
from generate_series(1, 40) as n;
-- 25 chunks each, all near one another; the nearest to the question belong to other demos.
insert into knowledge_chunks (demo_id, content, vector_embedding)
select ('dd000000-0000-4000-8000-' || lpad(demo::text, 12, '0'))::uuid, 'chunk ' || chunk,
       (select array_agg(case axis when 1 then 1 when 2 then (chunk + demo * 0.001) / 100.0 else 0 end::real order by axis)
        from generate_series(1, 1536) as axis)::extensions.vector
from generate_series(1, 40) as demo, generate_series(1, 25) as chunk;
analyze knowledge_chunks;
-- Even when an index scan looks cheaper than anything else.
set local enable_seqscan = off;
set local enable_sort = off;
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.is(array_agg(s.content), array['chunk 1', 'chunk 2', 'chunk 3', 'chunk 4', 'chunk 5'], 'the best five')
from search_knowledge_chunks(
    (select array_agg(case axis when 1 then 1 else 0 end::real order by axis)
     from generate_series(1, 1536) as axis)::extensions.vector,
    'dd000000-0000-4000-8000-000000000040') s;

-- test: only what is similar enough is returned, with its similarity, and never more than asked for
update knowledge_chunks set vector_embedding = (
    select array_agg(case when axis = 1 then 1 when axis = 2 and content = 'Chunk 2' then 1
                          when axis > 1 and content = 'Chunk 3' then 1 else 0 end::real order by axis)
    from generate_series(1, 1536) as axis)::extensions.vector
where content in ('Chunk 1', 'Chunk 2', 'Chunk 3');
create function pg_temp.question() returns extensions.vector language sql as
$$ select array_agg(case axis when 1 then 1 else 0 end::real order by axis)::extensions.vector
   from generate_series(1, 1536) as axis $$;
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.is(array_agg(s.content || ' ' || round(s.similarity::numeric, 3) order by s.similarity desc),
    array['Chunk 1 1.000', 'Chunk 2 0.707'], 'default threshold of 0.7')
from search_knowledge_chunks(pg_temp.question(), 'd0000000-0000-4000-8000-000000000001') s;
select tests.is(array_agg(s.content), array['Chunk 1'], 'threshold 0.9')
from search_knowledge_chunks(pg_temp.question(), 'd0000000-0000-4000-8000-000000000001', 0.9) s;
select tests.is(array_agg(s.content), array['Chunk 1'], 'one match')
from search_knowledge_chunks(pg_temp.question(), 'd0000000-0000-4000-8000-000000000001', 0.0, 1) s;
select tests.is(array_agg(s.content), array['Chunk 1'], 'named arguments')
from search_knowledge_chunks(query_embedding => pg_temp.question(), match_count => 1,
                             demo_id => 'd0000000-0000-4000-8000-000000000001') s;

-- test: a chunk without a direction never matches
update knowledge_chunks set vector_embedding = array_fill(0::real, array[1536])::extensions.vector
where content = 'Chunk 4';
select tests.rows($$ select from search_knowledge_chunks(array_fill(1::real, array[1536])::extensions.vector,
    'd0000000-0000-4000-8000-000000000001', -1) $$, 0);

-- test: a search in somebody else's demo finds nothing
update knowledge_chunks set vector_embedding = array_fill(1::real, array[1536])::extensions.vector;
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.rows($$ select from search_knowledge_chunks(array_fill(1::real, array[1536])::extensions.vector,
    'd0000000-0000-4000-8000-000000000001') $$, 4);
select tests.as_user('b0000000-0000-4000-8000-000000000002');
select tests.rows($$ select from search_knowledge_chunks(array_fill(1::real, array[1536])::extensions.vector,
    'd0000000-0000-4000-8000-000000000001') $$, 0);
