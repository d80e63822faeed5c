//! Sign-in by providers: the whole way of a browser, with a provider over real HTTP.

mod accounts;
mod custom;
mod flow;
mod id_token;
mod kept;
mod linking;

use std::collections::HashMap;

use bytes::Bytes;
use http::StatusCode;
use plinth_doubles::oidc::{Oidc, Settings};
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::support::{Answer, Ask, EXTERNAL_URL, Setup, Site, with_setup};

/// The challenge of [`VERIFIER`] (RFC 7636, appendix B).
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// The page that sign-ins begin at.
const PAGE: &str = "http://127.0.0.1:3000/welcome";

/// Runs a test on a sign-in that knows the stand-in as `ours`, `google`, `github` and `x`; `more` are lines of `[auth]`.
#[track_caller]
fn with_providers(more: &str, test: impl AsyncFnOnce(&Site<'_>, &Oidc)) {
    let config = format!(
        "{more}\nexternal.ours = {{ CLIENT, issuer = 'URL' }}\nexternal.google = {{ CLIENT, url = 'URL' }}\n\
         external.github = {{ CLIENT, url = 'URL' }}\nexternal.x = {{ CLIENT, url = 'URL' }}\n\
         external.facebook = {{ client_id = 'client', secret = 'secret' }}\n"
    );
    with_stand_in(&config, test);
}

/// Runs a test on a sign-in that knows the stand-in as a provider, with `more` settings of it.
#[track_caller]
fn with_provider(name: &str, more: &str, test: impl AsyncFnOnce(&Site<'_>, &Oidc)) {
    with_stand_in(&format!("external.{name} = {{ CLIENT, url = 'URL', {more} }}\n"), test);
}

/// The stand-in has a runtime of its own, because its address is part of the settings.
#[track_caller]
fn with_stand_in(config: &str, test: impl AsyncFnOnce(&Site<'_>, &Oidc)) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    let double = runtime.block_on(Oidc::start(Settings::default())).unwrap();
    let client = "enabled = true, client_id = 'client', secret = 'secret'";
    let config = config.replace("CLIENT", client).replace("URL", &double.url());
    let config = format!("[auth]\n{config}");
    with_setup(Setup { config: &config, ..Setup::default() }, async |site| {
        test(site, &double).await;
    });
}

/// Where somebody has landed in the end.
#[derive(Debug)]
struct Landing {
    page: String,
    query: HashMap<String, String>,
    fragment: HashMap<String, String>,
}

impl Landing {
    #[track_caller]
    fn of(answer: &Answer) -> Self {
        let url = location(answer);
        let pairs = |text: &str| form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        let (rest, fragment) = url.split_once('#').unwrap_or((&url, ""));
        let (page, query) = rest.split_once('?').unwrap_or((rest, ""));
        Self { page: page.to_owned(), query: pairs(query), fragment: pairs(fragment) }
    }

    /// The access token of a sign-in that has worked.
    #[track_caller]
    fn token(&self) -> String {
        self.fragment.get("access_token").unwrap_or_else(|| panic!("{self:?}")).clone()
    }

    /// `error` and `error_code`, which are said in the query and in the fragment.
    #[track_caller]
    fn error(&self) -> (&str, &str) {
        for name in ["error", "error_code", "error_description"] {
            assert!(self.query.contains_key(name), "{self:?}");
            assert_eq!(self.query.get(name), self.fragment.get(name), "{self:?}");
        }
        assert!(!self.fragment.contains_key("access_token") && !self.query.contains_key("code"));
        (&self.query["error"], &self.query["error_code"])
    }
}

#[track_caller]
fn location(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::FOUND, "{}", answer.body);
    answer.headers["location"].to_str().unwrap().to_owned()
}

/// A browser that is sent from `url` of the provider back to the callback; gives the callback below the sign-in.
async fn at_provider(url: &str) -> String {
    let browser =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = browser.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 302, "{}", answer.text().await.unwrap());
    let back = answer.headers()["location"].to_str().unwrap();
    back.strip_prefix(EXTERNAL_URL).unwrap_or_else(|| panic!("{back}")).to_owned()
}

async fn open(site: &Site<'_>, target: &str) -> Answer {
    site.ask(Ask { target, headers: &[], ..Ask::default() }).await
}

/// Leaves for the provider; gives the callback that the browser is sent back to.
async fn leave(site: &Site<'_>, query: &str) -> String {
    at_provider(&location(&open(site, &format!("/authorize?{query}")).await)).await
}

/// The whole way.
async fn sign_in(site: &Site<'_>, query: &str) -> Landing {
    let back = leave(site, query).await;
    Landing::of(&open(site, &back).await)
}

/// The user of a landing, as the clients see it.
async fn user_of(site: &Site<'_>, landing: &Landing) -> Value {
    let answer = site.get("/user", &landing.token()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.body
}

/// The callback with one parameter in place of its own.
fn with(callback: &str, name: &str, value: &str) -> String {
    let mut url = Url::parse(&format!("http://a{callback}")).unwrap();
    let others: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
    url.as_str().strip_prefix("http://a").unwrap().to_owned()
}

fn parameter(callback: &str, name: &str) -> String {
    let url = Url::parse(&format!("http://a{callback}")).unwrap();
    url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned()
}

async fn exchange(site: &Site<'_>, code: &str, verifier: &str) -> Answer {
    let body = serde_json::json!({"auth_code": code, "code_verifier": verifier});
    site.post("/token?grant_type=pkce", body).await
}

fn form(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
