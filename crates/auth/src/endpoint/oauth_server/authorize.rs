//! `GET /oauth/authorize`: an app sends its user.
//!
//! As long as it is not certain where the app is, errors are told here; then they are the app's (RFC 6749 §4.1.2.1).

use http::StatusCode;
use url::Url;
use uuid::Uuid;

use super::authorization::{self, New, back};
use super::client::{self, Client};
use super::{enabled, scope};
use crate::error::{Error, Result, code};
use crate::limits;
use crate::request::Response;
use crate::service::{Call, seconds};

const LONGEST_STATE: usize = 4096;
const LONGEST_RESOURCE: usize = 2048;
const LONGEST_NONCE: usize = 255;

/// What an app asks for.
#[derive(Debug, Default)]
struct Asked {
    response_type: Option<String>,
    scope: Option<String>,
    state: Option<String>,
    resource: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    nonce: Option<String>,
    prompt: Option<String>,
}

/// What the app is told: a code of RFC 6749 §4.1.2.1 and a text.
#[derive(Debug, PartialEq, Eq)]
struct Refused(&'static str, String);

fn invalid(message: impl Into<String>) -> Refused {
    Refused("invalid_request", message.into())
}

/// Remembers what is asked for and shows the user the page that asks for consent.
pub(crate) async fn answer(call: &Call<'_>) -> Result<Response> {
    enabled(call)?;
    call.limit(limits::Kind::Token, None)?;
    let (client, redirect_uri) = known(call).await?;
    let asked = Asked::of(call);
    let to_app = |Refused(error, message): Refused| {
        let answer = [("error", error), ("error_description", message.as_str())];
        let state = asked.state.as_deref().filter(|state| state.len() <= LONGEST_STATE);
        let place = back(&redirect_uri, &answer, state, call.auth.issuer());
        Response::redirect(StatusCode::FOUND, &place)
    };
    let config = &call.auth.config().oauth_server;
    let scope = match asked.check(&config.default_scope) {
        Ok(scope) => scope,
        Err(refused) => return Ok(to_app(refused)),
    };
    let new = New {
        client: client.id,
        redirect_uri: &redirect_uri,
        scope: &scope,
        state: asked.state.as_deref(),
        resource: asked.resource.as_deref(),
        code_challenge: asked.code_challenge.as_deref().unwrap_or_default(),
        nonce: asked.nonce.as_deref(),
        seconds: seconds(config.authorization_ttl),
    };
    match authorization::begin(call.auth.db(), &new).await {
        Ok(name) => {
            let site = call.auth.config().redirects.site_url();
            let page = consent_page(site, &config.authorization_url_path, &name);
            Ok(Response::redirect(StatusCode::FOUND, &page))
        }
        Err(error) if error.status == StatusCode::INTERNAL_SERVER_ERROR => {
            Ok(to_app(Refused("server_error", error.message.into_owned())))
        }
        Err(error) => Ok(to_app(Refused("temporarily_unavailable", error.message.into_owned()))),
    }
}

/// The app, and where it wants its user back: one of the places that it registered.
async fn known(call: &Call<'_>) -> Result<(Client, String)> {
    let given = |name: &str| {
        let value = call.request.parameter(name);
        value.ok_or_else(|| Error::validation(format!("{name} is required")))
    };
    let (id, redirect_uri) = (given("client_id")?, given("redirect_uri")?);
    let unknown = || Error::bad_request(code::OAUTH_CLIENT_NOT_FOUND, "invalid client_id");
    let id: Uuid = id.parse().map_err(|_not_a_uuid| unknown())?;
    let client = client::find(call.auth.db(), id).await?.ok_or_else(unknown)?;
    if !client.may_redirect_to(&redirect_uri) {
        return Err(Error::validation("invalid redirect_uri"));
    }
    if !client.may_use("authorization_code") {
        return Err(Error::validation("the client is not allowed to use authorization codes"));
    }
    Ok((client, redirect_uri))
}

impl Asked {
    fn of(call: &Call<'_>) -> Self {
        let parameter = |name| call.request.parameter(name);
        Self {
            response_type: parameter("response_type"),
            scope: parameter("scope"),
            state: parameter("state"),
            resource: parameter("resource"),
            code_challenge: parameter("code_challenge"),
            code_challenge_method: parameter("code_challenge_method"),
            nonce: parameter("nonce"),
            prompt: parameter("prompt"),
        }
    }

    /// The scopes that are asked for, when all is well.
    fn check(&self, default_scope: &str) -> Result<String, Refused> {
        if self.response_type.as_deref().is_some_and(|kind| kind != "code") {
            let message = "only response_type=code is supported";
            return Err(Refused("unsupported_response_type", message.to_owned()));
        }
        for (name, value, longest) in [
            ("state", &self.state, LONGEST_STATE),
            ("resource", &self.resource, LONGEST_RESOURCE),
            ("nonce", &self.nonce, LONGEST_NONCE),
        ] {
            if value.as_ref().is_some_and(|value| value.chars().count() > longest) {
                return Err(invalid(format!("{name} cannot exceed {longest} characters")));
            }
        }
        self.check_challenge()?;
        self.check_resource()?;
        // The page that asks is another site's business; here nobody is ever signed in (OpenID Connect Core §3.1.2.6).
        if self.prompt.as_deref() == Some("none") {
            return Err(Refused("login_required", "the user has to be asked".to_owned()));
        }
        let asked = self.scope.as_deref().filter(|scope| !scope.trim().is_empty());
        let scopes = scope::parse(asked.unwrap_or(default_scope)).map_err(|unknown| {
            let shown: String = unknown.chars().take(64).collect();
            Refused("invalid_scope", format!("unsupported scope: {shown}"))
        })?;
        Ok(scopes.join(" "))
    }

    /// RFC 7636, of which only S256 protects from somebody who reads the request.
    fn check_challenge(&self) -> Result<(), Refused> {
        let (Some(challenge), Some(method)) = (&self.code_challenge, &self.code_challenge_method)
        else {
            let message = "PKCE flow requires both code_challenge and code_challenge_method";
            return Err(invalid(message));
        };
        if !method.eq_ignore_ascii_case("s256") {
            return Err(invalid("code_challenge_method must be 'S256'"));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if challenge.len() != 43 || !challenge.bytes().all(plain) {
            return Err(invalid("code_challenge must be a SHA-256 digest in base64url"));
        }
        Ok(())
    }

    /// RFC 8707 §2.
    fn check_resource(&self) -> Result<(), Refused> {
        let Some(resource) = &self.resource else { return Ok(()) };
        match Url::parse(resource) {
            Ok(url) if url.fragment().is_none() => Ok(()),
            Ok(_) => Err(invalid("resource must not include a fragment component")),
            Err(_) => Err(invalid("resource must be an absolute URI")),
        }
    }
}

/// The page of the site that asks for consent, for the request of that name.
fn consent_page(site: &str, path: &str, name: &str) -> String {
    let slash = if path.starts_with('/') { "" } else { "/" };
    let sign = if path.contains('?') { '&' } else { '?' };
    format!("{}{slash}{path}{sign}authorization_id={name}", site.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        let text = |text: &str| Some(text.to_owned());
        Asked {
            code_challenge: text("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            code_challenge_method: text("S256"),
            ..Asked::default()
        }
    }

    fn refusal(asked: &Asked) -> &'static str {
        asked.check("email").unwrap_err().0
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        assert_eq!(asked().check("email"), Ok("email".to_owned()));
        let more = Asked { scope: Some("openid email openid".to_owned()), ..asked() };
        assert_eq!(more.check("email"), Ok("openid email".to_owned()));
    }

    #[test]
    fn each_mistake_has_its_code() {
        let text = |text: &str| Some(text.to_owned());
        let changed = |change: fn(&mut Asked, Option<String>), value: &str| {
            let mut one = asked();
            change(&mut one, text(value));
            refusal(&one)
        };
        assert_eq!(
            changed(|one, value| one.response_type = value, "token"),
            "unsupported_response_type"
        );
        assert_eq!(changed(|one, value| one.scope = value, "email admin"), "invalid_scope");
        assert_eq!(changed(|one, value| one.prompt = value, "none"), "login_required");
        assert_eq!(
            changed(|one, value| one.code_challenge_method = value, "plain"),
            "invalid_request"
        );
        assert_eq!(changed(|one, value| one.code_challenge = value, "short"), "invalid_request");
        assert_eq!(changed(|one, value| one.resource = value, "mcp"), "invalid_request");
        assert_eq!(changed(|one, value| one.resource = value, "https://a/#x"), "invalid_request");
        assert_eq!(changed(|one, value| one.state = value, &"x".repeat(4097)), "invalid_request");
        assert_eq!(changed(|one, value| one.nonce = value, &"x".repeat(256)), "invalid_request");
        assert_eq!(refusal(&Asked::default()), "invalid_request");
    }

    #[test]
    fn the_page_that_asks_is_the_sites() {
        for (site, path) in [
            ("https://app.example", "/oauth/consent"),
            ("https://app.example/", "/oauth/consent"),
            ("https://app.example", "oauth/consent"),
        ] {
            let page = consent_page(site, path, "x");
            assert_eq!(page, "https://app.example/oauth/consent?authorization_id=x");
        }
        let page = consent_page("https://app.example", "/?page=consent", "x");
        assert_eq!(page, "https://app.example/?page=consent&authorization_id=x");
    }
}
