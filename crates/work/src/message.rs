//! Messages to people's own endpoints, and workflow runs made of them: the HTTP interface of QStash and Upstash Workflow on
//! a project's own tables, and what delivers.
//!
//! [`Messages`] answers requests, [`Courier`] delivers. They share nothing but the tables (`0017_messages.sql`) and a
//! wake-up, so that any instance may answer and any may deliver. A message is a row of its own rather than a job: it has a
//! retry schedule, limits of a queue and of a flow, and a body of its own. Leases are those of `plinth.worker`, and every
//! outcome is fenced by attempt and worker.

mod answer;
mod courier;
mod delay;
mod deliver;
mod endpoint;
mod filter;
mod follow;
mod item;
mod outside;
mod routes;
mod sign;
mod statements;
mod work;

use std::sync::Arc;

use http::header;
use plinth_wire::Secret;
use tokio::sync::Notify;

pub use answer::{Request, Response};
pub use courier::{Courier, Options, is_used};
pub use item::BODY_BYTES;
pub use outside::{NoReply, Outside, Reply, Sending, ToSend};
pub use routes::{Guard, ROUTES, Route};
pub use sign::Keys;

use self::answer::Refusal;
use crate::Store;

/// Most bytes of a request's body: a batch of messages.
pub const REQUEST_BYTES: usize = 10 << 20;

/// Answers the HTTP interface of one project.
#[derive(Debug)]
pub struct Messages {
    store: Arc<Store>,
    keys: Keys,
    wake: Arc<Notify>,
}

impl Messages {
    /// Over the project's tables; `wake` is notified when there may be something to deliver.
    pub fn new(store: Arc<Store>, keys: Keys, wake: Arc<Notify>) -> Self {
        Self { store, keys, wake }
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request<'_>) -> Response {
        let answered = match routes::find(request.method, request.path) {
            routes::Found::Nothing => Err(Refusal::missing("the path")),
            routes::Found::OtherMethod => Err(Refusal {
                status: http::StatusCode::METHOD_NOT_ALLOWED,
                message: "the method is not allowed here".to_owned(),
            }),
            routes::Found::Route(route, parameters) => match self.admits(&request, route) {
                false => Err(Refusal {
                    status: http::StatusCode::UNAUTHORIZED,
                    message: "the token is missing or unknown".to_owned(),
                }),
                true => {
                    let asked = endpoint::Asked { messages: self, request, parameters };
                    Box::pin(endpoint::answer(route.endpoint, asked)).await
                }
            },
        };
        answered.unwrap_or_else(|refusal| refusal.answer())
    }

    fn admits(&self, request: &Request<'_>, route: &Route) -> bool {
        if route.guard == Guard::Anyone || request.is_service {
            return true;
        }
        let mut given = request.headers.get_all(header::AUTHORIZATION).iter();
        let (Some(authorization), None) = (given.next(), given.next()) else { return false };
        let token = authorization.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        token.is_some_and(|token| self.keys.admits(token))
    }

    /// The two keys that receivers verify signatures with: the current one and the next.
    ///
    /// # Errors
    ///
    /// When the database cannot be asked.
    pub async fn signing_keys(&self) -> Result<(Secret, Secret), plinth_wire::WireError> {
        let generation = self.store.json(&statements::SIGNING, Vec::new()).await?;
        let generation = generation.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        Ok((self.keys.signing(generation), self.keys.signing(generation.wrapping_add(1))))
    }
}
