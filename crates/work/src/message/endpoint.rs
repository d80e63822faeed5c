//! What answers each route.

mod dead;
mod flows;
mod publish;
mod queues;
mod runs;
mod schedules;
mod sent;
mod signals;
mod steps;

use http::{StatusCode, header};
use serde_json::{Value, json};

pub(super) use schedules::next_tick;

use super::Messages;
use super::answer::{Refusal, Request, Response};
use super::item::{Headers, Item};
use super::statements;
use crate::store::Shared;
use crate::value::{self, text};

/// The answer, or why there is none.
type Answered = Result<Response, Refusal>;

/// Names of everything that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Publish,
    Enqueue,
    Batch,
    Trigger,
    ReadMessage,
    CancelMessage,
    CancelMessages,
    ListDead,
    ReadDead,
    DeleteDead,
    DeleteDeads,
    RetryDead,
    Events,
    ListQueues,
    WriteQueue,
    ReadQueue,
    DeleteQueue,
    PauseQueue,
    ResumeQueue,
    ListGroups,
    ReadGroup,
    DeleteGroup,
    AddEndpoints,
    RemoveEndpoints,
    ListFlows,
    ReadFlow,
    PauseFlow,
    ResumeFlow,
    PinFlow,
    UnpinFlow,
    ResetFlow,
    GlobalParallelism,
    ListSchedules,
    ReadSchedule,
    WriteSchedule,
    DeleteSchedule,
    PauseSchedule,
    ResumeSchedule,
    Keys,
    RotateKeys,
    Wait,
    Notify,
    NotifyRun,
    Waiters,
    Hook,
    RunLogs,
    ReadRun,
    EndRun,
    CancelRuns,
    ResumeRun,
    ResumeRuns,
    RestartRun,
    RestartRuns,
    RetryFailureCall,
}

/// A request that found its route.
pub(super) struct Asked<'a> {
    pub(super) messages: &'a Messages,
    pub(super) request: Request<'a>,
    /// Of the path, in order.
    pub(super) parameters: Vec<String>,
}

/// Answers.
///
/// # Errors
///
/// [`Refusal`].
pub(super) async fn answer(endpoint: Endpoint, asked: Asked<'_>) -> Answered {
    match endpoint {
        Endpoint::Publish => publish::publish(&asked).await,
        Endpoint::Enqueue => publish::enqueue(&asked).await,
        Endpoint::Batch => publish::batch(&asked).await,
        Endpoint::Trigger => publish::trigger(&asked).await,
        Endpoint::ReadMessage => sent::read(&asked).await,
        Endpoint::CancelMessage => sent::cancel(&asked).await,
        Endpoint::CancelMessages => sent::cancel_many(&asked).await,
        Endpoint::Events => sent::events(&asked).await,
        Endpoint::ListDead => dead::list(&asked).await,
        Endpoint::ReadDead => dead::read(&asked).await,
        Endpoint::DeleteDead => dead::delete(&asked).await,
        Endpoint::DeleteDeads => dead::delete_many(&asked).await,
        Endpoint::RetryDead => dead::retry(&asked).await,
        Endpoint::ResumeRun | Endpoint::ResumeRuns => {
            dead::again(&asked, &statements::RUNS_RESUME).await
        }
        Endpoint::RestartRun | Endpoint::RestartRuns => {
            dead::again(&asked, &statements::RUNS_RESTART).await
        }
        Endpoint::RetryFailureCall => dead::failure_call(&asked).await,
        Endpoint::ListQueues => queues::list(&asked).await,
        Endpoint::WriteQueue => queues::write(&asked).await,
        Endpoint::ReadQueue => queues::read(&asked).await,
        Endpoint::DeleteQueue => queues::delete(&asked).await,
        Endpoint::PauseQueue => queues::pause(&asked, true).await,
        Endpoint::ResumeQueue => queues::pause(&asked, false).await,
        Endpoint::ListGroups => queues::groups(&asked).await,
        Endpoint::ReadGroup => queues::group(&asked).await,
        Endpoint::DeleteGroup => queues::delete_group(&asked).await,
        Endpoint::AddEndpoints => queues::add_endpoints(&asked).await,
        Endpoint::RemoveEndpoints => queues::remove_endpoints(&asked).await,
        Endpoint::ListFlows => flows::list(&asked).await,
        Endpoint::ReadFlow => flows::read(&asked).await,
        Endpoint::PauseFlow => flows::pause(&asked, true).await,
        Endpoint::ResumeFlow => flows::pause(&asked, false).await,
        Endpoint::PinFlow => flows::pin(&asked).await,
        Endpoint::UnpinFlow => flows::unpin(&asked).await,
        Endpoint::ResetFlow => flows::reset(&asked).await,
        Endpoint::GlobalParallelism => flows::all(&asked).await,
        Endpoint::ListSchedules => schedules::list(&asked).await,
        Endpoint::ReadSchedule => schedules::read(&asked).await,
        Endpoint::WriteSchedule => schedules::write(&asked).await,
        Endpoint::DeleteSchedule => schedules::delete(&asked).await,
        Endpoint::PauseSchedule => schedules::pause(&asked, true).await,
        Endpoint::ResumeSchedule => schedules::pause(&asked, false).await,
        Endpoint::Keys => keys(&asked).await,
        Endpoint::RotateKeys => rotate_keys(&asked).await,
        Endpoint::Wait => signals::wait(&asked).await,
        Endpoint::Notify => signals::notify(&asked).await,
        Endpoint::NotifyRun => signals::notify_run(&asked).await,
        Endpoint::Waiters => signals::waiters(&asked).await,
        Endpoint::Hook => signals::hook(&asked).await,
        Endpoint::RunLogs => runs::logs(&asked).await,
        Endpoint::ReadRun => runs::read(&asked).await,
        Endpoint::EndRun => runs::end(&asked).await,
        Endpoint::CancelRuns => runs::cancel(&asked).await,
    }
}

impl Asked<'_> {
    /// A parameter of the path; empty when the route has fewer.
    fn parameter(&self, place: usize) -> &str {
        self.parameters.get(place).map(String::as_str).unwrap_or_default()
    }

    async fn one(&self, sql: &Shared, params: Vec<value::Value>) -> Result<Value, Refusal> {
        Ok(self.messages.store.json(sql, params).await?)
    }

    async fn list(&self, sql: &Shared, params: Vec<value::Value>) -> Result<Vec<Value>, Refusal> {
        Ok(self.messages.store.json_list(sql, params).await?)
    }

    /// The one that the statement finds.
    async fn found(
        &self,
        what: &str,
        sql: &Shared,
        params: Vec<value::Value>,
    ) -> Result<Value, Refusal> {
        let found = self.one(sql, params).await?;
        if found.is_null() { Err(Refusal::missing(what)) } else { Ok(found) }
    }

    /// Changes what the path names, and says that it did.
    async fn change(&self, what: &str, sql: &Shared, params: Vec<value::Value>) -> Answered {
        self.found(what, sql, params).await?;
        self.messages.wake.notify_one();
        Ok(ok(&json!({})))
    }

    /// The headers of the request by name.
    fn headers(&self) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in self.request.headers {
            if name != header::AUTHORIZATION {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                headers.entry(name.as_str().to_owned()).or_default().push(value);
            }
        }
        headers
    }

    /// Publishes items, all or none, and says what became of each.
    async fn publish(&self, mut items: Vec<Item>) -> Result<Vec<Value>, Refusal> {
        for item in &mut items {
            item.settings.caller_ip = Some(self.request.client_ip.to_string());
        }
        let steps = items.iter().any(Item::is_step);
        let said = |refusal: Refusal| if steps { refusal.of_step() } else { refusal };
        let items = serde_json::to_string(&items)
            .map_err(|error| Refusal::bad(format!("cannot be published: {error}")))?;
        if items.contains("\\u0000") {
            return Err(said(Refusal::bad("headers and names hold no NUL")));
        }
        let answers = self.one(&statements::PUBLISH, vec![text(items)]).await;
        let answers = answers.map_err(|refusal| match refusal.status {
            // A group that there is not; 400 is that the run is over.
            StatusCode::NOT_FOUND => said(refusal),
            _ => refusal,
        })?;
        self.messages.wake.notify_one();
        match answers {
            Value::Array(answers) => Ok(answers),
            _ => Ok(Vec::new()),
        }
    }
}

fn ok(body: &Value) -> Response {
    Response::json(StatusCode::OK, body)
}

/// `GET /v2/keys`: what receivers verify signatures with.
async fn keys(asked: &Asked<'_>) -> Answered {
    let (current, next) = asked.messages.signing_keys().await?;
    Ok(ok(&json!({"current": current.expose(), "next": next.expose()})))
}

/// `POST /v2/keys/rotate`: the next key becomes the current one.
async fn rotate_keys(asked: &Asked<'_>) -> Answered {
    asked.one(&statements::ROTATE_SIGNING, Vec::new()).await?;
    keys(asked).await
}
