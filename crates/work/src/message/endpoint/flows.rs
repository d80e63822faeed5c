//! Flows: how many of a key at once, and how many in a time.

use serde_json::{Value, json};

use super::{Answered, Asked, ok};
use crate::message::answer::Refusal;
use crate::message::{delay, statements};
use crate::value::text;

/// `GET /v2/flowControl`
pub(super) async fn list(asked: &Asked<'_>) -> Answered {
    let search = asked.request.parameter("search").and_then(text);
    Ok(ok(&json!(asked.list(&statements::FLOWS, vec![None, search]).await?)))
}

/// `GET /v2/flowControl/{key}`
pub(super) async fn read(asked: &Asked<'_>) -> Answered {
    let params = vec![text(asked.parameter(0)), None];
    Ok(ok(&asked.found("the flow control key", &statements::FLOWS, params).await?))
}

/// `POST /v2/flowControl/{key}/pause` and `…/resume`
pub(super) async fn pause(asked: &Asked<'_>, paused: bool) -> Answered {
    let params = vec![text(asked.parameter(0)), text(paused)];
    asked.change("the flow control key", &statements::FLOW_PAUSE, params).await
}

/// `POST /v2/flowControl/{key}/pin`: these numbers count, whatever messages say.
pub(super) async fn pin(asked: &Asked<'_>) -> Answered {
    let parallelism = number(asked, "parallelism")?;
    let (rate, period) = (number(asked, "rate")?, number(asked, "period")?);
    if parallelism.is_none() && rate.is_none() {
        return Err(Refusal::bad("parallelism or rate is missing"));
    }
    let key = text(asked.parameter(0));
    let params = vec![key, parallelism.and_then(text), rate.and_then(text), period.and_then(text)];
    asked.change("the flow control key", &statements::FLOW_PIN, params).await
}

/// `POST /v2/flowControl/{key}/unpin`
pub(super) async fn unpin(asked: &Asked<'_>) -> Answered {
    let wanted = |name: &str| asked.request.parameter(name).is_some_and(|value| value == "true");
    let params = vec![text(asked.parameter(0)), text(wanted("parallelism")), text(wanted("rate"))];
    asked.change("the flow control key", &statements::FLOW_UNPIN, params).await
}

/// `POST /v2/flowControl/{key}/resetRate`: a new period begins.
pub(super) async fn reset(asked: &Asked<'_>) -> Answered {
    let params = vec![text(asked.parameter(0))];
    asked.change("the flow control key", &statements::FLOW_RESET, params).await
}

/// `GET /v2/globalParallelism`: the project has no limit of its own, which is 0.
pub(super) async fn all(asked: &Asked<'_>) -> Answered {
    let running: Value = asked.one(&statements::RUNNING, Vec::new()).await?;
    Ok(ok(&json!({"parallelismMax": 0, "parallelismCount": running})))
}

/// A number of the query from 1; a duration counts in seconds.
fn number(asked: &Asked<'_>, name: &str) -> Result<Option<i32>, Refusal> {
    let Some(given) = asked.request.parameter(name) else { return Ok(None) };
    let number =
        delay::seconds(&given).filter(|number| (1.0..=f64::from(i32::MAX)).contains(number));
    #[expect(clippy::cast_possible_truncation, reason = "in range")]
    let number = number.map(|number| number as i32);
    number.map(Some).ok_or_else(|| Refusal::bad(format!("{name} must be a number from 1")))
}
