//! Which of the accepted media types the answer has.

use super::Context;
use crate::Error;
use crate::request::media::{MediaType, PlanType};

/// How the rows become a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handler {
    /// A JSON array, or the one value of a function that returns one.
    Json {
        stripped: bool,
    },
    /// The first row as an object.
    Object {
        stripped: bool,
    },
    Csv,
    /// No body.
    Nothing,
}

/// The outcome of the negotiation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub(crate) handler: Handler,
    pub(crate) media: MediaType,
}

impl Negotiated {
    /// The plan that is asked for instead of the rows.
    pub(crate) fn explain(&self) -> Option<&PlanType> {
        match &self.media {
            MediaType::Plan(plan) => Some(plan),
            _ => None,
        }
    }
}

/// Takes the first accepted type that there is a handler for.
///
/// # Errors
///
/// `PGRST107`
pub(crate) fn negotiate(
    context: Context<'_>,
    accepted: &[MediaType],
    bodiless: bool,
) -> Result<Negotiated, Error> {
    let plans = context.config.plan;
    let found = accepted.iter().find_map(|media| {
        let (handler, media) = match media {
            MediaType::Plan(plan) if plans => (handler(&plan.target)?.0, media.clone()),
            other => handler(other)?,
        };
        Some(Negotiated { handler: if bodiless { Handler::Nothing } else { handler }, media })
    });
    found
        .ok_or_else(|| Error::media_type(&accepted.iter().map(MediaType::name).collect::<Vec<_>>()))
}

fn handler(media: &MediaType) -> Option<(Handler, MediaType)> {
    Some(match media {
        MediaType::Json | MediaType::Any => (Handler::Json { stripped: false }, MediaType::Json),
        MediaType::Csv => (Handler::Csv, MediaType::Csv),
        MediaType::StrippedArray => (Handler::Json { stripped: true }, media.clone()),
        MediaType::Singular { stripped } => {
            (Handler::Object { stripped: *stripped }, media.clone())
        }
        _ => return None,
    })
}
