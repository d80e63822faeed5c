//! Every route below `/work`, and who is let through to it.

use http::Method;
use percent_encoding::percent_decode_str;

use super::endpoint::Endpoint;

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Whoever has the project's token or one of its keys for servers.
    Token,
    /// Whoever knows the path, which names a run and an event that nobody can guess.
    Anyone,
}

/// A route.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Method; `*` for all.
    pub method: &'static str,
    /// Path below the prefix; a segment in braces is a parameter, `{*}` is all that follows, as it was written.
    pub path: &'static str,
    /// Who may ask.
    pub guard: Guard,
    /// What answers.
    pub(super) endpoint: Endpoint,
}

const fn route(method: &'static str, path: &'static str, endpoint: Endpoint) -> Route {
    Route { method, path, guard: Guard::Token, endpoint }
}

/// Every route. Nothing is reachable that is not listed here.
pub const ROUTES: &[Route] = &[
    route("POST", "/v2/publish/{*}", Endpoint::Publish),
    route("POST", "/v2/enqueue/{queue}/{*}", Endpoint::Enqueue),
    route("POST", "/v2/batch", Endpoint::Batch),
    route("POST", "/v2/trigger/{*}", Endpoint::Trigger),
    route("GET", "/v2/messages/{id}", Endpoint::ReadMessage),
    route("DELETE", "/v2/messages/{id}", Endpoint::CancelMessage),
    route("DELETE", "/v2/messages", Endpoint::CancelMessages),
    route("GET", "/v2/dlq", Endpoint::ListDead),
    route("DELETE", "/v2/dlq", Endpoint::DeleteDeads),
    route("POST", "/v2/dlq/retry", Endpoint::RetryDead),
    route("GET", "/v2/dlq/{id}", Endpoint::ReadDead),
    route("DELETE", "/v2/dlq/{id}", Endpoint::DeleteDead),
    route("GET", "/v2/events", Endpoint::Events),
    route("GET", "/v2/logs", Endpoint::Events),
    route("GET", "/v2/queues", Endpoint::ListQueues),
    route("POST", "/v2/queues", Endpoint::WriteQueue),
    route("GET", "/v2/queues/{name}", Endpoint::ReadQueue),
    route("DELETE", "/v2/queues/{name}", Endpoint::DeleteQueue),
    route("POST", "/v2/queues/{name}/pause", Endpoint::PauseQueue),
    route("POST", "/v2/queues/{name}/resume", Endpoint::ResumeQueue),
    route("GET", "/v2/topics", Endpoint::ListGroups),
    route("GET", "/v2/topics/{name}", Endpoint::ReadGroup),
    route("DELETE", "/v2/topics/{name}", Endpoint::DeleteGroup),
    route("POST", "/v2/topics/{name}/endpoints", Endpoint::AddEndpoints),
    route("DELETE", "/v2/topics/{name}/endpoints", Endpoint::RemoveEndpoints),
    route("GET", "/v2/flowControl", Endpoint::ListFlows),
    route("GET", "/v2/flowControl/{key}", Endpoint::ReadFlow),
    route("POST", "/v2/flowControl/{key}/pause", Endpoint::PauseFlow),
    route("POST", "/v2/flowControl/{key}/resume", Endpoint::ResumeFlow),
    route("POST", "/v2/flowControl/{key}/pin", Endpoint::PinFlow),
    route("POST", "/v2/flowControl/{key}/unpin", Endpoint::UnpinFlow),
    route("POST", "/v2/flowControl/{key}/resetRate", Endpoint::ResetFlow),
    route("GET", "/v2/globalParallelism", Endpoint::GlobalParallelism),
    route("GET", "/v2/schedules", Endpoint::ListSchedules),
    route("GET", "/v2/schedules/{id}", Endpoint::ReadSchedule),
    route("DELETE", "/v2/schedules/{id}", Endpoint::DeleteSchedule),
    route("PATCH", "/v2/schedules/{id}/pause", Endpoint::PauseSchedule),
    route("POST", "/v2/schedules/{id}/pause", Endpoint::PauseSchedule),
    route("PATCH", "/v2/schedules/{id}/resume", Endpoint::ResumeSchedule),
    route("POST", "/v2/schedules/{id}/resume", Endpoint::ResumeSchedule),
    route("POST", "/v2/schedules/{*}", Endpoint::WriteSchedule),
    route("GET", "/v2/keys", Endpoint::Keys),
    route("POST", "/v2/keys/rotate", Endpoint::RotateKeys),
    route("POST", "/v2/wait/{event}", Endpoint::Wait),
    route("POST", "/v2/notify/{event}", Endpoint::Notify),
    route("POST", "/v2/notify/{run}/{event}", Endpoint::NotifyRun),
    route("GET", "/v2/waiters/{event}", Endpoint::Waiters),
    route("GET", "/v2/workflows/events", Endpoint::RunLogs),
    route("GET", "/v2/workflows/logs", Endpoint::RunLogs),
    route("GET", "/v2/workflows/runs/{id}", Endpoint::ReadRun),
    route("DELETE", "/v2/workflows/runs/{id}", Endpoint::EndRun),
    route("DELETE", "/v2/workflows/runs", Endpoint::CancelRuns),
    route("GET", "/v2/workflows/dlq", Endpoint::ListDead),
    route("DELETE", "/v2/workflows/dlq", Endpoint::DeleteDeads),
    route("POST", "/v2/workflows/dlq/resume", Endpoint::ResumeRuns),
    route("POST", "/v2/workflows/dlq/restart", Endpoint::RestartRuns),
    route("GET", "/v2/workflows/dlq/{id}", Endpoint::ReadDead),
    route("DELETE", "/v2/workflows/dlq/{id}", Endpoint::DeleteDead),
    route("POST", "/v2/workflows/dlq/resume/{id}", Endpoint::ResumeRun),
    route("POST", "/v2/workflows/dlq/restart/{id}", Endpoint::RestartRun),
    route("POST", "/v2/workflows/dlq/callback/{id}", Endpoint::RetryFailureCall),
    Route {
        method: "*",
        path: "/v2/workflows/hooks/{user}/{run}/{event}",
        guard: Guard::Anyone,
        endpoint: Endpoint::Hook,
    },
];

/// What a request is for.
pub(super) enum Found {
    /// A route with its parameters in order.
    Route(&'static Route, Vec<String>),
    /// A path of a route, by another method.
    OtherMethod,
    /// Nothing.
    Nothing,
}

/// Finds what `path` is for.
pub(super) fn find(method: &Method, path: &str) -> Found {
    let mut other = false;
    for route in ROUTES {
        let Some(parameters) = parameters(route.path, path) else { continue };
        if route.method == "*" || route.method == method.as_str() {
            return Found::Route(route, parameters);
        }
        other = true;
    }
    if other { Found::OtherMethod } else { Found::Nothing }
}

fn parameters(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = path.strip_prefix('/')?;
    let mut segments = pattern.strip_prefix('/')?.split('/').peekable();
    while let Some(segment) = segments.next() {
        if segment == "{*}" {
            found.push(rest.to_owned());
            return (!rest.is_empty()).then_some(found);
        }
        let (given, after) = match rest.split_once('/') {
            Some((given, after)) => (given, Some(after)),
            None => (rest, None),
        };
        if segment.starts_with('{') {
            let given = percent_decode_str(given).decode_utf8().ok()?;
            if given.is_empty() || given.contains('\0') {
                return None;
            }
            found.push(given.into_owned());
        } else if segment != given {
            return None;
        }
        match (after, segments.peek()) {
            (Some(after), Some(_)) => rest = after,
            (None, None) => return Some(found),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> Option<(&'static str, Vec<String>)> {
        match find(&method.parse().unwrap(), path) {
            Found::Route(route, parameters) => Some((route.path, parameters)),
            _ => None,
        }
    }

    #[test]
    fn destinations_stand_in_the_path_as_they_were_written() {
        let (path, parameters) = found("POST", "/v2/publish/https://a.test//b/%20?").unwrap();
        assert_eq!((path, parameters[0].as_str()), ("/v2/publish/{*}", "https://a.test//b/%20?"));
        let (_, parameters) = found("POST", "/v2/enqueue/a%2Fb/http://a.test/x").unwrap();
        assert_eq!(parameters, ["a/b", "http://a.test/x"]);
        let (path, _) = found("POST", "/v2/schedules/https://a.test/x/pause").unwrap();
        assert_eq!(path, "/v2/schedules/{*}");
        let (path, parameters) = found("PATCH", "/v2/schedules/s1/pause").unwrap();
        assert_eq!((path, parameters[0].as_str()), ("/v2/schedules/{id}/pause", "s1"));
    }

    #[test]
    fn nothing_else_is_found() {
        for path in [
            "",
            "/",
            "/v2",
            "/v2/publish",
            "/v2/publish/",
            "/v2/messages/",
            "/v2/batch/x",
            "/v1/keys",
        ] {
            assert!(matches!(find(&Method::POST, path), Found::Nothing), "{path}");
        }
        assert!(matches!(find(&Method::PUT, "/v2/keys"), Found::OtherMethod));
        assert!(found("GET", "/v2/workflows/hooks/u/r/e").is_some());
    }
}
