-- The defining query of each view of the exposed schemas and of those that their views may look through, as the
-- server keeps it. Which column comes from where is read out of it.
select c.oid, r.ev_action::text
from pg_class c
join pg_rewrite r on r.ev_class = c.oid and r.ev_type = '1' and r.is_instead
where c.relkind in ('v', 'm')
    and c.relnamespace in (select oid from pg_namespace where nspname = any ($1))
