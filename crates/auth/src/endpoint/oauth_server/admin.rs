//! `/admin/oauth/clients`: apps as administrators manage them.

use http::{StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{self, Client};
use super::enabled;
use super::register::{Metadata, Registrar, register};
use crate::audit::{self, Action};
use crate::db::Work;
use crate::endpoint::admin::{COUNTED, Page};
use crate::error::{Error, Result};
use crate::request::Response;
use crate::service::Call;

/// The app that the path names.
async fn named(call: &Call<'_>) -> Result<Client> {
    enabled(call)?;
    let id: Uuid = call.id(0).ok_or_else(|| Error::validation("invalid client_id format"))?;
    client::find(call.auth.db(), id).await?.ok_or_else(client::unknown)
}

fn scope<'a>(call: &'a Call<'_>) -> &'a str {
    &call.auth.config().oauth_server.default_scope
}

/// `GET /admin/oauth/clients`: page by page, the newest first.
pub(crate) async fn list(call: &Call<'_>) -> Result<Response> {
    enabled(call)?;
    let page = Page::of(call)?;
    let of_page =
        client::read("true order by c.created_at desc, c.id limit $1::bigint offset $2::bigint");
    let mut work = Work::of(&of_page, &[&(page.size + 1), &page.offset()]);
    let count = format!(
        "select jsonb_build_object('counted', count(*)) from \
         (select 1 from auth.oauth_clients where deleted_at is null limit {COUNTED} + 1) c"
    );
    let counted = work.add(&count, &[]);
    let answers = call.auth.db().run(work).await?;
    let clients: Vec<Client> = answers.json_rows(0)?;
    let total = page.total(clients.len(), answers.json(counted)?.unwrap_or_default());
    let of_page = clients.iter().take(usize::try_from(page.size).unwrap_or(usize::MAX));
    let views: Vec<Value> = of_page.map(|one| one.view(None, scope(call))).collect();
    let response = Response::ok(&json!({"clients": views, "aud": "authenticated"}));
    let url = format!("{}/admin/oauth/clients", call.auth.external_url());
    Ok(page.linked(response, &url, "", total))
}

/// `POST /admin/oauth/clients`.
pub(crate) async fn create(call: &Call<'_>) -> Result<Response> {
    enabled(call)?;
    let metadata: Metadata = call.request.json()?;
    let (client, secret) = register(call, &metadata, Registrar::Admin, Error::from).await?;
    let view = client.view(secret.as_ref(), scope(call));
    Ok(Response::json(StatusCode::CREATED, &view).with(header::CACHE_CONTROL, "no-store"))
}

/// `GET /admin/oauth/clients/{id}`.
pub(crate) async fn get(call: &Call<'_>) -> Result<Response> {
    Ok(Response::ok(&named(call).await?.view(None, scope(call))))
}

/// `PUT /admin/oauth/clients/{id}`: changes what is said, and leaves the rest.
pub(crate) async fn update(call: &Call<'_>) -> Result<Response> {
    let client = named(call).await?;
    let metadata: Metadata = call.request.json()?;
    let changes = Changes::of(&client, &metadata)?;
    let mut work = Work::of(
        "update auth.oauth_clients set redirect_uris = coalesce($2, redirect_uris), \
         grant_types = coalesce($3, grant_types), client_name = coalesce($4, client_name), \
         client_uri = coalesce($5, client_uri), logo_uri = coalesce($6, logo_uri), \
         token_endpoint_auth_method = coalesce($7, token_endpoint_auth_method), updated_at = now() \
         where id = $1::uuid",
        &[
            &client.id,
            &changes.redirect_uris,
            &changes.grant_types,
            &metadata.client_name,
            &metadata.client_uri,
            &metadata.logo_uri,
            &metadata.token_endpoint_auth_method,
        ],
    );
    log(&mut work, call, &client, "oauth_client_modified");
    respond(call, work, &client, None).await
}

/// What of an app is changed and has a form of its own in the database.
struct Changes {
    redirect_uris: Option<String>,
    grant_types: Option<String>,
}

impl Changes {
    fn of(client: &Client, said: &Metadata) -> Result<Self> {
        let none = said.redirect_uris.is_none()
            && said.grant_types.is_none()
            && said.client_name.is_none()
            && said.client_uri.is_none()
            && said.logo_uri.is_none()
            && said.token_endpoint_auth_method.is_none();
        if none {
            return Err(Error::validation("No fields provided for update"));
        }
        said.check()?;
        let allowed: &[&str] = match client.is_public() {
            true => &["none"],
            false => &["client_secret_basic", "client_secret_post"],
        };
        let method = said.token_endpoint_auth_method.as_deref();
        if method.is_some_and(|method| !allowed.contains(&method)) {
            let message = "token_endpoint_auth_method is inconsistent with the type of the client";
            return Err(Error::validation(message));
        }
        let grant_types = match &said.grant_types {
            Some(grants) if grants.is_empty() => {
                return Err(Error::validation("grant_types cannot be empty"));
            }
            Some(_) => Some(said.grants(Registrar::Admin)?),
            None => None,
        };
        Ok(Self {
            redirect_uris: said.redirect_uris.as_ref().map(|uris| uris.join(",")),
            grant_types,
        })
    }
}

/// `DELETE /admin/oauth/clients/{id}`: also everything that it was given.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Response> {
    let client = named(call).await?;
    let mut work = Work::of(
        "update auth.oauth_clients set deleted_at = now(), updated_at = now() where id = $1::uuid",
        &[&client.id],
    );
    work.add("delete from auth.sessions where oauth_client_id = $1::uuid", &[&client.id]);
    work.add("delete from auth.oauth_authorizations where client_id = $1::uuid", &[&client.id]);
    work.add("delete from auth.oauth_consents where client_id = $1::uuid", &[&client.id]);
    log(&mut work, call, &client, "oauth_client_deleted");
    call.auth.db().run(work).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

/// `POST /admin/oauth/clients/{id}/regenerate_secret`: the one before is worth nothing any more.
pub(crate) async fn regenerate_secret(call: &Call<'_>) -> Result<Response> {
    let client = named(call).await?;
    if client.is_public() {
        return Err(Error::validation("Cannot regenerate secret for public client"));
    }
    let secret = client::new_secret()?;
    let mut work = Work::of(
        "update auth.oauth_clients set client_secret_hash = $2, updated_at = now() where id = $1::uuid",
        &[&client.id, &client::secret_hash(&secret)],
    );
    log(&mut work, call, &client, "oauth_client_secret_regenerated");
    respond(call, work, &client, Some(secret)).await
}

fn log(work: &mut Work, call: &Call<'_>, client: &Client, action: &'static str) {
    let traits = json!({"client_id": client.id});
    audit::add_by_admin(work, call.request, Action(action), traits);
}

async fn respond(
    call: &Call<'_>,
    mut work: Work,
    client: &Client,
    secret: Option<plinth_wire::Secret>,
) -> Result<Response> {
    let place = work.add(&client::read("c.id = $1::uuid"), &[&client.id]);
    let changed: Option<Client> = call.auth.db().run(work).await?.json(place)?;
    let view = changed.ok_or_else(client::unknown)?.view(secret.as_ref(), scope(call));
    Ok(Response::ok(&view).with(header::CACHE_CONTROL, "no-store"))
}
