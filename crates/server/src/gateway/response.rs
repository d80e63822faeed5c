//! Answers of the gateway itself: the only table from its situations to status and body.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use hyper::ext::ReasonPhrase;
use serde_json::{Value, json};

use super::answer_body::AnswerBody;
use super::caller::Refusal;

/// An answer, ready for the socket.
pub type Answer = Response<AnswerBody>;

/// Situations in which the gateway answers by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Situation<'a> {
    /// The path leads nowhere.
    NoRoute,
    /// There is no project of that name.
    UnknownProject(&'a str),
    /// There is no project at all at the root.
    NoDefaultProject,
    /// The part exists for clients, but not in this version.
    NotYet(&'static str),
    /// The instance's own pages are read only.
    MethodNotAllowed,
    /// The body is longer than the limit, in bytes.
    BodyTooLarge(usize),
    /// The body of a request of sign-in is longer than its limit, in bytes, which is not the operator's to raise.
    SignInTooLarge(usize),
    /// The body of a webhook is longer than its limit, in bytes, which is not the operator's to raise.
    DeliveryTooLarge(usize),
    /// The body of a request with messages is longer than its limit, in bytes, which is not the operator's to raise.
    MessagesTooLarge(usize),
    /// The body broke off or was malformed.
    BodyUnreadable,
    /// The client did not finish, or the answer did not come, in time.
    RequestTimeout,
    /// Sign-in cannot be served; the log says why.
    NoSignIn,
    /// Too many requests are under way.
    Busy,
}

impl Situation<'_> {
    const fn status(self) -> StatusCode {
        match self {
            Self::NoRoute | Self::UnknownProject(_) | Self::NoDefaultProject => {
                StatusCode::NOT_FOUND
            }
            Self::NotYet(_) => StatusCode::NOT_IMPLEMENTED,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge(_)
            | Self::SignInTooLarge(_)
            | Self::DeliveryTooLarge(_)
            | Self::MessagesTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyUnreadable => StatusCode::BAD_REQUEST,
            Self::RequestTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Busy | Self::NoSignIn => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn body(self) -> Value {
        match self {
            Self::NoSignIn => {
                json!({"code": 503, "error_code": "unexpected_failure", "msg": "Sign-in cannot be served"})
            }
            Self::NoRoute => json!({"message": "no Route matched with those values"}),
            Self::UnknownProject(name) => json!({
                "message": format!("project `{name}` does not exist"),
                "hint": "`plinth project list` names the projects that do.",
            }),
            Self::NoDefaultProject => json!({
                "message": "there is no default project",
                "hint": "Create one with `plinth project create NAME`, or use /p/{project}/….",
            }),
            Self::NotYet(part) => json!({
                "message": format!("{part} is not served by this version of Plinth yet"),
            }),
            Self::MethodNotAllowed => json!({"message": "only GET and HEAD are answered here"}),
            Self::BodyTooLarge(limit) => json!({
                "message": format!("the request body is longer than {limit} bytes"),
                "hint": "Send it in several requests, or raise http.body_size.",
            }),
            // In the words that clients of sign-in read.
            Self::SignInTooLarge(limit) => json!({
                "code": 413,
                "error_code": "request_entity_too_large",
                "msg": format!("the request body is longer than {limit} bytes"),
            }),
            Self::DeliveryTooLarge(limit) => {
                json!({"message": format!("the request body is longer than {limit} bytes")})
            }
            // In the words that clients of messages read.
            Self::MessagesTooLarge(limit) => json!({
                "error": format!("the request body is longer than {limit} bytes: send the messages in several requests"),
            }),
            Self::BodyUnreadable => json!({"message": "the request body could not be read"}),
            Self::RequestTimeout => json!({"message": "the request took too long"}),
            Self::Busy => json!({
                "message": "too many requests are under way",
                "hint": "Try again in a moment.",
            }),
        }
    }

    /// The answer.
    pub(super) fn answer(self) -> Answer {
        let mut answer = json_answer(self.status(), &self.body());
        match self {
            Self::MethodNotAllowed => {
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            Self::Busy => {
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        answer
    }
}

impl Refusal {
    /// The answer, worded as the gateways that clients know word it.
    pub fn answer(self) -> Answer {
        let message = match self {
            Self::Token(error) => return rest_answer(error.to_response()),
            Self::NoKey => "No API key found in request",
            Self::AmbiguousKey => "Duplicate API key found",
            Self::UnknownKey => "Invalid authentication credentials",
        };
        let mut answer = json_answer(StatusCode::UNAUTHORIZED, &json!({ "message": message }));
        // Clients know this challenge by this very text.
        let challenge = HeaderValue::from_static("Key realm=\"kong\"");
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        answer
    }
}

/// An answer with a JSON body.
pub(super) fn json_answer(status: StatusCode, body: &Value) -> Answer {
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    with_body(status, json, Bytes::from(body.to_string()))
}

/// An answer with a body of the given media type.
pub(super) fn with_body(status: StatusCode, media_type: HeaderValue, body: Bytes) -> Answer {
    let mut answer = Response::new(AnswerBody::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, media_type);
    answer
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(AnswerBody::from(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// The data API's answer as the socket wants it.
pub(super) fn rest_answer(response: plinth_rest::Response) -> Answer {
    let mut answer = Response::new(AnswerBody::from(response.body));
    *answer.status_mut() = response.status;
    *answer.headers_mut() = response.headers;
    let reason = response.reason.map(|reason| reason.as_str().as_bytes().to_vec());
    if let Some(reason) = reason.and_then(|reason| ReasonPhrase::try_from(reason).ok()) {
        answer.extensions_mut().insert(reason);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn body(answer: Answer) -> (u16, Value) {
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn refusals_are_worded_as_clients_know_them() {
        let answer = Refusal::NoKey.answer();
        assert_eq!(answer.headers()[WWW_AUTHENTICATE], "Key realm=\"kong\"");
        assert_eq!(body(answer).await, (401, json!({"message": "No API key found in request"})));
        let unknown = body(Refusal::UnknownKey.answer()).await;
        assert_eq!(unknown, (401, json!({"message": "Invalid authentication credentials"})));
        let token =
            body(Refusal::Token(plinth_rest::Error::jwt_claims("JWT expired")).answer()).await;
        assert_eq!((token.0, token.1["code"].as_str()), (401, Some("PGRST303")));
    }

    #[tokio::test]
    async fn what_a_client_wrote_is_escaped_in_an_answer() {
        let (status, body) = body(Situation::UnknownProject("a\"b").answer()).await;
        assert_eq!(status, 404);
        assert_eq!(body["message"], "project `a\"b` does not exist");
    }
}
