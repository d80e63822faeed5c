//! Bytes become a request: is it well formed, and what does it ask for?

pub(crate) mod body;
pub(crate) mod csv;
pub(crate) mod cursor;
pub(crate) mod field;
pub(crate) mod filter;
pub(crate) mod list;
pub(crate) mod logic;
pub(crate) mod media;
pub(crate) mod order;
pub(crate) mod prefer;
pub(crate) mod query;
pub(crate) mod range;
pub(crate) mod select;

use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

use self::body::Payload;
use self::field::Text;
use self::media::MediaType;
use self::prefer::Preferences;
use self::query::{Parameters, Query};
use self::range::Range;
use crate::{Config, Error, RawRequest};

/// What the path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource<'a> {
    /// The root: a description of the API.
    Root,
    /// A table or view.
    Relation(Text<'a>),
    /// A function below `/rpc/`.
    Function(Text<'a>),
}

/// What is to be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// GET and HEAD of a relation or of the root.
    Read { head: bool },
    /// POST.
    Create,
    /// PUT.
    Upsert,
    /// PATCH.
    Update,
    /// DELETE.
    Delete,
    /// GET and HEAD of a function: arguments are parameters, the transaction is read only.
    CallSafe { head: bool },
    /// POST of a function: arguments are the body.
    Call,
    /// OPTIONS.
    Info,
}

impl Action {
    /// Whether rows of a relation are written.
    pub(crate) fn is_write(self) -> bool {
        matches!(self, Self::Create | Self::Upsert | Self::Update | Self::Delete)
    }

    /// Whether a function is called.
    pub(crate) fn is_call(self) -> bool {
        matches!(self, Self::CallSafe { .. } | Self::Call)
    }

    /// Whether the answer has no body whatever happens.
    pub(crate) fn is_head(self) -> bool {
        matches!(self, Self::Read { head: true } | Self::CallSafe { head: true })
    }
}

/// A well-formed request.
#[derive(Debug)]
pub(crate) struct Request<'p> {
    pub(crate) action: Action,
    /// The schema it speaks to.
    pub(crate) schema: &'p str,
    /// Whether the answer names that schema in `Content-Profile`.
    pub(crate) profiled: bool,
    pub(crate) query: Query<'p>,
    /// The window of the whole result.
    pub(crate) range: Range,
    pub(crate) preferences: Preferences,
    pub(crate) accept: Vec<MediaType>,
    pub(crate) content_type: MediaType,
    pub(crate) payload: Option<Payload>,
}

impl<'a> Resource<'a> {
    /// Reads a path such as `/tasks` or `/rpc/search`.
    ///
    /// # Errors
    ///
    /// `PGRST125` when it has more parts than that.
    pub(crate) fn parse(path: &'a str) -> Result<Self, Error> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let name = |part: &'a str| percent_decode_str(part).decode_utf8_lossy();
        match path.split_once('/') {
            None if path.is_empty() => Ok(Self::Root),
            None => Ok(Self::Relation(name(path))),
            Some(("rpc", function)) if !function.is_empty() && !function.contains('/') => {
                Ok(Self::Function(name(function)))
            }
            Some(_) => Err(Error::invalid_path()),
        }
    }
}

/// Understands everything about the request that the catalog has no say in.
///
/// # Errors
///
/// The client's mistakes, in the order in which they have always been found: path, schema, method,
/// query string, range, body.
pub(crate) fn parse<'p>(
    raw: &'p RawRequest<'_>,
    resource: &Resource<'_>,
    parameters: &'p Parameters<'p>,
    config: &'p Config,
) -> Result<Request<'p>, Error> {
    let (schema, profiled) = schema(raw.method, raw.headers, config)?;
    let action = action(resource, raw.method)?;
    let call = action.is_call();
    let query = parameters.parse(matches!(action, Action::CallSafe { .. } | Action::Info))?;
    let range = range::top_level(raw.method, raw.headers, query.range)?;
    let content_type = media::content_type(raw.headers);
    let payload = match action {
        Action::Create | Action::Update | Action::Upsert | Action::Call => {
            let columns = query.columns.as_deref().filter(|_| action != Action::Upsert);
            Some(body::parse(&raw.body, &content_type, columns, call)?)
        }
        _ => None,
    };
    let preferences = Preferences::parse(raw.headers, config.tx_end);
    let accept = media::accepted(raw.headers);
    Ok(Request {
        action,
        schema,
        profiled,
        query,
        range,
        preferences,
        accept,
        content_type,
        payload,
    })
}

fn action(resource: &Resource<'_>, method: &Method) -> Result<Action, Error> {
    let function = matches!(resource, Resource::Function(_));
    let relation = matches!(resource, Resource::Relation(_));
    Ok(match method.as_str() {
        "GET" | "HEAD" if function => Action::CallSafe { head: *method == Method::HEAD },
        "GET" | "HEAD" => Action::Read { head: *method == Method::HEAD },
        "OPTIONS" => Action::Info,
        "POST" if function => Action::Call,
        "POST" if relation => Action::Create,
        "PUT" if relation => Action::Upsert,
        "PATCH" if relation => Action::Update,
        "DELETE" if relation => Action::Delete,
        other if function => return Err(Error::invalid_rpc_method(other)),
        other => return Err(Error::unsupported_method(other)),
    })
}

/// The schema and whether it was negotiated.
fn schema<'c>(
    method: &Method,
    headers: &HeaderMap,
    config: &'c Config,
) -> Result<(&'c str, bool), Error> {
    let writes = matches!(*method, Method::POST | Method::PATCH | Method::PUT | Method::DELETE);
    let header = if writes { "content-profile" } else { "accept-profile" };
    let default = config.schemas.first().map_or("public", String::as_str);
    let Some(profile) = headers.get(header) else {
        return Ok((default, config.schemas.len() != 1));
    };
    let profile = String::from_utf8_lossy(profile.as_bytes());
    match config.schemas.iter().find(|schema| **schema == profile) {
        Some(schema) => Ok((schema, true)),
        None => Err(Error::unacceptable_schema(&profile, &config.schemas)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_relations_and_functions() {
        assert_eq!(Resource::parse("/").unwrap(), Resource::Root);
        assert_eq!(Resource::parse("/a%20b").unwrap(), Resource::Relation("a b".into()));
        assert_eq!(Resource::parse("/rpc/f").unwrap(), Resource::Function("f".into()));
        assert_eq!(Resource::parse("/rpc").unwrap(), Resource::Relation("rpc".into()));
        for path in ["/a/", "/a/b", "/rpc/", "/rpc/f/g", "//"] {
            let error = Resource::parse(path).unwrap_err();
            assert_eq!((error.code.as_str(), error.status.as_u16()), ("PGRST125", 404), "{path}");
        }
    }

    #[test]
    fn each_resource_has_its_methods() {
        let code = |path, method: &Method| {
            let resource = Resource::parse(path).unwrap();
            action(&resource, method).map(|_| ()).map_err(|error| error.code.clone())
        };
        assert_eq!(code("/t", &Method::PATCH), Ok(()));
        assert_eq!(code("/t", &Method::TRACE), Err("PGRST117".into()));
        assert_eq!(code("/", &Method::POST), Err("PGRST117".into()));
        assert_eq!(code("/rpc/f", &Method::DELETE), Err("PGRST101".into()));
    }
}
