select jsonb_build_object(
  'users', (select jsonb_build_object(
    'read', count(*),
    'inserted', count(*) filter (where verdict = 'insert'),
    'same_id', count(*) filter (where verdict = 'same'),
    'address_taken', count(*) filter (where verdict = 'taken'),
    'duplicates', count(*) filter (where verdict = 'duplicate')) from plinth_import_user),
  'identities', jsonb_build_object(
    'read', (select count(*) from plinth_import_identity),
    'inserted', (select identities from plinth_import_written),
    'created', (select identities from plinth_import_created)))::text
