//! Tokens in mails and messages: good for one use and a short time, stored as digests.
//!
//! A mail carries two forms of the same token: a few digits to type, and their digest in a link. The digest is keyed by the
//! project's secret, or whoever tries all digits of a known address would need no more than their links; the database has a
//! digest of it, so that reading the database is not enough to follow a link, nor to find the digits. A digest that
//! begins with `pkce_` belongs to a sign-in that only the client which began it can finish (RFC 7636).

use aws_lc_rs::{digest, hmac};
use jiff::Timestamp;
use plinth_wire::WireError;
use serde::Deserialize;
use uuid::Uuid;

use crate::db::{Db, Work, condition_failed};
use crate::error::{Error, Result, code};
use crate::random::{NoRandomness, hex, numeric_code};
use crate::service::Call;
use crate::user::{USER, User};

/// What marks digests of sign-ins that their client must finish.
pub(crate) const PKCE: &str = "pkce_";

/// Bytes of a digest in a link.
const LINK_BYTES: usize = 28;
/// Sets this use of the project's secret apart from others.
const PURPOSE: &[u8] = b"plinth one-time tokens";

/// Makes the digests in the links of one project.
#[derive(Clone)]
pub(crate) struct TokenKey(hmac::Key);

impl TokenKey {
    /// Derived from the secret of the project.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self(hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&secret, PURPOSE).as_ref()))
    }

    /// The digest in the link whose digits are `code`.
    fn link(&self, kind: Kind, address: &str, code: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [kind.name(), address, code] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let tag = context.sign();
        hex(tag.as_ref().get(..LINK_BYTES).unwrap_or_default())
    }
}

/// What the database has of the digest in a link.
fn stored(link: &str) -> String {
    let (mark, plain) = link.strip_prefix(PKCE).map_or(("", link), |plain| (PKCE, plain));
    format!("{mark}{}", hex(digest::digest(&digest::SHA224, plain.as_bytes()).as_ref()))
}

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
    /// What is stored of the digest.
    pub hash: String,
    /// The address or number that it was sent to.
    pub relates_to: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Call<'_> {
    /// Makes a token for `user`, to be sent to `address`. One of the same kind that was made before is worth nothing
    /// any more. Numbers whose codes are set get those.
    ///
    /// # Errors
    ///
    /// 500 when the machine has no randomness.
    pub(crate) fn issue(
        &self,
        work: &mut Work,
        user: Uuid,
        kind: Kind,
        address: &str,
        pkce: bool,
    ) -> Result<Issued> {
        let code = match self.test_code(address) {
            Some(code) => code.to_owned(),
            None => numeric_code(self.digits(address)).map_err(no_randomness)?,
        };
        let digest = self.auth.token_key().link(kind, address, &code);
        let hash = if pkce { format!("{PKCE}{digest}") } else { digest };
        insert(work, user, kind, address, &stored(&hash));
        Ok(Issued { code, hash })
    }

    /// How many digits are sent to `address`.
    fn digits(&self, address: &str) -> u8 {
        let config = self.auth.config();
        let by_mail = address.contains('@');
        let digits = if by_mail { config.email.otp_length } else { config.sms.otp_length };
        u8::try_from(digits).unwrap_or(u8::MAX)
    }
}

fn insert(work: &mut Work, user: Uuid, kind: Kind, address: &str, hash: &str) {
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
pub(crate) async fn find_by_link(db: &Db, link: &str) -> Result<Option<Token>> {
    let sql = format!(
        "select json_build_object('user', {USER}, {TOKEN}) \
         from auth.one_time_tokens t join auth.users u on u.id = t.user_id \
         where t.token_hash = $1 and u.deleted_at is null"
    );
    db.query(&sql, &[&stored(link)]).await?.json(0)
}

/// Tokens of one of these kinds whose digits were sent to `address`; one, unless two people want to change to the same
/// address and were sent the same digits. Nobody is looked for by the address, so it takes no longer when somebody is there.
///
/// # Errors
///
/// Those of the database.
pub(crate) async fn find_by_code(
    db: &Db,
    key: &TokenKey,
    kinds: &[Kind],
    address: &str,
    code: &str,
) -> Result<Vec<Token>> {
    let sql = format!(
        "select json_build_object('user', {USER}, {TOKEN}) \
         from auth.one_time_tokens t join auth.users u on u.id = t.user_id \
         where t.token_hash = any ($1::text[]) and t.relates_to = $2 and u.deleted_at is null"
    );
    let links = kinds.iter().map(|kind| key.link(*kind, address, code));
    let digests = links.flat_map(|link| [stored(&link), stored(&format!("{PKCE}{link}"))]);
    // Hexadecimal digits need no quotes in an array's text.
    let digests = format!("{{{}}}", digests.collect::<Vec<_>>().join(","));
    db.query(&sql, &[&digests, &address]).await?.json_rows(0)
}

/// Tokens of one of these kinds that were sent to `address`, for carriers that compare the digits themselves.
///
/// # Errors
///
/// Those of the database.
pub(crate) async fn find_by_address(db: &Db, kinds: &[Kind], address: &str) -> Result<Vec<Token>> {
    let sql = format!(
        "select json_build_object('user', {USER}, {TOKEN}) \
         from auth.one_time_tokens t join auth.users u on u.id = t.user_id \
         where t.relates_to = $1 and t.token_type::text = any ($2::text[]) and u.deleted_at is null \
         order by t.created_at desc limit 1"
    );
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    db.query(&sql, &[&address, &format!("{{{}}}", names.join(","))]).await?.json_rows(0)
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
    if condition_failed(&error) { expired() } else { crate::session::saving_user(error) }
}

/// 403: wrong, used or too old; which of them is not said.
pub(crate) fn expired() -> Error {
    Error::forbidden(code::OTP_EXPIRED, "Token has expired or is invalid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_follows_from_its_digits_for_who_knows_the_secret() {
        let key = TokenKey::new(b"secret");
        let link = key.link(Kind::Recovery, "ada@example.com", "123456");
        assert_eq!(link.len(), 56);
        assert_eq!(
            link,
            TokenKey::new(b"secret").link(Kind::Recovery, "ada@example.com", "123456")
        );
        for other in [
            TokenKey::new(b"other").link(Kind::Recovery, "ada@example.com", "123456"),
            key.link(Kind::Confirmation, "ada@example.com", "123456"),
            key.link(Kind::Recovery, "eve@example.com", "123456"),
            key.link(Kind::Recovery, "ada@example.com", "123457"),
            key.link(Kind::Recovery, "ada@example.co", "m123456"),
        ] {
            assert_ne!(link, other);
        }
    }

    #[test]
    fn what_is_stored_is_no_link() {
        let link = TokenKey::new(b"secret").link(Kind::Recovery, "ada@example.com", "123456");
        assert_ne!(stored(&link), link);
        assert_eq!(stored(&format!("pkce_{link}")), format!("pkce_{}", stored(&link)));
        assert_ne!(stored(&stored(&link)), stored(&link));
    }
}
