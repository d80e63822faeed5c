//! The redirect flow's values, and the token endpoint's answers.

use std::fmt;
use std::pin::Pin;

use jiff::{SignedDuration, Timestamp};
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AsyncHttpClient, Client, CsrfToken, EndpointNotSet, EndpointSet, ExtraTokenFields, HttpRequest,
    HttpResponse, PkceCodeChallenge, RequestTokenError, StandardRevocableToken,
    StandardTokenResponse, TokenResponse,
};
use plinth_wire::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ExternalError;
use crate::outgoing::{Answer, Outgoing};

/// A code verifier and its challenge (RFC 7636), method S256.
#[derive(Debug, Clone)]
pub struct Pkce {
    /// Kept until the code comes back.
    pub verifier: Secret,
    /// Sent with the authorization request.
    pub challenge: String,
}

/// A new verifier of 32 random bytes, with its challenge.
pub fn pkce() -> Pkce {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    Pkce { verifier: Secret::new(verifier.into_secret()), challenge: challenge.as_str().to_owned() }
}

/// A new nonce for an authorization request: 32 random bytes in base64url.
pub fn nonce() -> String {
    CsrfToken::new_random_len(32).into_secret()
}

/// What one authorization request consists of besides the provider's settings.
#[derive(Clone, Copy, Default)]
pub struct AuthorizeRequest<'a> {
    /// Comes back with the code; opaque here.
    pub state: &'a str,
    /// Comes back in the ID token. Sent to providers that repeat it.
    pub nonce: Option<&'a str>,
    /// Challenge by method S256. Sent to providers that check it.
    pub pkce_challenge: Option<&'a str>,
    /// Scopes besides the usual ones, separated by spaces or commas.
    pub scopes: &'a str,
    /// Instead of the settings' redirect URI.
    pub redirect_uri: Option<&'a str>,
    /// Further parameters of the caller's request. Those that are ours to set are left out.
    pub extra: &'a [(String, String)],
}

impl fmt::Debug for AuthorizeRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeRequest").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

/// What the token endpoint gave.
#[derive(Debug, Clone)]
pub struct ProviderTokens {
    /// For the provider's API.
    pub access_token: Secret,
    /// For further access tokens, if the provider gives one. Some providers replace it at each use.
    pub refresh_token: Option<Secret>,
    /// When the access token ends, if the provider says so.
    pub expires_at: Option<Timestamp>,
    /// The ID token, not verified.
    pub id_token: Option<Secret>,
    /// The scopes that were granted, separated by spaces; empty if the provider does not say.
    pub scope: String,
    /// A profile that came along with the token.
    pub(super) profile: Option<Value>,
}

impl ProviderTokens {
    /// An access token and nothing else, such as one that was stored.
    pub fn of(access_token: Secret) -> Self {
        Self {
            access_token,
            refresh_token: None,
            expires_at: None,
            id_token: None,
            scope: String::new(),
            profile: None,
        }
    }
}

/// Parameters that are ours: a caller that could set them would change where the code goes or what it is bound to.
/// The second row is what clients send to us and means nothing to the provider.
const RESERVED: [&str; 19] = [
    "response_type",
    "response_mode",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "request",
    "request_uri",
    "provider",
    "scopes",
    "redirect_to",
    "skip_http_redirect",
    "invite_token",
    "apikey",
];

/// Most parameters that are passed on, and the longest value of one in bytes.
const EXTRA_LIMIT: (usize, usize) = (16, 2048);

/// The parameters of `extra` that may be passed on.
pub(super) fn forwarded(extra: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    extra
        .iter()
        .filter(|(name, value)| {
            !RESERVED.contains(&name.to_ascii_lowercase().as_str()) && value.len() <= EXTRA_LIMIT.1
        })
        .map(|(name, value)| match name.as_str() {
            // Clients cannot say `provider`, which is their name for the whole service.
            "workos_provider" => ("provider", value.as_str()),
            name => (name, value.as_str()),
        })
        .take(EXTRA_LIMIT.0)
}

/// A client that knows its two endpoints.
pub(super) type OAuthClient = Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

pub(super) type TokenAnswer = StandardTokenResponse<Extra, BasicTokenType>;

/// Fields of the token endpoint's answer that OAuth 2.0 itself does not know.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Extra {
    id_token: Option<String>,
    profile: Option<Value>,
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Extra")
    }
}

impl ExtraTokenFields for Extra {}

impl From<TokenAnswer> for ProviderTokens {
    fn from(answer: TokenAnswer) -> Self {
        let expires_at = answer
            .expires_in()
            .and_then(|lifetime| SignedDuration::try_from(lifetime).ok())
            .and_then(|lifetime| Timestamp::now().checked_add(lifetime).ok());
        let scopes = answer.scopes().map(Vec::as_slice).unwrap_or_default();
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let extra = answer.extra_fields().clone();
        Self {
            access_token: Secret::new(answer.access_token().secret().as_str()),
            refresh_token: answer.refresh_token().map(|token| Secret::new(token.secret().as_str())),
            expires_at,
            id_token: extra.id_token.map(Secret::new),
            scope: scopes.join(" "),
            profile: extra.profile,
        }
    }
}

/// The way to a token endpoint. A type of its own, because what a closure returns is not known to be `Send`.
pub(super) struct TokenEndpoint<'a>(pub(super) &'a Outgoing);

impl<'c> AsyncHttpClient<'c> for TokenEndpoint<'_> {
    type Error = ExternalError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, ExternalError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move { normalised(self.0.send(request).await?) })
    }
}

/// Brings an answer into the form of RFC 6749 §5, from which providers depart in known ways.
fn normalised(answer: Answer) -> Result<HttpResponse, ExternalError> {
    let malformed = || ExternalError::Malformed("token answer");
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(&answer.body) else {
        let refused = !answer.status.is_success();
        return Err(if refused {
            ExternalError::Status(answer.status.as_u16())
        } else {
            malformed()
        });
    };
    fields.retain(|_, value| !value.is_null());
    let status = if fields.contains_key("error") || !answer.status.is_success() {
        normalise_error(&mut fields);
        if !fields.contains_key("error") {
            return Err(ExternalError::Status(answer.status.as_u16()));
        }
        http::StatusCode::BAD_REQUEST
    } else {
        normalise_tokens(&mut fields);
        http::StatusCode::OK
    };
    http::Response::builder()
        .status(status)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Value::Object(fields).to_string().into_bytes())
        .map_err(|_| malformed())
}

/// Facebook's errors are objects.
fn normalise_error(fields: &mut Map<String, Value>) {
    if let Some(Value::Object(error)) = fields.get("error").cloned() {
        let text =
            |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        fields.insert("error_description".to_owned(), text("message").into());
        fields.insert("error".to_owned(), text("type").into());
    }
    fields.retain(|_, value| value.is_string());
}

/// LinkedIn leaves out the token's type, Twitch gives scopes as a list, older Azure endpoints the lifetime as a text.
fn normalise_tokens(fields: &mut Map<String, Value>) {
    fields.entry("token_type").or_insert_with(|| "bearer".into());
    if let Some(Value::Array(scopes)) = fields.get("scope") {
        let scopes: Vec<&str> = scopes.iter().filter_map(Value::as_str).collect();
        let scopes = scopes.join(" ");
        fields.insert("scope".to_owned(), scopes.into());
    }
    if let Some(Value::String(seconds)) = fields.get("expires_in") {
        match seconds.parse::<u64>() {
            Ok(seconds) => fields.insert("expires_in".to_owned(), seconds.into()),
            Err(_) => fields.remove("expires_in"),
        };
    }
}

pub(super) fn failure(
    error: RequestTokenError<ExternalError, BasicErrorResponse>,
) -> ExternalError {
    match error {
        RequestTokenError::ServerResponse(answer) => {
            let cut = |text: &str, limit| text.chars().take(limit).collect::<String>();
            ExternalError::Denied {
                code: cut(answer.error().as_ref(), 64),
                description: answer.error_description().map(|text| cut(text, 256)),
            }
        }
        RequestTokenError::Request(error) => error,
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            ExternalError::Malformed("token answer")
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use serde_json::json;

    use super::*;

    fn normal(status: u16, body: Value) -> Result<Value, ExternalError> {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.to_string().into(),
            is_cut: false,
        };
        normalised(answer).map(|response| serde_json::from_slice(response.body()).unwrap())
    }

    #[test]
    fn departures_from_the_standard_are_mended() {
        assert_eq!(
            normal(200, json!({"access_token": "a", "scope": ["x", "y"], "expires_in": "60", "refresh_token": null}))
                .unwrap(),
            json!({"access_token": "a", "scope": "x y", "expires_in": 60, "token_type": "bearer"})
        );
        assert_eq!(
            normal(
                400,
                json!({"error": {"type": "OAuthException", "message": "expired", "code": 100}})
            )
            .unwrap(),
            json!({"error": "OAuthException", "error_description": "expired"})
        );
        assert!(matches!(normal(503, json!({})), Err(ExternalError::Status(503))));
        assert!(matches!(normal(200, json!([])), Err(ExternalError::Malformed(_))));
    }

    #[test]
    fn a_callers_parameters_do_not_override_ours() {
        let extra: Vec<(String, String)> = [
            ("state", "x"),
            ("redirect_uri", "https://evil.example"),
            ("Client_ID", "x"),
            ("scope", "all"),
            ("code_challenge", "x"),
            ("request_uri", "x"),
            ("nonce", "x"),
            ("response_mode", "fragment"),
            ("apikey", "secret"),
            ("prompt", "consent"),
            ("workos_provider", "GoogleOAuth"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let passed: Vec<(&str, &str)> = forwarded(&extra).collect();
        assert_eq!(passed, [("prompt", "consent"), ("provider", "GoogleOAuth")]);
    }

    #[test]
    fn what_is_passed_on_is_bounded() {
        let long = vec![("long".to_owned(), "x".repeat(5000)); 1];
        assert_eq!(forwarded(&long).count(), 0);
        let many: Vec<(String, String)> =
            (0..100).map(|n| (format!("p{n}"), String::new())).collect();
        assert_eq!(forwarded(&many).count(), EXTRA_LIMIT.0);
    }

    #[test]
    fn a_challenge_belongs_to_its_verifier_and_no_two_are_alike() {
        let (one, two) = (pkce(), pkce());
        let verifier = oauth2::PkceCodeVerifier::new(one.verifier.expose().to_owned());
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        assert_eq!(one.challenge, challenge.as_str());
        assert!((43..=128).contains(&one.verifier.expose().len()));
        assert_ne!(one.challenge, two.challenge);
        assert_ne!(nonce(), nonce());
        assert_eq!(nonce().len(), 43);
    }
}
