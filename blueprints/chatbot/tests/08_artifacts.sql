-- Versions of artifacts.

-- test: each saved state is a version, and only a saved state
select tests.as_user('00000000-0000-4000-8000-00000000000a');
update artifacts set content = 'two';
update artifacts set metadata = '{"seen": true}';
update artifacts set title = 'Renamed', content = 'three';
select tests.is((select string_agg(version || ' ' || title || ' ' || content, '; ' order by version) from artifact_versions),
                '1 Artifact one; 2 Artifact two; 3 Renamed three', 'versions');

-- test: a version is restored by saving it again
select tests.as_user('00000000-0000-4000-8000-00000000000a');
update artifacts set content = 'two';
update artifacts a set (title, content) = (select title, content from artifact_versions v where v.artifact_id = a.id and version = 1);
select tests.is((select content from artifacts), 'one', 'content');
select tests.is((select max(version) from artifact_versions), 3, 'version');
