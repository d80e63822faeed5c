//! Workflow runs: what their endpoints ask, their ends, and what people see of them.

use http::StatusCode;
use serde_json::{Value, json};

use super::sent::{MOST, USUAL};
use super::{Answered, Asked, Response, ok, steps};
use crate::message::answer::Refusal;
use crate::message::statements;
use crate::value::text;

/// Most runs of a page: each comes with its steps.
const MOST_RUNS: usize = 100;

/// Runs of a page when nobody says how many.
const USUAL_RUNS: usize = 10;

/// `GET /v2/workflows/runs/{id}`: all steps so far.
pub(super) async fn read(asked: &Asked<'_>) -> Answered {
    let params = vec![text(asked.parameter(0))];
    Ok(ok(&asked.found("the active workflow run", &statements::RUN_LIST, params).await?))
}

/// `DELETE /v2/workflows/runs/{id}?cancel=false`: the run is over, and the body is what it came to.
pub(super) async fn end(asked: &Asked<'_>) -> Answered {
    let over = asked.request.parameter("cancel").is_some_and(|cancel| cancel == "false");
    let (state, result) = match over {
        true => ("RUN_SUCCESS", result(&asked.request.body)),
        false => ("RUN_CANCELED", None),
    };
    let params = vec![text(asked.parameter(0)), text(state), result.and_then(text)];
    if asked.one(&statements::RUN_END, params).await? != true {
        if !over {
            return Err(Refusal::missing("the active workflow run"));
        }
        if asked.one(&statements::RUN_STANDS, vec![text(asked.parameter(0))]).await? == true {
            // The delivery that asks for it is repeated when the run goes on, and asks again.
            return Err(Refusal {
                status: StatusCode::CONFLICT,
                message: "the workflow run has failed".to_owned(),
            });
        }
    }
    asked.messages.wake.notify_one();
    Ok(Response::empty(StatusCode::OK))
}

/// The text of a result; what PostgreSQL cannot hold is left out.
fn result(body: &[u8]) -> Option<String> {
    let result = String::from_utf8_lossy(body).replace('\0', "");
    (!result.is_empty() && result != "undefined").then_some(result)
}

/// `DELETE /v2/workflows/runs`: cancels those that the request names, else all, so many at once.
pub(super) async fn cancel(asked: &Asked<'_>) -> Answered {
    let filter = by_prefix(asked.request.selection()?);
    let params = vec![text(filter), text(asked.request.count(USUAL, MOST))];
    let ended = asked.list(&statements::RUNS_CANCEL, params).await?;
    asked.messages.wake.notify_one();
    let cancelled = ended.iter().filter(|ended| **ended == true).count();
    Ok(ok(&json!({"cancelled": cancelled})))
}

/// A URL stands for all that begin with it, unless the request says that it does not.
fn by_prefix(mut filter: Value) -> Value {
    if let Some(names) = filter.as_object_mut() {
        let exact =
            names.remove("workflowUrlExactMatch").is_some_and(|exact| exact == json!(["true"]));
        if let Some(urls) = names.remove("workflowUrl") {
            let name = if exact { "workflowUrl" } else { "workflowUrlPrefix" };
            names.insert(name.to_owned(), urls);
        }
    }
    filter
}

/// `GET /v2/workflows/events`: runs with their steps, the newest first.
pub(super) async fn logs(asked: &Asked<'_>) -> Answered {
    let count = asked.request.count(USUAL_RUNS, MOST_RUNS);
    let (moment, id) = asked.request.cursor(place)?.unzip();
    let params =
        vec![text(asked.request.filter()?), text(count), moment.and_then(text), id.and_then(text)];
    let found = asked.list(&statements::RUNS, params).await?;
    let last = found.last().filter(|_| found.len() == count);
    let cursor = last.and_then(|run| run["cursor"].as_str()).unwrap_or_default().to_owned();
    let runs: Vec<Value> = found.into_iter().map(steps::run).collect();
    Ok(ok(&json!({"cursor": cursor, "runs": runs})))
}

/// A place in the list of runs: when one began, in microseconds, and its id.
fn place(cursor: &str) -> Option<(i64, String)> {
    let (moment, id) = cursor.split_once('-')?;
    Some((moment.parse().ok()?, id.to_owned()))
}
