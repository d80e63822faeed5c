//! Rows of `auth.webauthn_credentials`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::db::{Db, Work, condition_failed};
use crate::error::{Error, Result, code};
use crate::request::Response;
use crate::webauthn::{Credential, WebAuthnError};

/// Reads passkeys `p` as JSON. PostgreSQL breaks base64 into lines.
pub(super) const PASSKEY: &str = "\
to_jsonb(p) || jsonb_build_object('credential_id', translate(encode(p.credential_id, 'base64'), chr(10), ''), \
'public_key', translate(encode(p.public_key, 'base64'), chr(10), ''))";

/// A passkey as clients see it.
const VIEW: &str = "\
jsonb_build_object('id', p.id, 'friendly_name', nullif(p.friendly_name, ''), 'created_at', p.created_at, \
'last_used_at', p.last_used_at)";

/// A row of `auth.webauthn_credentials`.
#[derive(Deserialize)]
pub(super) struct Passkey {
    pub(super) id: Uuid,
    pub(super) user_id: Uuid,
    credential_id: String,
    public_key: String,
    attestation_type: String,
    aaguid: Option<Uuid>,
    sign_count: u32,
    transports: Vec<String>,
    backup_eligible: bool,
    backed_up: bool,
}

/// A passkey as clients see it.
#[derive(Serialize, Deserialize)]
pub(super) struct View {
    id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    friendly_name: Option<String>,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
}

impl Passkey {
    /// The credential. Passkeys are only made by authenticators that verify their user.
    ///
    /// # Errors
    ///
    /// [`WebAuthnError::StoredCredential`].
    pub(super) fn credential(&self) -> Result<Credential, WebAuthnError> {
        let bytes = |text: &str| STANDARD.decode(text).map_err(|_| WebAuthnError::StoredCredential);
        Ok(Credential {
            id: bytes(&self.credential_id)?,
            public_key: bytes(&self.public_key)?,
            attestation_type: self.attestation_type.clone(),
            aaguid: self.aaguid.unwrap_or_default(),
            sign_count: self.sign_count,
            transports: self.transports.clone(),
            backup_eligible: self.backup_eligible,
            backed_up: self.backed_up,
            user_verified: true,
        })
    }
}

/// Adds a passkey; its view is the answer of the statement at the returned place. Fails when the user has `most` already.
pub(super) fn insert(
    work: &mut Work,
    user: Uuid,
    id: Uuid,
    made: &Credential,
    name: &str,
    most: u32,
) -> usize {
    let aaguid = Some(made.aaguid).filter(|aaguid| !aaguid.is_nil());
    let (credential_id, public_key) =
        (STANDARD.encode(&made.id), STANDARD.encode(&made.public_key));
    let transports = Value::from(made.transports.clone());
    work.add(
        "with made as ( \
           insert into auth.webauthn_credentials (id, user_id, credential_id, public_key, attestation_type, aaguid, sign_count, \
             transports, backup_eligible, backed_up, friendly_name) \
           select $1::uuid, $2::uuid, decode($3, 'base64'), decode($4, 'base64'), $5, $6::uuid, $7::bigint, $8::jsonb, \
             $9::boolean, $10::boolean, $11 \
           where (select count(*) from auth.webauthn_credentials where user_id = $2::uuid) < $12::bigint \
           returning 1) \
         select 1 / count(*) from made",
        &[
            &id,
            &user,
            &credential_id,
            &public_key,
            &made.attestation_type,
            &aaguid,
            &made.sign_count,
            &transports,
            &made.backup_eligible,
            &made.backed_up,
            &name,
            &most,
        ],
    );
    work.add(
        &format!("select {VIEW} from auth.webauthn_credentials p where p.id = $1::uuid"),
        &[&id],
    )
}

/// Keeps what an authenticator said when it was used. Fails when its counter has been seen meanwhile.
pub(super) fn used(work: &mut Work, passkey: Uuid, now: &Credential) {
    work.add(
        "with kept as ( \
           update auth.webauthn_credentials set sign_count = $2::bigint, backed_up = $3::boolean, last_used_at = now(), \
             updated_at = now() \
           where id = $1::uuid and (sign_count < $2::bigint or $2::bigint = 0 and sign_count = 0) returning 1) \
         select 1 / count(*) from kept",
        &[&passkey, &now.sign_count, &now.backed_up],
    );
}

/// All passkeys of `user`, the oldest first.
///
/// # Errors
///
/// Those of the database.
pub(super) async fn of(db: &Db, user: Uuid) -> Result<Vec<Passkey>> {
    let sql = format!(
        "select {PASSKEY} from auth.webauthn_credentials p where p.user_id = $1::uuid order by p.created_at, p.id"
    );
    db.query(&sql, &[&user]).await?.json_rows(0)
}

/// Answers with the passkeys of `user`, the oldest first.
///
/// # Errors
///
/// Those of the database.
pub(in crate::endpoint) async fn list_of(db: &Db, user: Uuid) -> Result<Response> {
    let sql = format!(
        "select {VIEW} from auth.webauthn_credentials p where p.user_id = $1::uuid order by p.created_at, p.id"
    );
    let views: Vec<View> = db.query(&sql, &[&user]).await?.json_rows(0)?;
    Ok(Response::ok(&views))
}

/// Gives a passkey of `user` another name, in one transaction with `work`.
///
/// # Errors
///
/// 404 when there is none.
pub(super) async fn rename(
    db: &Db,
    mut work: Work,
    user: Uuid,
    passkey: Uuid,
    name: &str,
) -> Result<View> {
    let sql = format!(
        "update auth.webauthn_credentials p set friendly_name = $3, updated_at = now() \
         where p.id = $1::uuid and p.user_id = $2::uuid returning {VIEW}"
    );
    let place = work.add(&sql, &[&passkey, &user, &name]);
    work.add(
        "select 1 / count(*) from auth.webauthn_credentials where id = $1::uuid and user_id = $2::uuid",
        &[&passkey, &user],
    );
    let answers = db
        .try_run(work)
        .await
        .map_err(|error| if condition_failed(&error) { unknown() } else { error.into() })?;
    answers.json(place)?.ok_or_else(unknown)
}

/// Takes a passkey of `user` away, in one transaction with `work`.
///
/// # Errors
///
/// 404 when there is none.
pub(in crate::endpoint) async fn delete_of(
    db: &Db,
    mut work: Work,
    user: Uuid,
    passkey: Uuid,
) -> Result<Response> {
    work.add(
        "with removed as (delete from auth.webauthn_credentials where id = $1::uuid and user_id = $2::uuid returning 1) \
         select 1 / count(*) from removed",
        &[&passkey, &user],
    );
    db.try_run(work)
        .await
        .map_err(|error| if condition_failed(&error) { unknown() } else { error.into() })?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

/// 404: there is none, or it is somebody else's.
pub(super) fn unknown() -> Error {
    Error::not_found(code::WEBAUTHN_CREDENTIAL_NOT_FOUND, "Passkey not found")
}
