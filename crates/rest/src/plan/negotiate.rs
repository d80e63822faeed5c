//! Which of the accepted media types the answer has.

use plinth_catalog::{MediaHandler, QualifiedName};

use super::{Context, ReadNode};
use crate::Error;
use crate::request::media::{MediaType, PlanType};

/// How the rows become a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handler<'p> {
    /// A JSON array, or the one value of a function that returns one.
    Json {
        stripped: bool,
    },
    /// The first row as an object.
    Object {
        stripped: bool,
    },
    Csv,
    /// A feature collection, made by PostGIS.
    GeoJson,
    /// What the database's owner made for this media type.
    Custom(&'p MediaHandler),
    /// No body.
    Nothing,
}

/// The outcome of the negotiation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Negotiated<'p> {
    pub(crate) handler: Handler<'p>,
    pub(crate) media: MediaType,
}

impl Negotiated<'_> {
    /// The plan that is asked for instead of the rows.
    pub(crate) fn explain(&self) -> Option<&PlanType> {
        match &self.media {
            MediaType::Plan(plan) => Some(plan),
            _ => None,
        }
    }
}

/// What is to be turned into a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'p> {
    /// The relation whose rows these are, or the function whose value it is.
    name: &'p QualifiedName,
    /// Whether the rows are whole, as handlers of one relation need them.
    whole: bool,
}

impl<'p> Subject<'p> {
    /// The rows that `node` reads.
    pub(crate) fn rows(node: &ReadNode<'p>) -> Self {
        let plain = node.select.iter().all(|it| {
            it.column.is_star() && it.aggregate.is_none() && it.cast.is_none() && it.alias.is_none()
        });
        Self { name: node.name, whole: node.children.is_empty() && node.select.len() < 2 && plain }
    }
}

/// Takes the first accepted type that there is a handler for.
///
/// # Errors
///
/// `PGRST107`
pub(crate) fn negotiate<'p>(
    context: Context<'p>,
    accepted: &[MediaType],
    subject: Subject<'p>,
    bodiless: bool,
) -> Result<Negotiated<'p>, Error> {
    let plans = context.config.plan;
    let found = accepted.iter().find_map(|media| {
        let (handler, media) = match media {
            MediaType::Plan(plan) if plans => {
                (handler(context, subject, &plan.target)?.0, media.clone())
            }
            other => handler(context, subject, other)?,
        };
        Some(Negotiated { handler: if bodiless { Handler::Nothing } else { handler }, media })
    });
    found
        .ok_or_else(|| Error::media_type(&accepted.iter().map(MediaType::name).collect::<Vec<_>>()))
}

fn handler<'p>(
    context: Context<'p>,
    subject: Subject<'p>,
    media: &MediaType,
) -> Option<(Handler<'p>, MediaType)> {
    match media {
        // These have parameters of our own, so nobody else makes them.
        MediaType::StrippedArray => Some((Handler::Json { stripped: true }, media.clone())),
        MediaType::Singular { stripped } => {
            Some((Handler::Object { stripped: *stripped }, media.clone()))
        }
        MediaType::Plan(_) => None,
        _ => custom(context, subject, media).or_else(|| builtin(media)),
    }
}

/// What the database's owner made, the more specific first.
fn custom<'p>(
    context: Context<'p>,
    subject: Subject<'p>,
    media: &MediaType,
) -> Option<(Handler<'p>, MediaType)> {
    let own = if subject.whole { context.catalog.media_handlers(subject.name) } else { &[] };
    let any = context.catalog.any_media_handlers();
    if own.is_empty() && any.is_empty() {
        return None;
    }
    let wanted = media.name();
    let found = own
        .iter()
        .find(|it| it.makes_anything())
        .or_else(|| own.iter().find(|it| it.makes(&wanted)))
        .or_else(|| any.iter().find(|it| it.makes(&wanted)))?;
    let made = match found.makes_anything() {
        true => MediaType::OctetStream,
        false => MediaType::parse(&found.media_type),
    };
    Some((Handler::Custom(found), made))
}

fn builtin(media: &MediaType) -> Option<(Handler<'static>, MediaType)> {
    Some(match media {
        MediaType::Json | MediaType::Any => (Handler::Json { stripped: false }, MediaType::Json),
        MediaType::Csv => (Handler::Csv, MediaType::Csv),
        MediaType::GeoJson => (Handler::GeoJson, MediaType::GeoJson),
        _ => return None,
    })
}
