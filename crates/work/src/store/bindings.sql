-- The revision, and what is active at it with the type of the key of its table: one row at least.
select (select last_value from plinth.binding_revision), binding.id, binding.name, binding.kind, binding.spec, key.type
from (select) as one
left join plinth.binding on binding.state = 'active'
left join lateral (
  select pg_catalog.format_type(attribute.atttypid, attribute.atttypmod) as type
  from pg_catalog.pg_attribute as attribute
  where attribute.attrelid = pg_catalog.to_regclass(pg_catalog.quote_ident(spec->'on'->>'schema') || '.' || pg_catalog.quote_ident(spec->'on'->>'name'))
    and attribute.attnum > 0 and not attribute.attisdropped
    and case when spec ? 'key' then attribute.attname = spec->>'key'
        else attribute.attnum = (
          select conkey[1] from pg_catalog.pg_constraint
          where conrelid = attribute.attrelid and contype = 'p' and cardinality(conkey) = 1) end
) as key on binding.kind = 'row'
order by binding.id
