//! Statements about the jobs of rows that were there before the triggers.

use plinth_postgres::quote::{ident, literal};

use super::columns::{EMPTY, NULL};
use super::{Rewritten, RowBinding};

/// Has unfinished jobs wait where those wait that the triggers make. Jobs about no row that is there get what all jobs have,
/// and keep the rest.
pub(super) fn settle(
    binding: &RowBinding,
    table: &str,
    key: &str,
    rewritten: &Rewritten,
) -> String {
    let Rewritten { priority, fair, rate_key, seat_key, .. } = rewritten;
    let (id, key) = (literal(&binding.id.to_string()), ident(key));
    let of_all = |sql: &str, is_one: bool, column: &str| match is_one {
        true => sql.to_owned(),
        false => format!("job.{column}"),
    };
    let any_priority = of_all(priority, priority.parse::<u8>().is_ok(), "priority");
    let any_fair = of_all(fair, fair == EMPTY, "fair");
    let any_rate_key = of_all(rate_key, rate_key == NULL, "rate_key");
    let any_seat_key = of_all(seat_key, seat_key == NULL, "seat_key");
    format!(
        "with stale as (
           select job.id, wanted.priority, wanted.fair, wanted.rate_key, wanted.seat_key
           from plinth.job
           left join (
             select (new.{key})::text collate \"C\" as key, {priority} as priority, {fair} as fair,
               {rate_key} as rate_key, {seat_key} as seat_key
             from {table} as new
             where (select exists (select from plinth.job where job.binding = {id}::integer))) as own
           on own.key = job.key
           cross join lateral (
             select own.priority, own.fair, own.rate_key, own.seat_key where own.key is not null
             union all
             select {any_priority}, {any_fair}, {any_rate_key}, {any_seat_key} where own.key is null) as wanted
           where job.binding = {id}::integer
             and (job.priority, job.fair collate \"C\", job.rate_key collate \"C\", job.seat_key collate \"C\")
               is distinct from (wanted.priority, wanted.fair collate \"C\", wanted.rate_key collate \"C\", wanted.seat_key collate \"C\")
         ), free as (
           select id from plinth.job where id in (select id from stale) for update skip locked
         ), settled as (
           update plinth.job
           set priority = stale.priority, fair = stale.fair, rate_key = stale.rate_key, seat_key = stale.seat_key
           from stale join free using (id) where job.id = stale.id
           returning job.id
         )
         select (select count(distinct id) from stale) - (select count(*) from settled)"
    )
}

pub(super) fn backfill(
    binding: &RowBinding,
    table: &str,
    key: &str,
    rewritten: &Rewritten,
) -> String {
    let Rewritten { when: [when, _], priority, fair, rate_key, seat_key, .. } = rewritten;
    let (id, key) = (literal(&binding.id.to_string()), ident(key));
    format!(
        "insert into plinth.job (binding, key, priority, fair, rate_key, seat_key)
         select {id}::integer, (new.{key})::text, {priority}, {fair}, {rate_key}, {seat_key}
         from {table} as new
         where ({when}) and not exists (
           select from plinth.job where job.binding = {id}::integer and job.key = (new.{key})::text)
         order by new.{key}"
    )
}
