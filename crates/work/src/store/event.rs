//! Statements on deliveries to webhooks.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use plinth_wire::WireError;
use serde_json::Value;

use super::{Shared, Store, json_at, number, text_at};
use crate::hook::{EventFilter, StoredEvent};
use crate::value::text;

static HOOKS: Shared = LazyLock::new(|| {
    Arc::from(
        "select id, xmin::text, spec from plinth.binding where kind = 'hook' and state <> 'removed' order by id",
    )
});
static KEEP: Shared = LazyLock::new(|| Arc::from(include_str!("event_store.sql")));
static REPLAY: Shared = LazyLock::new(|| Arc::from(include_str!("event_replay.sql")));
static BODY: Shared = LazyLock::new(|| {
    Arc::from(
        "select encode(body, 'hex'), headers ->> 'content-type' from plinth.event where id = $1",
    )
});
static LIST: Shared = LazyLock::new(|| {
    Arc::from(
        "select event.id, binding.name, event.event, to_jsonb(event.received_at)#>>'{}', event.job, length(event.body)
         from plinth.event join plinth.binding on binding.id = event.binding
         where ($1::text is null or binding.name = $1) and ($2::text is null or event.event = $2)
           and ($3::bigint is null or event.id < $3)
         order by event.id desc limit $4",
    )
});
static PRUNE: Shared = LazyLock::new(|| {
    Arc::from(
        "delete from plinth.event where id in (
           select id from plinth.event where received_at < clock_timestamp() - $1 * interval '1 second'
           order by received_at limit $2 for update skip locked)
         returning 1",
    )
});

/// A hook as the database has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredHook {
    pub(crate) binding: i32,
    /// Changes with everything about it.
    pub(crate) version: String,
    pub(crate) spec: Value,
}

/// A delivery that is believed.
#[derive(Debug)]
pub(crate) struct NewEvent<'a> {
    pub(crate) event: &'a str,
    pub(crate) headers: &'a Value,
    /// In hexadecimal.
    pub(crate) body_hex: &'a str,
    /// JSON text.
    pub(crate) body: &'a str,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is kept, and its job is queued.
    New,
    /// It was kept before; nothing has changed.
    Repeat,
    /// The hook is another by now, or gone; nothing has changed.
    Outdated,
}

impl Store {
    pub(crate) async fn hook_list(&self) -> Result<Vec<StoredHook>, WireError> {
        let rows = self.one(&HOOKS, Vec::new()).await?;
        let hook = |row| {
            let (binding, version) = (number(row, 0)?, text_at(row, 1)?);
            Some(StoredHook { binding, version, spec: json_at(row, 2) })
        };
        Ok(rows.iter().filter_map(hook).collect())
    }

    /// Keeps a delivery and queues its job, in one round trip.
    pub(crate) async fn event_store(
        &self,
        hook: &StoredHook,
        event: &NewEvent<'_>,
    ) -> Result<Kept, WireError> {
        let params = vec![
            text(hook.binding),
            text(&hook.version),
            text(event.event),
            text(event.headers),
            text(format!("\\x{}", event.body_hex)),
            text(event.body),
        ];
        let rows = self.one(&KEEP, params).await?;
        let row = rows.first().ok_or(WireError::Closed)?;
        Ok(match (number(row, 0), number(row, 1)) {
            (Some(0_i64), _) => Kept::Outdated,
            (_, Some(0_i64)) => Kept::Repeat,
            _ => Kept::New,
        })
    }

    /// The body of a delivery in hexadecimal, and its media type.
    pub(crate) async fn event_body(
        &self,
        event: i64,
    ) -> Result<Option<(String, Option<String>)>, WireError> {
        let rows = self.one(&BODY, vec![text(event)]).await?;
        Ok(rows.first().and_then(|row| Some((text_at(row, 0)?, text_at(row, 1)))))
    }

    /// Queues a job of a delivery once more; its number. `None` when the delivery or its hook is gone.
    pub(crate) async fn event_replay(
        &self,
        event: i64,
        body: &str,
    ) -> Result<Option<i64>, WireError> {
        let rows = self.one(&REPLAY, vec![text(event), text(body)]).await?;
        Ok(rows.first().and_then(|row| number(row, 0)))
    }

    pub(crate) async fn event_list(
        &self,
        filter: &EventFilter,
    ) -> Result<Vec<StoredEvent>, WireError> {
        let params = vec![
            filter.hook.as_ref().and_then(text),
            filter.event.as_ref().and_then(text),
            filter.before.and_then(text),
            text(filter.most),
        ];
        let rows = self.one(&LIST, params).await?;
        let event = |row| {
            Some(StoredEvent {
                id: number(row, 0)?,
                hook: text_at(row, 1)?,
                event: text_at(row, 2)?,
                received_at: text_at(row, 3)?,
                job: number(row, 4)?,
                body_bytes: number(row, 5)?,
            })
        };
        Ok(rows.iter().filter_map(event).collect())
    }

    /// Forgets up to `most` deliveries that came longer than `keep` ago; says how many.
    pub(crate) async fn event_prune(
        &self,
        keep: Duration,
        most: usize,
    ) -> Result<usize, WireError> {
        let rows = self.one(&PRUNE, vec![text(keep.as_secs_f64()), text(most)]).await?;
        Ok(rows.len())
    }
}
