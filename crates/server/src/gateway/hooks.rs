//! `/hooks/v1`: what other servers tell a project. They have no key of it: each hook of the manifest says how its
//! deliveries prove where they come from.

use http::request::Parts;
use hyper::body::Incoming;
use plinth_work::hook::{BODY_BYTES, Request};

use super::answer_body::AnswerBody;
use super::body::Bodies;
use super::response::{Answer, Situation};
use crate::runtime::Project;

/// The prefix, with what separates it from a hook's name.
const BELOW: &str = "/hooks/v1/";

/// Answers a delivery.
pub(super) async fn answer(
    project: &Project,
    bodies: &Bodies,
    parts: &Parts,
    path: &str,
    body: Incoming,
) -> Answer {
    let Some(hooks) = project.hooks() else { return Situation::NoRoute.answer() };
    // Its room is taken until there is an answer.
    let mut body = match bodies.read_at_most(body, BODY_BYTES).await {
        Ok(body) => body,
        Err(Situation::BodyTooLarge(limit)) => return Situation::DeliveryTooLarge(limit).answer(),
        Err(situation) => return situation.answer(),
    };
    let bytes = std::mem::take(&mut body.bytes);
    let (method, headers) = (&parts.method, &parts.headers);
    match hooks.answer(Request { method, path, headers, body: bytes }).await {
        None => Situation::NoRoute.answer(),
        Some(response) => {
            let mut answer = Answer::new(AnswerBody::from(response.body));
            *answer.status_mut() = response.status;
            *answer.headers_mut() = response.headers;
            answer
        }
    }
}

/// A path as the log may have it: what follows a hook's name can be its secret.
pub(super) fn without_token(path: &str) -> &str {
    let Some(below) = path.find(BELOW).map(|at| at + BELOW.len()) else { return path };
    path[below..].find('/').map_or(path, |end| &path[..below + end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_a_path_is_not_logged() {
        for (path, shown) in [
            ("/hooks/v1/github/s3cret", "/hooks/v1/github"),
            ("/p/shop/hooks/v1/github/s3cret/x", "/p/shop/hooks/v1/github"),
            ("/hooks/v1/github/", "/hooks/v1/github"),
            ("/hooks/v1/github", "/hooks/v1/github"),
            ("/hooks/v1//s3cret", "/hooks/v1/"),
            ("/rest/v1/a/b", "/rest/v1/a/b"),
            ("/hooks/v1", "/hooks/v1"),
        ] {
            assert_eq!(without_token(path), shown);
        }
    }
}
