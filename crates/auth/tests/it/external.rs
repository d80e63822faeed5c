//! Sign-in by outside providers, against a stand-in over real HTTP.

mod flow;
mod id_token;
mod outgoing;
mod providers;

use std::sync::Arc;
use std::time::Duration;

use plinth_auth::external::{
    AuthorizeRequest, Custom, Directory, DirectorySettings, ExternalError, Pkce, Profile, Provider,
    ProviderSettings, ProviderTokens, nonce, pkce,
};
use plinth_auth::outgoing::{Outgoing, OutgoingPolicy};
use plinth_doubles::oidc::{Oidc, Settings};
use plinth_wire::Secret;
use url::Url;

const REDIRECT: &str = "http://localhost:54321/auth/v1/callback";

async fn stand_in() -> Oidc {
    Oidc::start(Settings::default()).await.unwrap()
}

fn directory_with(settings: DirectorySettings) -> Arc<Directory> {
    let policy = OutgoingPolicy { allow_http_loopback: true, ..Default::default() };
    Directory::new(Outgoing::new(policy, Duration::from_secs(5)).unwrap(), settings)
}

fn directory() -> Arc<Directory> {
    directory_with(DirectorySettings::default())
}

/// Settings of a provider that is known by name, with the stand-in in its place.
fn known(id: &str, double: &Oidc) -> ProviderSettings {
    ProviderSettings {
        id: id.to_owned(),
        client_ids: vec!["client".to_owned()],
        secret: Secret::new("secret"),
        redirect_uri: REDIRECT.to_owned(),
        url: Some(double.url()),
        ..Default::default()
    }
}

/// Settings of the stand-in as an OpenID Connect provider of its own.
fn custom(double: &Oidc) -> ProviderSettings {
    let issuer = double.url();
    ProviderSettings {
        url: None,
        custom: Some(Custom::Oidc { issuer, discovery_url: None }),
        ..known("custom:id", double)
    }
}

fn provider(settings: ProviderSettings) -> Provider {
    Provider::new(settings, directory()).unwrap()
}

/// What this side keeps while the browser is away.
struct Away {
    pkce: Pkce,
    nonce: String,
}

/// Follows the browser to the provider and back; gives the code.
async fn visit(provider: &Provider, away: &Away) -> String {
    let request = AuthorizeRequest {
        state: "opaque state",
        nonce: Some(&away.nonce),
        pkce_challenge: Some(&away.pkce.challenge),
        ..Default::default()
    };
    let url = provider.authorize_url(&request).await.unwrap();
    let back = location(url).await;
    assert!(back.as_str().starts_with(REDIRECT), "{back}");
    assert_eq!(parameter(&back, "state").as_deref(), Some("opaque state"));
    parameter(&back, "code").unwrap_or_else(|| panic!("no code in {back}"))
}

/// Where a browser is sent from `url`.
async fn location(url: Url) -> Url {
    let browser =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = browser.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 302, "{}", answer.text().await.unwrap());
    Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap()
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The whole flow.
async fn sign_in(provider: &Provider) -> Result<(ProviderTokens, Profile), ExternalError> {
    let away = Away { pkce: pkce(), nonce: nonce() };
    let code = visit(provider, &away).await;
    let tokens = provider.exchange(&code, Some(away.pkce.verifier.expose()), None).await?;
    let profile = provider.profile(&tokens, Some(&away.nonce)).await?;
    Ok((tokens, profile))
}
