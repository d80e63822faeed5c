-- Implicit casts between a domain and json or text that call a function: how values of the domain look to clients.
select
    case when s.typtype = 'd' then s.oid else t.oid end as domain,
    case when s.typtype = 'd' then t.typname else s.typname end as format,
    s.typtype = 'd' as outwards,
    pn.nspname as schema,
    p.proname as name
from pg_cast c
join pg_type s on s.oid = c.castsource
join pg_type t on t.oid = c.casttarget
join pg_proc p on p.oid = c.castfunc
join pg_namespace pn on pn.oid = p.pronamespace
where c.castcontext = 'i'
    and c.castmethod = 'f'
    and (
        (s.typtype = 'd' and t.oid in ('json'::regtype, 'text'::regtype))
        or (t.typtype = 'd' and s.oid in ('json'::regtype, 'text'::regtype))
    )
