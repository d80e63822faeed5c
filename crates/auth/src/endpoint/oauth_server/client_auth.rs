//! How apps prove who they are (RFC 6749 §2.3), and what they send to `POST /oauth/token`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use percent_encoding::percent_decode_str;
use plinth_wire::Secret;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::client::{self, Client};
use crate::error::{Error, Result};
use crate::request::Request;
use crate::service::Call;

/// The parameters of a request, each of which comes once (RFC 6749 §3.2).
#[derive(Default)]
pub(super) struct Form(Map<String, Value>);

impl Form {
    /// Reads a form, or JSON where the request says so.
    ///
    /// # Errors
    ///
    /// `invalid_request`.
    pub(super) fn read(request: &Request<'_>) -> Result<Self> {
        let kind = request.header("content-type").unwrap_or_default();
        if kind.contains("json") {
            let form = serde_json::from_slice(&request.body).map_err(|_not_an_object| {
                invalid_request("Could not parse request body as JSON")
            })?;
            return Ok(Self(form));
        }
        let mut form = Map::new();
        for (name, value) in url::form_urlencoded::parse(&request.body) {
            let message =
                format!("{} comes more than once", name.chars().take(64).collect::<String>());
            if form.insert(name.into_owned(), value.into_owned().into()).is_some() {
                return Err(invalid_request(message));
            }
        }
        Ok(Self(form))
    }

    /// A parameter; `None` when it is absent or empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str().filter(|value| !value.is_empty())
    }

    /// A parameter that must be there.
    ///
    /// # Errors
    ///
    /// `invalid_request`.
    pub(super) fn required(&self, name: &str) -> Result<&str> {
        self.get(name).ok_or_else(|| invalid_request(format!("{name} is required")))
    }
}

/// What an app says to prove who it is.
#[derive(Debug, PartialEq, Eq)]
struct Credentials {
    id: String,
    secret: Option<Secret>,
}

/// The app that asks.
///
/// # Errors
///
/// `invalid_client` unless it has proved who it is.
pub(super) async fn authenticate(call: &Call<'_>, form: &Form) -> Result<Client> {
    let authorization = call.request.header("authorization");
    let Credentials { id, secret } = credentials(authorization, form)?;
    let id: Uuid = id.parse().map_err(|_not_a_uuid| invalid_client())?;
    let client = client::find(call.auth.db(), id).await?.ok_or_else(invalid_client)?;
    match (client.is_public(), secret) {
        (true, None) => Ok(client),
        (false, Some(secret)) if client.has_secret(&secret) => Ok(client),
        _ => Err(invalid_client()),
    }
}

fn credentials(authorization: Option<&str>, form: &Form) -> Result<Credentials> {
    let (id, secret) = (form.get("client_id"), form.get("client_secret"));
    let Some(basic) = authorization.and_then(basic) else {
        let id = id.ok_or_else(invalid_client)?;
        let secret = secret.map(|secret| Secret::new(secret.to_owned()));
        return Ok(Credentials { id: id.to_owned(), secret });
    };
    let credentials = decode_basic(basic).ok_or_else(invalid_client)?;
    if secret.is_some() || id.is_some_and(|id| id != credentials.id) {
        return Err(invalid_request("client credentials come more than once"));
    }
    Ok(credentials)
}

fn basic(authorization: &str) -> Option<&str> {
    let (scheme, rest) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then(|| rest.trim())
}

/// Both halves are encoded as in a form (RFC 6749 §2.3.1).
fn decode_basic(text: &str) -> Option<Credentials> {
    let decoded = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let plain = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
    };
    let secret = plain(secret)?;
    let secret = (!secret.is_empty()).then(|| Secret::new(secret));
    Some(Credentials { id: plain(id)?, secret })
}

/// 401: which of both is wrong is not said.
pub(super) fn invalid_client() -> Error {
    Error::oauth(StatusCode::UNAUTHORIZED, "invalid_client", "Client authentication failed")
}

/// 400: the request makes no sense.
pub(super) fn invalid_request(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::oauth(StatusCode::BAD_REQUEST, "invalid_request", message)
}

/// 400: what was to be exchanged is worth nothing.
pub(super) fn invalid_grant(message: &'static str) -> Error {
    Error::oauth(StatusCode::BAD_REQUEST, "invalid_grant", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn form(value: Value) -> Form {
        Form(value.as_object().cloned().unwrap())
    }

    fn said(authorization: Option<&str>, body: Value) -> Result<(String, String), String> {
        credentials(authorization, &form(body))
            .map(|found| {
                let secret = found.secret.map(|secret| secret.expose().to_owned());
                (found.id, secret.unwrap_or_default())
            })
            .map_err(|error| error.oauth.unwrap().to_owned())
    }

    #[test]
    fn an_app_proves_itself_in_one_way() {
        let basic = format!("Basic {}", STANDARD.encode("me:p%3A+w"));
        let basic = Some(basic.as_str());
        let of = |id: &str, secret: &str| Ok((id.to_owned(), secret.to_owned()));
        assert_eq!(said(basic, json!({})), of("me", "p: w"));
        assert_eq!(said(basic, json!({"client_id": "me"})), of("me", "p: w"));
        let post = json!({"client_id": "me", "client_secret": "x"});
        assert_eq!(said(None, post.clone()), of("me", "x"));
        assert_eq!(said(None, json!({"client_id": "me"})), of("me", ""));
        assert_eq!(said(Some("Bearer x"), post.clone()), of("me", "x"));
        assert_eq!(said(basic, post), Err("invalid_request".to_owned()));
        assert_eq!(said(basic, json!({"client_id": "you"})), Err("invalid_request".to_owned()));
        assert_eq!(said(None, json!({})), Err("invalid_client".to_owned()));
        for broken in ["Basic ???", "Basic bWU="] {
            assert_eq!(said(Some(broken), json!({})), Err("invalid_client".to_owned()), "{broken}");
        }
    }

    #[test]
    fn what_is_no_text_is_absent() {
        let form = form(json!({"code": 5, "state": ""}));
        assert_eq!((form.get("code"), form.get("state")), (None, None));
        assert_eq!(form.required("code").unwrap_err().oauth, Some("invalid_request"));
    }
}
