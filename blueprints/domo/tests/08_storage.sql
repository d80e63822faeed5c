-- The bucket of videos. A deletion in SQL wants the permission that the storage API gives itself.

-- test: the bucket is private and takes files of up to 100 MB
select tests.is(row(b.name, b.public, b.file_size_limit)::text, '(demo-videos,f,104857600)', 'bucket')
from storage.buckets b where b.id = 'demo-videos';

-- test: an owner reads, adds, replaces and deletes files in the folders of own demos
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select set_config('storage.allow_delete_query', 'true', true);
select tests.rows($$ select from storage.objects $$, 1);
select tests.affects($$ insert into storage.objects (bucket_id, name)
    values ('demo-videos', 'd0000000-0000-4000-8000-000000000002/deep/er/two.mp4') $$, 1);
select tests.affects($$ update storage.objects set metadata = '{"size": 1}' $$, 2);
select tests.affects($$ delete from storage.objects $$, 2);

-- test: nobody else reads, adds, replaces or deletes them
select set_config('storage.allow_delete_query', 'true', true);
select tests.as_user('b0000000-0000-4000-8000-000000000002');
select tests.rows($$ select from storage.objects $$, 0);
select tests.throws($$ insert into storage.objects (bucket_id, name)
    values ('demo-videos', 'd0000000-0000-4000-8000-000000000001/planted.mp4') $$, '42501');
select tests.affects($$ update storage.objects set metadata = '{}' $$, 0);
select tests.affects($$ delete from storage.objects $$, 0);
select tests.as_anon();
select tests.rows($$ select from storage.objects $$, 0);

-- test: a file of a published demo is not open to visitors
insert into storage.objects (bucket_id, name) values ('demo-videos', 'd0000000-0000-4000-8000-000000000002/two.mp4');
select tests.as_anon();
select tests.rows($$ select from storage.objects $$, 0);
select tests.as_user('b0000000-0000-4000-8000-000000000002');
select tests.rows($$ select from storage.objects $$, 0);

-- test: files outside of a demo's folder, or in another bucket, are refused
insert into storage.buckets (id, name) values ('other', 'other');
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws($$ insert into storage.objects (bucket_id, name) values ('demo-videos', 'loose.mp4') $$, '42501');
select tests.throws($$ insert into storage.objects (bucket_id, name)
    values ('demo-videos', 'x/d0000000-0000-4000-8000-000000000001/one.mp4') $$, '42501');
select tests.throws($$ insert into storage.objects (bucket_id, name)
    values ('other', 'd0000000-0000-4000-8000-000000000001/one.mp4') $$, '42501');

-- test: a file cannot be moved into the folder of somebody else's demo
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws($$ update storage.objects set name = 'd0000000-0000-4000-8000-000000000003/one.mp4' $$, '42501');
