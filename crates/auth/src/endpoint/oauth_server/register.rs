//! What apps say about themselves, and `POST /oauth/clients/register` (RFC 7591).

use http::{StatusCode, header};
use plinth_wire::Secret;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::client::{self, Client};
use super::{enabled, redirect_uri};
use crate::audit::{self, Action};
use crate::db::Work;
use crate::error::{Error, Result, code};
use crate::limits;
use crate::request::Response;
use crate::service::Call;

/// Most addresses of one app.
const MAX_REDIRECT_URIS: usize = 10;
const LONGEST_NAME: usize = 1024;
const LONGEST_URI: usize = 2048;
/// Grants that there are.
const GRANT_TYPES: [&str; 2] = ["authorization_code", "refresh_token"];

/// What is said about an app. Everything else that clients send is ignored (RFC 7591 §2).
#[derive(Debug, Default, Deserialize)]
pub(super) struct Metadata {
    pub(super) redirect_uris: Option<Vec<String>>,
    pub(super) grant_types: Option<Vec<String>>,
    pub(super) response_types: Option<Vec<String>>,
    pub(super) client_name: Option<String>,
    pub(super) client_uri: Option<String>,
    pub(super) logo_uri: Option<String>,
    pub(super) client_type: Option<String>,
    pub(super) token_endpoint_auth_method: Option<String>,
}

/// What is wrong with it: the code of RFC 7591 §3.2.2, and a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flaw(pub(super) &'static str, pub(super) String);

const REDIRECT: &str = "invalid_redirect_uri";
const OTHER: &str = "invalid_client_metadata";

impl From<Flaw> for Error {
    /// As administrators learn it.
    fn from(Flaw(_, message): Flaw) -> Self {
        Self::validation(message)
    }
}

/// Who registers an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Registrar {
    /// An administrator.
    Admin,
    /// The app itself.
    App,
}

/// How an app proves who it is.
#[derive(Debug, PartialEq, Eq)]
struct Proof<'a> {
    client_type: &'static str,
    method: &'a str,
}

impl Metadata {
    /// Checks what is there.
    ///
    /// # Errors
    ///
    /// The first [`Flaw`].
    pub(super) fn check(&self) -> Result<(), Flaw> {
        if let Some(uris) = &self.redirect_uris {
            check_redirect_uris(uris)?;
        }
        let codes = |types: &Vec<String>| types.iter().any(|one| one == "code");
        if self.response_types.as_ref().is_some_and(|types| !types.is_empty() && !codes(types)) {
            return Err(Flaw(OTHER, "response_types must contain 'code'".to_owned()));
        }
        if self.client_name.as_ref().is_some_and(|name| name.chars().count() > LONGEST_NAME) {
            let message = format!("client_name cannot exceed {LONGEST_NAME} characters");
            return Err(Flaw(OTHER, message));
        }
        check_page("client_uri", self.client_uri.as_deref())?;
        check_page("logo_uri", self.logo_uri.as_deref())
    }

    /// The grants of the app, which are all that there are unless it says something else. Those that an app asks for
    /// and that there are not are left out (RFC 7591 §2); an administrator is told.
    ///
    /// # Errors
    ///
    /// A [`Flaw`] when nothing useful is left.
    pub(super) fn grants(&self, registrar: Registrar) -> Result<String, Flaw> {
        let given = self.grant_types.as_deref().unwrap_or_default();
        let known = |grant: &&String| GRANT_TYPES.contains(&grant.as_str());
        if registrar == Registrar::Admin && !given.iter().all(|grant| known(&grant)) {
            let message =
                "grant_types must only contain 'authorization_code' and/or 'refresh_token'";
            return Err(Flaw(OTHER, message.to_owned()));
        }
        let mut grants: Vec<&str> = given.iter().filter(known).map(String::as_str).collect();
        if given.is_empty() {
            grants.extend(GRANT_TYPES);
        } else if registrar == Registrar::App && !grants.contains(&GRANT_TYPES[0]) {
            let message = "grant_types must contain 'authorization_code'";
            return Err(Flaw(OTHER, message.to_owned()));
        }
        grants.dedup();
        Ok(grants.join(","))
    }

    fn proof(&self) -> Result<Proof<'_>, Flaw> {
        let given = |text: &'_ Option<String>| text.clone().filter(|text| !text.is_empty());
        let method = self.token_endpoint_auth_method.as_deref().filter(|text| !text.is_empty());
        let by_method = match method {
            None => None,
            Some("none") => Some("public"),
            Some("client_secret_basic" | "client_secret_post") => Some("confidential"),
            Some(_) => {
                let message = "token_endpoint_auth_method must be one of: none, \
                               client_secret_basic, client_secret_post";
                return Err(Flaw(OTHER, message.to_owned()));
            }
        };
        let by_type = match given(&self.client_type).as_deref() {
            None => None,
            Some("public") => Some("public"),
            Some("confidential") => Some("confidential"),
            Some(_) => {
                let message = "client_type must be 'public' or 'confidential'";
                return Err(Flaw(OTHER, message.to_owned()));
            }
        };
        match (by_method, by_type) {
            (Some(one), Some(other)) if one != other => {
                let message = "client_type is inconsistent with token_endpoint_auth_method";
                Err(Flaw(OTHER, message.to_owned()))
            }
            (by_method, by_type) => {
                let client_type = by_method.or(by_type).unwrap_or("confidential");
                let default = if client_type == "public" { "none" } else { "client_secret_basic" };
                Ok(Proof { client_type, method: method.unwrap_or(default) })
            }
        }
    }
}

fn check_redirect_uris(uris: &[String]) -> Result<(), Flaw> {
    if uris.is_empty() {
        return Err(Flaw(REDIRECT, "redirect_uris cannot be empty".to_owned()));
    }
    if uris.len() > MAX_REDIRECT_URIS {
        let message = format!("redirect_uris cannot exceed {MAX_REDIRECT_URIS} items");
        return Err(Flaw(REDIRECT, message));
    }
    for uri in uris {
        redirect_uri::check(uri).map_err(|problem| {
            let shown: String = uri.chars().take(128).collect();
            Flaw(REDIRECT, format!("invalid redirect_uri '{shown}': it {problem}"))
        })?;
    }
    Ok(())
}

/// Pages that people are shown or led to are web pages.
fn check_page(name: &str, uri: Option<&str>) -> Result<(), Flaw> {
    let Some(uri) = uri.filter(|uri| !uri.is_empty()) else { return Ok(()) };
    let is_page = |url: Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    if uri.len() > LONGEST_URI || !Url::parse(uri).is_ok_and(is_page) {
        return Err(Flaw(OTHER, format!("{name} must be a valid URL")));
    }
    Ok(())
}

/// Registers an app; returns it with its secret, if it has one.
///
/// # Errors
///
/// A [`Flaw`] by `refuse`, or those of the database.
pub(super) async fn register(
    call: &Call<'_>,
    metadata: &Metadata,
    registrar: Registrar,
    refuse: impl Fn(Flaw) -> Error,
) -> Result<(Client, Option<Secret>)> {
    metadata.check().map_err(&refuse)?;
    let Some(uris) = &metadata.redirect_uris else {
        return Err(refuse(Flaw(REDIRECT, "redirect_uris is required".to_owned())));
    };
    let grants = metadata.grants(registrar).map_err(&refuse)?;
    let proof = metadata.proof().map_err(&refuse)?;
    let secret = match proof.client_type {
        "public" => None,
        _ => Some(client::new_secret()?),
    };
    let id = Uuid::new_v4();
    let kind = match registrar {
        Registrar::Admin => "manual",
        Registrar::App => "dynamic",
    };
    let mut work = Work::of(
        "insert into auth.oauth_clients (id, client_secret_hash, registration_type, redirect_uris, grant_types, \
         client_name, client_uri, logo_uri, client_type, token_endpoint_auth_method) \
         values ($1::uuid, $2, $3::auth.oauth_registration_type, $4, $5, $6, $7, $8, \
         $9::auth.oauth_client_type, $10)",
        &[
            &id,
            &secret.as_ref().map(client::secret_hash),
            &kind,
            &uris.join(","),
            &grants,
            &metadata.client_name,
            &metadata.client_uri,
            &metadata.logo_uri,
            &proof.client_type,
            &proof.method,
        ],
    );
    if registrar == Registrar::Admin {
        let traits = json!({"client_id": id});
        audit::add_by_admin(&mut work, call.request, Action("oauth_client_created"), traits);
    }
    let place = work.add(&client::read("c.id = $1::uuid"), &[&id]);
    let made: Option<Client> = call.auth.db().run(work).await?.json(place)?;
    Ok((made.ok_or_else(client::unknown)?, secret))
}

/// `POST /oauth/clients/register`: an app registers itself.
pub(crate) async fn answer(call: &Call<'_>) -> Result<Response> {
    enabled(call)?;
    let config = &call.auth.config().oauth_server;
    if !config.allow_dynamic_registration {
        return Err(Error::forbidden(
            code::OAUTH_DYNAMIC_CLIENT_REGISTRATION_DISABLED,
            "Dynamic client registration is not enabled",
        ));
    }
    call.limit(limits::Kind::OAuthRegistration, None)?;
    let refuse = |Flaw(error, message)| Error::oauth(StatusCode::BAD_REQUEST, error, message);
    let metadata: Metadata = call.request.json().map_err(|_unreadable| {
        refuse(Flaw(OTHER, "Could not parse request body as JSON".to_owned()))
    })?;
    let (client, secret) = register(call, &metadata, Registrar::App, refuse).await?;
    let mut view = client.view(secret.as_ref(), &config.default_scope);
    view["client_id_issued_at"] = client.created_at().as_second().into();
    if secret.is_some() {
        // It does not expire (RFC 7591 §3.2.1).
        view["client_secret_expires_at"] = Value::from(0);
    }
    Ok(Response::json(StatusCode::CREATED, &view).with(header::CACHE_CONTROL, "no-store"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(value: Value) -> Metadata {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_kind_of_an_app_follows_from_how_it_proves_itself() {
        for (given, wanted) in [
            (json!({}), Some(("confidential", "client_secret_basic"))),
            (json!({"client_type": "public"}), Some(("public", "none"))),
            (json!({"token_endpoint_auth_method": "none"}), Some(("public", "none"))),
            (
                json!({"token_endpoint_auth_method": "client_secret_post"}),
                Some(("confidential", "client_secret_post")),
            ),
            (
                json!({"client_type": "public", "token_endpoint_auth_method": "client_secret_post"}),
                None,
            ),
            (json!({"client_type": "confidential", "token_endpoint_auth_method": "none"}), None),
            (json!({"client_type": "secret"}), None),
            (json!({"token_endpoint_auth_method": "private_key_jwt"}), None),
        ] {
            let metadata = said(given.clone());
            let found = metadata.proof().ok();
            let found = found.map(|proof| (proof.client_type, proof.method));
            assert_eq!(found, wanted, "{given}");
        }
    }

    #[test]
    fn grants_that_there_are_not_are_left_out_or_refused() {
        let grants = |list: Value, registrar| said(json!({"grant_types": list})).grants(registrar);
        let device = "urn:ietf:params:oauth:grant-type:device_code";
        let both = Ok("authorization_code,refresh_token".to_owned());
        for registrar in [Registrar::App, Registrar::Admin] {
            assert_eq!(grants(Value::Null, registrar), both);
            let code = grants(json!(["authorization_code"]), registrar);
            assert_eq!(code, Ok("authorization_code".to_owned()));
        }
        assert_eq!(
            grants(json!([device, "authorization_code"]), Registrar::App),
            Ok("authorization_code".to_owned())
        );
        assert!(grants(json!([device]), Registrar::App).is_err());
        assert!(grants(json!([device, "authorization_code"]), Registrar::Admin).is_err());
    }

    #[test]
    fn pages_are_web_pages() {
        for (uri, fine) in [
            ("https://app.example/", true),
            ("", true),
            ("javascript:alert(1)", false),
            ("data:image/png;base64,AA", false),
            ("app.example", false),
        ] {
            assert_eq!(said(json!({"logo_uri": uri})).check().is_ok(), fine, "{uri}");
            assert_eq!(said(json!({"client_uri": uri})).check().is_ok(), fine, "{uri}");
        }
    }
}
