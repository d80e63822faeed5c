//! Tokens in mails and messages: good for one use and a short time, stored as digests.
//!
//! A mail carries two forms of the same token: a few digits to type, and the digest of address and digits in a link. A
//! digest that begins with `pkce_` belongs to a sign-in that only the client which began it can finish (RFC 7636).

use jiff::Timestamp;
use plinth_wire::WireError;
use serde::Deserialize;
use uuid::Uuid;

use crate::db::{Db, Work};
use crate::error::{Error, Result, code};
use crate::random::{NoRandomness, numeric_code, same, token_hash};
use crate::user::{USER, User};

/// What marks digests of sign-ins that their client must finish.
pub(crate) const PKCE: &str = "pkce_";

/// SQLSTATE of the division by zero that fails a transaction whose token was used meanwhile.
const DIVISION_BY_ZERO: &str = "22012";

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Kind {
    /// Proves the address or number of a new user.
    #[serde(rename = "confirmation_token")]
    Confirmation,
    /// Recovery and magic links.
    #[serde(rename = "recovery_token")]
    Recovery,
    /// Proves the new address of a change.
    #[serde(rename = "email_change_token_new")]
    EmailChangeNew,
    /// Proves that who has the present address wants the change.
    #[serde(rename = "email_change_token_current")]
    EmailChangeCurrent,
    /// Proves the new number of a change.
    #[serde(rename = "phone_change_token")]
    PhoneChange,
    /// Proves that the user is there before a sensitive change.
    #[serde(rename = "reauthentication_token")]
    Reauthentication,
}

impl Kind {
    /// What a message with such a code is called where a hook sends it.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::PhoneChange => "phone_change",
            Self::Reauthentication => "reauthentication",
            _ => "sms",
        }
    }

    /// Its name in the database.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation_token",
            Self::Recovery => "recovery_token",
            Self::EmailChangeNew => "email_change_token_new",
            Self::EmailChangeCurrent => "email_change_token_current",
            Self::PhoneChange => "phone_change_token",
            Self::Reauthentication => "reauthentication_token",
        }
    }

    /// The column of `auth.users` that says when it was sent.
    fn sent_at(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation_sent_at",
            Self::Recovery => "recovery_sent_at",
            Self::EmailChangeNew | Self::EmailChangeCurrent => "email_change_sent_at",
            Self::PhoneChange => "phone_change_sent_at",
            Self::Reauthentication => "reauthentication_sent_at",
        }
    }
}

/// A token that was made and is to be sent.
#[derive(Clone)]
pub(crate) struct Issued {
    /// The digits.
    pub code: String,
    /// The digest in links.
    pub hash: String,
}

/// A token that was found, with its user.
#[derive(Debug, Deserialize)]
pub(crate) struct Token {
    /// Whose it is.
    pub user: User,
    /// What it is for.
    pub kind: Kind,
    /// The digest.
    pub hash: String,
    /// The address or number that it was sent to.
    pub relates_to: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Makes a token of `digits` for `user`, to be sent to `address`. One of the same kind that was made
/// before is worth nothing any more.
pub(crate) fn issue(
    work: &mut Work,
    user: Uuid,
    kind: Kind,
    address: &str,
    digits: u32,
    pkce: bool,
) -> Result<Issued> {
    let code = numeric_code(u8::try_from(digits).unwrap_or(u8::MAX)).map_err(no_randomness)?;
    let digest = token_hash(address, &code);
    let hash = if pkce { format!("{PKCE}{digest}") } else { digest };
    issue_as(work, user, kind, address, &hash);
    Ok(Issued { code, hash })
}

/// As [`issue`], with digits that are known already.
pub(crate) fn issue_as(work: &mut Work, user: Uuid, kind: Kind, address: &str, hash: &str) {
    let (name, sent_at) = (kind.name(), kind.sent_at());
    let note = format!(
        "update auth.users set {name} = $2, {sent_at} = now(), updated_at = now() where id = $1::uuid"
    );
    work.add(&note, &[&user, &hash]);
    work.add(
        "insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to) \
         values (gen_random_uuid(), $1::uuid, $2::auth.one_time_token_type, $3, $4) \
         on conflict (user_id, token_type) do update set token_hash = excluded.token_hash, \
         relates_to = excluded.relates_to, created_at = now(), updated_at = now()",
        &[&user, &name, &hash, &address],
    );
}

const TOKEN: &str = "'kind', t.token_type, 'hash', t.token_hash, 'relates_to', t.relates_to, \
     'created_at', t.created_at at time zone 'utc'";

fn no_randomness(error: NoRandomness) -> Error {
    tracing::error!(error = %error, "no token can be made");
    Error::internal("Unexpected failure, please check server logs for more information")
}

/// The token of a link.
///
/// # Errors
///
/// Those of the database.
pub(crate) async fn find_by_hash(db: &Db, hash: &str) -> Result<Option<Token>> {
    let sql = format!(
        "select jsonb_build_object('user', {USER}, {TOKEN}) \
         from auth.one_time_tokens t join auth.users u on u.id = t.user_id \
         where t.token_hash = $1 and u.deleted_at is null"
    );
    db.query(&sql, &[&hash]).await?.json(0)
}

/// The token of `user` whose digits were sent to `address`.
///
/// # Errors
///
/// Those of the database.
pub(crate) async fn find_by_code(
    db: &Db,
    user: Uuid,
    address: &str,
    code: &str,
) -> Result<Option<Token>> {
    let sql = format!(
        "select jsonb_build_object('user', {USER}, {TOKEN}) \
         from auth.one_time_tokens t join auth.users u on u.id = t.user_id where t.user_id = $1::uuid"
    );
    let tokens: Vec<Token> = db.query(&sql, &[&user]).await?.json_rows(0)?;
    let digest = token_hash(address, code);
    Ok(tokens.into_iter().find(|token| {
        let stored = token.hash.strip_prefix(PKCE).unwrap_or(&token.hash);
        token.relates_to == address && same(stored, &digest)
    }))
}

impl Token {
    /// Whether it is older than `seconds`.
    pub(crate) fn is_expired(&self, now: Timestamp, seconds: i64) -> bool {
        now.as_second() - self.created_at.as_second() > seconds
    }

    /// Whether only the client that asked for it can finish with it.
    pub(crate) fn is_pkce(&self) -> bool {
        self.hash.starts_with(PKCE)
    }

    /// Uses it up: `work` comes to nothing when somebody else was quicker.
    pub(crate) fn consume(&self, work: &mut Work) {
        let name = self.kind.name();
        work.add(
            "with used as (delete from auth.one_time_tokens where user_id = $1::uuid \
             and token_type = $2::auth.one_time_token_type and token_hash = $3 returning 1) \
             select 1 / count(*) from used",
            &[&self.user.id, &name, &self.hash],
        );
        let forget = format!("update auth.users set {name} = '' where id = $1::uuid");
        work.add(&forget, &[&self.user.id]);
    }
}

/// What it means that a transaction failed that uses a token.
pub(crate) fn using_token(error: WireError) -> Error {
    match &error {
        WireError::Database(database) if database.code == DIVISION_BY_ZERO => expired(),
        _ => crate::session::saving_user(error),
    }
}

/// 403: wrong, used or too old; which of them is not said.
pub(crate) fn expired() -> Error {
    Error::forbidden(code::OTP_EXPIRED, "Token has expired or is invalid")
}
