-- ($3: the database's own count too)
-- `alter role authenticator set pgrst.db_schemas = '…'` and the like: settings of this database whoever logs in, then those
-- of the given roles everywhere, then those of the roles in this database, which win.
select substr(split_part(setting, '=', 1), length($2) + 1), substr(setting, strpos(setting, '=') + 1)
from pg_catalog.pg_db_role_setting d
left join pg_catalog.pg_roles r on r.oid = d.setrole
cross join unnest(d.setconfig) setting
where (d.setrole = 0 and $3 or r.rolname = any ($1))
  and d.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = current_database()))
  and starts_with(setting, $2)
order by d.setrole <> 0, d.setdatabase, array_position($1, r.rolname::text)
