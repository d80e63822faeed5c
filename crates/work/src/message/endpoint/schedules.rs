//! Schedules: a message at every tick of a cron pattern.

use croner::parser::{CronParser, Seconds, Year};
use http::StatusCode;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::json;

use super::publish::{destination, item};
use super::{Answered, Asked, Response, ok};
use crate::message::answer::Refusal;
use crate::message::item::{first, is_name};
use crate::message::statements;
use crate::value::text;

/// `POST /v2/schedules/{destination}`: makes one, or changes the one of that id.
pub(super) async fn write(asked: &Asked<'_>) -> Answered {
    let headers = asked.headers();
    let cron =
        first(&headers, "upstash-cron").ok_or_else(|| Refusal::bad("Upstash-Cron is missing"))?;
    let next = next_tick(cron, Timestamp::now())
        .ok_or_else(|| Refusal::bad(format!("`{cron}` is no cron pattern that has a next tick")))?;
    let id = match first(&headers, "upstash-schedule-id") {
        Some(id) if is_name(id) => id.to_owned(),
        Some(_) => {
            return Err(Refusal::bad("a schedule's id has letters, digits, `-`, `_` and `.`"));
        }
        None => format!("scd_{:032x}", rand::random::<u128>()),
    };
    let mut item = item(asked, asked.parameter(0))?;
    item.settings.caller_ip = Some(asked.request.client_ip.to_string());
    item.schedule = Some(id.clone());
    // Every tick is a message of its own.
    item.seen = None;
    let item = serde_json::to_string(&item)
        .map_err(|error| Refusal::bad(format!("cannot be scheduled: {error}")))?;
    let destination = destination(asked, asked.parameter(0));
    let params = vec![text(&id), text(cron), text(destination), text(item), text(next)];
    asked.one(&statements::SCHEDULE_WRITE, params).await?;
    Ok(Response::json(StatusCode::CREATED, &json!({"scheduleId": id})))
}

/// `GET /v2/schedules`
pub(super) async fn list(asked: &Asked<'_>) -> Answered {
    Ok(ok(&json!(asked.list(&statements::SCHEDULES, vec![None]).await?)))
}

/// `GET /v2/schedules/{id}`
pub(super) async fn read(asked: &Asked<'_>) -> Answered {
    let params = vec![text(asked.parameter(0))];
    Ok(ok(&asked.found("the schedule", &statements::SCHEDULES, params).await?))
}

/// `DELETE /v2/schedules/{id}`
pub(super) async fn delete(asked: &Asked<'_>) -> Answered {
    let params = vec![text(asked.parameter(0))];
    asked.change("the schedule", &statements::SCHEDULE_DELETE, params).await
}

/// `PATCH /v2/schedules/{id}/pause` and `…/resume`
pub(super) async fn pause(asked: &Asked<'_>, paused: bool) -> Answered {
    let id = text(asked.parameter(0));
    let cron = asked.found("the schedule", &statements::SCHEDULE_CRON, vec![id.clone()]).await?;
    let next = next_tick(cron.as_str().unwrap_or_default(), Timestamp::now());
    let params = vec![id, text(paused), next.and_then(text)];
    asked.change("the schedule", &statements::SCHEDULE_PAUSE, params).await
}

/// The first tick of a cron pattern after `now`; `CRON_TZ=Europe/Berlin ` before it names its time zone, which is UTC
/// otherwise. `None` for a pattern that is none or never comes.
pub(in crate::message) fn next_tick(cron: &str, now: Timestamp) -> Option<Timestamp> {
    let (zone, pattern) = match cron.trim().strip_prefix("CRON_TZ=") {
        Some(rest) => {
            let (name, pattern) = rest.split_once(' ')?;
            (TimeZone::get(name).ok()?, pattern)
        }
        None => (TimeZone::UTC, cron),
    };
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    let pattern = parser.parse(pattern.trim()).ok()?;
    let next: Zoned = pattern.find_next_occurrence(&now.to_zoned(zone), false).ok()?;
    Some(next.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_follow_their_time_zone() {
        let now: Timestamp = "2026-07-01T10:00:00Z".parse().unwrap();
        let next = |cron: &str| next_tick(cron, now).map(|tick| tick.to_string());
        assert_eq!(next("0 12 * * *").as_deref(), Some("2026-07-01T12:00:00Z"));
        assert_eq!(
            next("CRON_TZ=Europe/Berlin 0 13 * * *").as_deref(),
            Some("2026-07-01T11:00:00Z")
        );
        assert_eq!(next("*/2 * * * * *").as_deref(), Some("2026-07-01T10:00:02Z"));
        for cron in ["", "* * *", "61 * * * *", "CRON_TZ=Nowhere/At 0 1 * * *", "CRON_TZ=UTC"] {
            assert_eq!(next(cron), None, "{cron}");
        }
    }
}
