//! The function that makes a job of a binding for one row whatever its state is: for jobs that are called.

use plinth_postgres::quote::{ident, literal};

use super::{Rewritten, RowBinding};

/// What `plinth.add_job` calls. A job that it makes has the priority, turn and limits of its row, as one of the triggers' has.
pub(super) fn function(
    binding: &RowBinding,
    table: &str,
    key: &str,
    rewritten: &Rewritten,
) -> String {
    let Rewritten { priority, fair, rate_key, seat_key, .. } = rewritten;
    let (id, key, name) = (binding.id, ident(key), literal(table));
    format!(
        "create function plinth_bindings.make_{id}(of_key text, of_input jsonb, of_parent bigint) returns bigint
         language plpgsql security definer set search_path = ''
         as $plinth$
         #variable_conflict use_column
         <<plinth_making>>
         declare
           wanted {table}.{key}%type;
           made bigint;
         begin
           begin
             wanted := make_{id}.of_key;
           exception when data_exception or check_violation then
             raise exception '\"%\" is no key of %', make_{id}.of_key, {name} using errcode = 'PLF02';
           end;
           insert into plinth.job (binding, key, input, parent, priority, fair, rate_key, seat_key)
           select {id}, (new.{key})::text, make_{id}.of_input, make_{id}.of_parent,
             {priority}, {fair}, {rate_key}, {seat_key}
           from {table} as new where new.{key} = plinth_making.wanted limit 1
           returning id into made;
           if made is null then
             raise exception 'there is no row \"%\" in %', make_{id}.of_key, {name} using errcode = 'PLF03';
           end if;
           return made;
         end
         $plinth$;
         revoke all on function plinth_bindings.make_{id}(text, jsonb, bigint) from public;"
    )
}
