//! `/admin/users`: one user.

use http::StatusCode;
use plinth_wire::Secret;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use uuid::Uuid;

use super::change::{Ban, Change, ban};
use super::{named, unknown};
use crate::account::{self, NewUser};
use crate::audit::{self, Action};
use crate::contact::{email_contact, phone_contact};
use crate::db::Work;
use crate::error::{Error, Result, code};
use crate::password;
use crate::request::Response;
use crate::service::Call;
use crate::session::saving_user;
use crate::user::{Object, User, merged, provider_metadata};

/// What an administrator may say about a user.
#[derive(Deserialize)]
pub(super) struct Body {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    pub(super) email: Option<String>,
    #[serde(default)]
    pub(super) phone: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    password_hash: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) email_confirm: bool,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) phone_confirm: bool,
    #[serde(default)]
    pub(super) user_metadata: Option<Object>,
    #[serde(default)]
    pub(super) app_metadata: Option<Object>,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    aud: Option<String>,
    #[serde(default)]
    ban_duration: Option<String>,
}

/// Clients of typed languages write down what nobody set.
fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Characters of the columns for roles, audiences and hashes.
const MAX_NAME: usize = 255;

/// The text of `field`, unless it is empty.
fn name<'a>(field: &str, text: Option<&'a String>) -> Result<Option<&'a str>> {
    match text.map(String::as_str).filter(|text| !text.is_empty()) {
        Some(text) if text.chars().count() > MAX_NAME => {
            Err(Error::validation(format!("{field} is longer than {MAX_NAME} characters")))
        }
        text => Ok(text),
    }
}

impl Body {
    /// The id that the user is to have, when somebody cares.
    fn id(&self) -> Result<Uuid> {
        match self.id.as_deref().filter(|text| !text.is_empty()).map(str::parse::<Uuid>) {
            None => Ok(Uuid::new_v4()),
            Some(Ok(id)) if id.is_nil() => Err(Error::validation("ID cannot be a nil uuid")),
            Some(Ok(id)) => Ok(id),
            Some(Err(_not_a_uuid)) => {
                Err(Error::validation("ID must conform to the uuid v4 format"))
            }
        }
    }

    /// Database role of the user's tokens.
    pub(super) fn role(&self) -> Result<Option<&str>> {
        name("role", self.role.as_ref())
    }

    /// Audience of the user's tokens.
    pub(super) fn aud(&self) -> Result<Option<&str>> {
        name("aud", self.aud.as_ref())
    }

    fn email(&self) -> Result<Option<String>> {
        let given = self.email.as_deref().filter(|text| !text.is_empty());
        given.map(|text| Ok(email_contact(text)?.text().to_owned())).transpose()
    }

    fn phone(&self) -> Result<Option<String>> {
        let given = self.phone.as_deref().filter(|text| !text.is_empty());
        given.map(|text| Ok(phone_contact(text)?.text().to_owned())).transpose()
    }

    /// The hash of the password, or the one that was made elsewhere.
    async fn hash(&self, call: &Call<'_>) -> Result<Option<String>> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        match (given(&self.password), given(&self.password_hash)) {
            (Some(_), Some(_)) => {
                Err(Error::validation("Only a password or a password hash should be provided"))
            }
            (Some(text), None) => {
                let text = Secret::new(text);
                call.check_password(&text).await?;
                Ok(Some(call.hash(&text).await?))
            }
            (None, Some(hash)) => {
                if hash.len() > MAX_NAME || !password::is_supported(&hash) {
                    return Err(Error::validation("Unsupported or malformed password hash"));
                }
                Ok(Some(hash))
            }
            (None, None) => Ok(None),
        }
    }

    fn ban(&self) -> Result<Option<Ban>> {
        self.ban_duration.as_deref().map(ban).transpose()
    }
}

/// `POST /admin/users`.
pub(crate) async fn create(call: &Call<'_>) -> Result<Response> {
    let body: Body = call.request.json()?;
    let (email, phone) = (body.email()?, body.phone()?);
    if email.is_none() && phone.is_none() {
        let message = "Cannot create a user without either an email or phone";
        return Err(Error::validation(message));
    }
    let hash = body.hash(call).await?;
    let own: Vec<(&str, &str)> = [("email", &email), ("phone", &phone)]
        .into_iter()
        .filter_map(|(provider, text)| Some((provider, text.as_deref()?)))
        .collect();
    let metadata = provider_metadata(own.iter().map(|(provider, _)| *provider));
    let new = NewUser {
        id: body.id()?,
        email: email.as_deref(),
        phone: phone.as_deref(),
        password_hash: hash,
        app_metadata: merged(metadata, body.app_metadata.clone().unwrap_or_default()),
        user_metadata: body.user_metadata.clone().unwrap_or_default(),
        role: body.role()?.unwrap_or("authenticated"),
        aud: body.aud()?.unwrap_or("authenticated"),
        ..NewUser::default()
    };
    account::check_metadata(&new.app_metadata, &new.user_metadata)?;
    let mut work = Work::new();
    account::insert(&mut work, &new);
    for (provider, text) in &own {
        let data = account::identity_data(new.id, provider, text, &Object::new());
        account::insert_identity(&mut work, new.id, provider, &new.id.to_string(), data);
    }
    if body.email_confirm && email.is_some() {
        account::confirm_email(&mut work, new.id);
    }
    if body.phone_confirm && phone.is_some() {
        account::confirm_phone(&mut work, new.id);
    }
    if let Some(ban) = body.ban()? {
        ban.apply(&mut work, new.id);
    }
    let traits = json!({"user_id": new.id, "user_email": email, "user_phone": phone});
    audit::add_by_admin(&mut work, call.request, Action("user_signedup"), traits);
    respond(call, work, new.id).await
}

/// `GET /admin/users/{id}`.
pub(crate) async fn get(call: &Call<'_>) -> Result<Response> {
    Ok(Response::ok(&named(call).await?.view()))
}

/// `PUT /admin/users/{id}`.
pub(crate) async fn update(call: &Call<'_>) -> Result<Response> {
    let user = named(call).await?;
    let body: Body = call.request.json()?;
    let hash = body.hash(call).await?;
    let (email, phone) = (body.email()?, body.phone()?);
    let mut work = Work::new();
    let change = Change { user: &user, body: &body, email, phone, hash };
    change.apply(&mut work)?;
    if let Some(ban) = body.ban()? {
        ban.apply(&mut work, user.id);
    }
    let traits =
        json!({"user_id": user.id, "user_email": user.email(), "user_phone": user.phone()});
    audit::add_by_admin(&mut work, call.request, Action("user_modified"), traits);
    respond(call, work, user.id).await
}

async fn respond(call: &Call<'_>, mut work: Work, user: Uuid) -> Result<Response> {
    let place = account::read(&mut work, user);
    let answers = call.auth.db().try_run(work).await.map_err(saving_user)?;
    let user: User = answers.json(place)?.ok_or_else(unknown)?;
    Ok(Response::json(StatusCode::OK, &user.view()))
}

#[derive(Deserialize)]
struct Deletion {
    #[serde(default, deserialize_with = "null_is_default")]
    should_soft_delete: bool,
}

/// `DELETE /admin/users/{id}`. A shell that is kept has nothing in it that leads to the person.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Response> {
    let user = named(call).await?;
    let Deletion { should_soft_delete } = call.request.json()?;
    if should_soft_delete && user.deleted_at.is_some() {
        return Ok(Response::done());
    }
    let mut work = Work::new();
    let traits =
        json!({"user_id": user.id, "user_email": user.email(), "user_phone": user.phone()});
    audit::add_by_admin(&mut work, call.request, Action("user_deleted"), traits);
    if should_soft_delete {
        soften(&mut work, &user);
    } else {
        work.add("delete from auth.users where id = $1::uuid", &[&user.id]);
    }
    call.auth.db().try_run(work).await.map_err(|error| {
        let refused = matches!(&error, plinth_wire::WireError::Database(database) if database.code == "23503");
        if refused {
            tracing::warn!(error = %error, "a user cannot be deleted while other rows point at it");
            return Error::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                code::UNEXPECTED_FAILURE,
                "Database error deleting user",
            );
        }
        saving_user(error)
    })?;
    Ok(Response::done())
}

fn soften(work: &mut Work, user: &User) {
    work.add(
        "update auth.users set deleted_at = now(), updated_at = now(), \
         email = case when email is null then null else encode(sha256(convert_to($1::text || email, 'UTF8')), 'hex') end, \
         phone = case when phone is null then null else left(encode(sha256(convert_to($1::text || phone, 'UTF8')), 'hex'), 15) end, \
         email_change = '', phone_change = '', encrypted_password = null, raw_user_meta_data = '{}', \
         raw_app_meta_data = '{}', confirmation_token = '', recovery_token = '', email_change_token_new = '', \
         email_change_token_current = '', phone_change_token = '', reauthentication_token = '' where id = $1::text::uuid",
        &[&user.id],
    );
    work.add(
        "update auth.identities set identity_data = '{}', \
         provider_id = encode(sha256(convert_to($1::text || provider_id, 'UTF8')), 'hex') where user_id = $1::text::uuid",
        &[&user.id],
    );
    for table in
        ["sessions", "mfa_factors", "one_time_tokens", "webauthn_credentials", "flow_state"]
    {
        let forget = format!("delete from auth.{table} where user_id = $1::uuid");
        work.add(&forget, &[&user.id]);
    }
}
