-- The server's version, and whether some function or policy speaks of what an answer may be given besides its rows.
select
    current_setting('server_version_num')::int,
    exists (
        select from pg_proc
        where pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
            and coalesce(pg_get_function_sqlbody(oid), prosrc) ~ 'response\.(headers|status)'
    ) or exists (
        select from pg_policy where pg_get_expr(polqual, polrelid) ~ 'response\.(headers|status)'
    )
