//! The project signs its users in for other apps.

mod clients;
mod flow;
mod refusals;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::support::{Answer, Ask, SignedIn, Site, with_configured_site};

const ON: &str = "[auth]\nsite_url = 'https://site.example'\n\
                  [auth.oauth_server]\nenabled = true\nallow_dynamic_registration = true\n";

const REDIRECT: &str = "https://app.example/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Runs a test on a project that is an identity provider.
#[track_caller]
fn with_server(test: impl AsyncFnOnce(&Site<'_>)) {
    with_configured_site(ON, test);
}

/// An app, as it knows itself.
struct App {
    id: String,
    secret: Option<String>,
}

impl App {
    fn of(answer: &Answer) -> Self {
        let text = |name: &str| answer.body[name].as_str().map(str::to_owned);
        let id = text("client_id").unwrap_or_else(|| panic!("{}", answer.body));
        Self { id, secret: text("client_secret") }
    }

    /// Registered by an administrator, with a secret.
    async fn confidential(site: &Site<'_>) -> Self {
        let body = json!({"client_name": "App", "redirect_uris": [REDIRECT]});
        let key = site.service_key();
        let answer = site.send("POST", "/admin/oauth/clients", Some(&key), body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        Self::of(&answer)
    }

    /// Registered by itself, without a secret, as MCP clients do.
    async fn public(site: &Site<'_>) -> Self {
        let answer = site
            .post(
                "/oauth/clients/register",
                json!({
                    "client_name": "Agent",
                    "redirect_uris": [REDIRECT, "http://127.0.0.1/callback"],
                    "grant_types": ["authorization_code", "refresh_token"],
                    "response_types": ["code"],
                    "token_endpoint_auth_method": "none",
                }),
            )
            .await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        Self::of(&answer)
    }

    /// What it asks for, with some parameters changed; an empty one is left out.
    fn request(&self, changes: &[(&str, &str)]) -> String {
        let mut parameters = vec![
            ("client_id", self.id.as_str()),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("scope", "openid email"),
            ("state", "s t&te"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in changes {
            parameters.retain(|(known, _)| known != name);
            parameters.push((name, value));
        }
        parameters.retain(|(_, value)| !value.is_empty());
        let query =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        format!("/oauth/authorize?{query}")
    }

    /// Sends a user; gives the name of its request.
    async fn begin(&self, site: &Site<'_>, changes: &[(&str, &str)]) -> String {
        let answer = site.follow(&self.request(changes)).await;
        assert_eq!(answer.status, 302, "{}", answer.body);
        let page = "https://site.example/oauth/consent?authorization_id=";
        assert!(answer.location().starts_with(page), "{}", answer.location());
        answer.in_query("authorization_id")
    }

    /// A code that `user` has granted.
    async fn code(&self, site: &Site<'_>, user: &SignedIn) -> String {
        let name = self.begin(site, &[]).await;
        let shown = details(site, &name, user).await;
        assert_eq!(shown.status, 200, "{}", shown.body);
        let place = match shown.body["redirect_url"].as_str() {
            Some(place) => place.to_owned(),
            None => sent_back(&decide(site, &name, user, "approve").await),
        };
        in_query(&place, "code")
    }

    /// Exchanges something; with a secret by HTTP's basic authentication.
    async fn exchange(&self, site: &Site<'_>, parameters: &[(&str, &str)]) -> Answer {
        let mut form = parameters.to_vec();
        let basic = self
            .secret
            .as_ref()
            .map(|secret| format!("Basic {}", STANDARD.encode(format!("{}:{secret}", self.id))));
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let mut headers = vec![kind];
        match &basic {
            Some(basic) => headers.push(("authorization", basic)),
            None => form.push(("client_id", &self.id)),
        }
        post_form(site, &headers, &form).await
    }

    /// Tokens for a code.
    async fn tokens(&self, site: &Site<'_>, code: &str) -> Answer {
        self.exchange(site, &grant(code)).await
    }

    /// Signs `user` in, from the beginning to the end.
    async fn sign_in(&self, site: &Site<'_>, user: &SignedIn) -> Answer {
        let code = self.code(site, user).await;
        let answer = self.tokens(site, &code).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer
    }

    /// The next tokens.
    async fn refresh(&self, site: &Site<'_>, token: &str) -> Answer {
        self.exchange(site, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }
}

fn grant(code: &str) -> [(&'static str, &str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ]
}

async fn post_form(
    site: &Site<'_>,
    headers: &[(&'static str, &str)],
    form: &[(&str, &str)],
) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let body = Bytes::from(body);
    site.ask(Ask { method: "POST", target: "/oauth/token", headers, body, ..Ask::default() }).await
}

async fn details(site: &Site<'_>, name: &str, user: &SignedIn) -> Answer {
    site.get(&format!("/oauth/authorizations/{name}"), &user.token).await
}

async fn decide(site: &Site<'_>, name: &str, user: &SignedIn, action: &str) -> Answer {
    let target = format!("/oauth/authorizations/{name}/consent");
    site.send("POST", &target, Some(&user.token), json!({"action": action})).await
}

#[track_caller]
fn sent_back(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["redirect_url"].as_str().unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
}

fn in_query(place: &str, name: &str) -> String {
    let url = url::Url::parse(place).unwrap();
    let mut pairs = url.query_pairs();
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Status and code of RFC 6749 of a refusal.
fn refusal(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.body["error"].as_str().unwrap_or_default())
}

fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
