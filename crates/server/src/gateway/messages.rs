//! `/work`: messages and workflow runs. Whoever has the project's token or one of its keys for servers may ask; some paths
//! are for those who know them.

use std::net::{IpAddr, Ipv4Addr};

use http::header;
use http::request::Parts;
use hyper::body::Incoming;
use plinth_work::message::{REQUEST_BYTES, Request};

use super::answer_body::AnswerBody;
use super::body::Bodies;
use super::caller::Access;
use super::client_address::client_address;
use super::response::{Answer, Situation};
use crate::config::HttpConfig;
use crate::runtime::Project;

/// Answers a request.
pub(super) async fn answer(
    project: &Project,
    access: &Access,
    (bodies, limits): (&Bodies, &HttpConfig),
    parts: &Parts,
    (prefix, path): (&str, &str),
    mut body: Incoming,
) -> Answer {
    let Some(messages) = project.messages() else { return Situation::NoRoute.answer() };
    // Its room is taken until there is an answer.
    let mut read = match bodies.read_at_most(&mut body, REQUEST_BYTES).await {
        Ok(read) => read,
        Err(Situation::BodyTooLarge(limit)) => {
            // Or the client would not read the answer: it would still be writing.
            bodies.drain(&mut body).await;
            return match limit {
                REQUEST_BYTES => Situation::MessagesTooLarge(limit).answer(),
                lower => Situation::BodyTooLarge(lower).answer(),
            };
        }
        Err(situation) => return situation.answer(),
    };
    let trusted = &limits.trusted_proxies;
    let address = client_address(&parts.extensions, &parts.headers, trusted, None);
    let response = messages
        .answer(Request {
            method: &parts.method,
            path,
            prefix,
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            body: std::mem::take(&mut read.bytes),
            client_ip: address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            host: parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()),
            is_service: access.is_service(&parts.headers),
        })
        .await;
    let mut answer = Answer::new(AnswerBody::from(response.body));
    *answer.status_mut() = response.status;
    *answer.headers_mut() = response.headers;
    answer
}
