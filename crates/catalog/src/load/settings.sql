-- Settings that `alter role … [in database …] set` gave to roles; those of this database win.
select r.rolname as role, split_part(s.setting, '=', 1) as name, substr(s.setting, strpos(s.setting, '=') + 1) as value
from pg_db_role_setting d
join pg_roles r on r.oid = d.setrole
cross join unnest(d.setconfig) s (setting)
where d.setdatabase in (0, (select oid from pg_database where datname = current_database()))
order by d.setdatabase, 1, 2
