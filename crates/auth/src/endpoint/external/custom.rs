//! `/admin/custom-providers`: providers that administrators add while the project is served.

mod body;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use plinth_wire::{Secret, WireError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use self::body::Body;
use super::providers::{CUSTOM, Configured, callback_url};
use crate::audit::{self, Action};
use crate::db::Work;
use crate::error::{Error, Result, code};
use crate::external::{self, Provider, ProviderSettings};
use crate::request::Response;
use crate::service::Call;
use crate::user::Object;

/// What client secrets are sealed for.
const PURPOSE: &str = "auth.custom_oauth_providers.client_secret";

/// Most providers that a project may have.
const MOST: i64 = 100;

const INSERT: &str = "\
with room as (select 1 from auth.custom_oauth_providers having count(*) < $2::bigint) \
insert into auth.custom_oauth_providers select (jsonb_populate_record(null::auth.custom_oauth_providers, \
$1::jsonb || jsonb_build_object('created_at', now(), 'updated_at', now()))).* from room returning id";

const UPDATE: &str = "\
update auth.custom_oauth_providers p set (name, client_id, client_secret, acceptable_client_ids, scopes, pkce_enabled, \
attribute_mapping, authorization_params, enabled, email_optional, issuer, discovery_url, skip_nonce_check, authorization_url, \
token_url, userinfo_url, jwks_uri, updated_at) = (select n.name, n.client_id, n.client_secret, n.acceptable_client_ids, \
n.scopes, n.pkce_enabled, n.attribute_mapping, n.authorization_params, n.enabled, n.email_optional, n.issuer, \
n.discovery_url, n.skip_nonce_check, n.authorization_url, n.token_url, n.userinfo_url, n.jwks_uri, now() \
from jsonb_populate_record(null::auth.custom_oauth_providers, $1::jsonb) n) \
where p.id = ($1::jsonb ->> 'id')::uuid returning to_jsonb(p)";

/// How a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// With a user endpoint.
    OAuth2,
    /// By discovery, with ID tokens.
    Oidc,
}

/// A row of `auth.custom_oauth_providers`.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Row {
    id: Uuid,
    provider_type: Kind,
    identifier: String,
    name: String,
    client_id: String,
    client_secret: String,
    acceptable_client_ids: Vec<String>,
    scopes: Vec<String>,
    pkce_enabled: bool,
    attribute_mapping: Object,
    authorization_params: Object,
    enabled: bool,
    email_optional: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    discovery_url: Option<String>,
    skip_nonce_check: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    userinfo_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<Timestamp>,
}

impl Row {
    /// As administrators see it: without the secret.
    fn view(&self) -> Result<Value> {
        let mut view = self.json()?;
        if let Some(view) = view.as_object_mut() {
            view.remove("client_secret");
        }
        Ok(view)
    }

    fn json(&self) -> Result<Value> {
        serde_json::to_value(self)
            .map_err(|_| Error::internal("Error writing custom OAuth provider"))
    }

    fn seal(&mut self, call: &Call<'_>, secret: &str) -> Result<()> {
        let sealed = call.auth.sealer().seal(PURPOSE, &self.id.to_string(), secret.as_bytes());
        self.client_secret = sealed.map_err(|error| {
            tracing::error!(error = %error, "a provider's client secret cannot be sealed");
            Error::internal("Error encrypting custom OAuth provider client secret")
        })?;
        Ok(())
    }

    /// What a provider of this row is made of.
    fn settings(&self, secret: Secret, external_url: &str) -> ProviderSettings {
        let text = |url: &Option<String>| url.clone().unwrap_or_default();
        let custom = match self.provider_type {
            Kind::Oidc => external::Custom::Oidc {
                issuer: text(&self.issuer),
                discovery_url: self.discovery_url.clone().filter(|url| !url.is_empty()),
            },
            Kind::OAuth2 => external::Custom::OAuth2 {
                authorization_url: text(&self.authorization_url),
                token_url: text(&self.token_url),
                userinfo_url: text(&self.userinfo_url),
            },
        };
        let clients = [&self.client_id].into_iter().chain(&self.acceptable_client_ids);
        let extra = self.authorization_params.iter().map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (name.clone(), value)
        });
        ProviderSettings {
            id: self.identifier.clone(),
            client_ids: clients.cloned().collect(),
            secret,
            redirect_uri: callback_url(external_url),
            scopes: self.scopes.clone(),
            skip_nonce_check: self.skip_nonce_check,
            email_optional: self.email_optional,
            extra: extra.collect::<BTreeMap<_, _>>(),
            pkce: self.pkce_enabled,
            custom: Some(custom),
            attribute_mapping: self.attribute_mapping.clone(),
            ..ProviderSettings::default()
        }
    }
}

/// The provider of an identifier, if it is there and switched on.
///
/// # Errors
///
/// Those of the database; 500 when its secret cannot be opened.
pub(super) async fn find(call: &Call<'_>, identifier: &str) -> Result<Option<Arc<Configured>>> {
    let Some(row) = row(call, identifier).await?.filter(|row| row.enabled) else { return Ok(None) };
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!(provider = %row.identifier, error = %error, "an added provider cannot be used");
        Error::internal("Error retrieving custom OAuth provider")
    };
    let sealed = &row.client_secret;
    let secret = call.auth.sealer().open_text(PURPOSE, &row.id.to_string(), sealed);
    let secret = secret.map_err(|error| failed(&error))?;
    let settings = row.settings(secret, call.auth.external_url());
    let provider = Provider::new(settings, call.auth.directory().clone());
    let provider = provider.map_err(|error| failed(&error))?;
    let name = row.identifier.clone();
    Ok(Some(Arc::new(Configured { name, provider, keep_tokens: false })))
}

async fn row(call: &Call<'_>, identifier: &str) -> Result<Option<Row>> {
    let sql = "select to_jsonb(p) from auth.custom_oauth_providers p where p.identifier = $1";
    call.auth.db().query(sql, &[&identifier]).await?.json(0)
}

/// The provider that the path names.
async fn named(call: &Call<'_>) -> Result<Row> {
    let written = call.parameters.first().copied().unwrap_or_default();
    let identifier = percent_decode_str(written).decode_utf8_lossy();
    if !identifier.starts_with(CUSTOM) {
        return Err(Error::validation("identifier must start with 'custom:' prefix"));
    }
    row(call, &identifier).await?.ok_or_else(unknown)
}

fn unknown() -> Error {
    Error::not_found(code::CUSTOM_PROVIDER_NOT_FOUND, "Custom OAuth provider not found")
}

/// `GET /admin/custom-providers`.
pub(crate) async fn list(call: &Call<'_>) -> Result<Response> {
    let kind = call.request.parameter("type");
    if !kind.as_deref().is_none_or(|kind| ["oauth2", "oidc"].contains(&kind)) {
        return Err(Error::validation("type must be either 'oauth2' or 'oidc'"));
    }
    let sql = "select to_jsonb(p) from auth.custom_oauth_providers p \
               where $1::text is null or p.provider_type = $1 order by p.created_at desc, p.id limit 1000";
    let rows: Vec<Row> = call.auth.db().query(sql, &[&kind]).await?.json_rows(0)?;
    let providers: Vec<Value> = rows.iter().map(Row::view).collect::<Result<_>>()?;
    Ok(Response::ok(&json!({ "providers": providers })))
}

/// `GET /admin/custom-providers/{identifier}`.
pub(crate) async fn read(call: &Call<'_>) -> Result<Response> {
    Ok(Response::ok(&named(call).await?.view()?))
}

/// `POST /admin/custom-providers`.
pub(crate) async fn create(call: &Call<'_>) -> Result<Response> {
    let body: Body = call.request.json()?;
    let mut row = body.row()?;
    let secret = body.secret().ok_or_else(|| Error::validation("client_secret is required"))?;
    row.check(call)?;
    row.seal(call, secret)?;
    let mut work = Work::new();
    let place = work.add(INSERT, &[&row.json()?, &MOST]);
    log(call, &mut work, "custom_provider_created", &row);
    let answers = call.auth.db().try_run(work).await.map_err(saving)?;
    if !answers.any(place) {
        let message = "Maximum number of custom OAuth/OIDC providers reached";
        return Err(Error::bad_request(code::OVER_QUOTA, message));
    }
    let made = self::row(call, &row.identifier).await?.ok_or_else(unknown)?;
    Ok(Response::json(StatusCode::CREATED, &made.view()?))
}

/// `PUT /admin/custom-providers/{identifier}`.
pub(crate) async fn update(call: &Call<'_>) -> Result<Response> {
    let mut row = named(call).await?;
    let body: Body = call.request.json()?;
    body.change(&mut row)?;
    row.check(call)?;
    if let Some(secret) = body.secret() {
        row.seal(call, secret)?;
    }
    let mut work = Work::new();
    let place = work.add(UPDATE, &[&row.json()?]);
    log(call, &mut work, "custom_provider_modified", &row);
    let answers = call.auth.db().try_run(work).await.map_err(saving)?;
    let row: Option<Row> = answers.json(place)?;
    Ok(Response::ok(&row.ok_or_else(unknown)?.view()?))
}

/// `DELETE /admin/custom-providers/{identifier}`.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Response> {
    let row = named(call).await?;
    let mut work = Work::new();
    work.add("delete from auth.custom_oauth_providers where id = $1::uuid", &[&row.id]);
    log(call, &mut work, "custom_provider_deleted", &row);
    call.auth.db().run(work).await?;
    Ok(Response::ok(&json!({"message": "Custom OAuth provider deleted successfully"})))
}

fn log(call: &Call<'_>, work: &mut Work, action: &'static str, row: &Row) {
    let traits = json!({"identifier": row.identifier});
    audit::add_by_admin(work, call.request, Action(action), traits);
}

fn saving(error: WireError) -> Error {
    match &error {
        WireError::Database(database) if database.code == "23505" => {
            let message = "A custom OAuth provider with this identifier already exists";
            Error::bad_request(code::CONFLICT, message)
        }
        _ => error.into(),
    }
}
