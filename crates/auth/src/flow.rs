//! Sign-ins that begin in one place and end in another, which only the client that began can finish (RFC 7636, PKCE).
//!
//! The row is made when the flow begins; a code is given out when the user has come back, stored as a digest, and
//! exchanged once, for the secret that the client has kept.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use crate::db::{Db, Work};
use crate::error::{Error, Result};
use crate::random::same;

/// The two fields by which a request begins a flow.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Given {
    /// Digest of what the client keeps.
    #[serde(default)]
    pub code_challenge: Option<String>,
    /// How it was made.
    #[serde(default)]
    pub code_challenge_method: Option<String>,
}

/// What a client must prove to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    value: String,
    method: Method,
}

/// How a challenge is made from what the client keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Method {
    /// SHA-256 in base64url.
    S256,
    /// Not at all.
    Plain,
}

impl Given {
    /// The challenge, when there is one.
    ///
    /// # Errors
    ///
    /// 400 for one field without the other, or a challenge that cannot be one.
    pub(crate) fn challenge(&self) -> Result<Option<Challenge>> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (value, method) =
            match (given(&self.code_challenge), given(&self.code_challenge_method)) {
                (None, None) => return Ok(None),
                (Some(value), Some(method)) => (value, method),
                _ => {
                    let message = "PKCE flow requires code_challenge_method and code_challenge";
                    return Err(Error::validation(message));
                }
            };
        if !(43..=128).contains(&value.len()) {
            let message = "code challenge has to be between 43 and 128 characters";
            return Err(Error::validation(message));
        }
        if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) {
            let message = "code challenge can only contain alphanumeric characters, hyphens, \
                           periods, underscores and tildes";
            return Err(Error::validation(message));
        }
        let method = match method.to_ascii_lowercase().as_str() {
            "s256" => Method::S256,
            "plain" => Method::Plain,
            _ => return Err(Error::validation("unsupported code_challenge method")),
        };
        Ok(Some(Challenge { value, method }))
    }
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::S256 => "s256",
            Self::Plain => "plain",
        }
    }
}

/// A row of `auth.flow_state`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Flow {
    /// Primary key.
    pub id: Uuid,
    /// Who signs in, once that is known.
    pub user_id: Option<Uuid>,
    /// What the client must prove to know.
    pub code_challenge: Option<String>,
    /// How that was made.
    pub code_challenge_method: Option<Method>,
    /// Who vouches for the user, such as `email` or `github`.
    pub provider_type: String,
    /// The provider's token, sealed.
    pub provider_access_token: Option<String>,
    /// The provider's refresh token, sealed.
    pub provider_refresh_token: Option<String>,
    /// How the user signs in, such as `magiclink` or `oauth`.
    pub authentication_method: String,
    /// When it began.
    pub created_at: Option<Timestamp>,
    /// When the code was given out.
    pub auth_code_issued_at: Option<Timestamp>,
    /// Where the client wants to be sent.
    pub referrer: Option<String>,
    /// The user to whom an identity is to be added.
    pub linking_target_id: Option<Uuid>,
}

/// What begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewFlow<'a> {
    /// What the client must prove to know; without one the flow ends with tokens in the address.
    pub challenge: Option<&'a Challenge>,
    /// Who signs in, if that is known already.
    pub user: Option<Uuid>,
    /// Who vouches for the user, such as `email` or `github`.
    pub provider: &'a str,
    /// How the user signs in, such as `magiclink` or `oauth`.
    pub method: &'a str,
    /// Where the client wants to be sent.
    pub referrer: Option<&'a str>,
    /// The user to whom an identity is to be added.
    pub linking_target: Option<Uuid>,
    /// What is remembered of our own part at a provider, in `auth.oauth_client_states`.
    pub client_state: Option<Uuid>,
}

/// Begins a flow. One that the same user began before in the same way cannot be finished any more.
pub(crate) fn begin(work: &mut Work, new: &NewFlow<'_>) -> Uuid {
    let id = Uuid::new_v4();
    if let Some(user) = new.user {
        let forget =
            "delete from auth.flow_state where user_id = $1::uuid and authentication_method = $2";
        work.add(forget, &[&user, &new.method]);
    }
    work.add(
        "insert into auth.flow_state (id, user_id, code_challenge, code_challenge_method, provider_type, \
         authentication_method, referrer, linking_target_id, oauth_client_state_id, created_at, updated_at) \
         values ($1::uuid, $2::uuid, $3, $4::auth.code_challenge_method, $5, $6, $7, $8::uuid, $9::uuid, now(), now())",
        &[
            &id,
            &new.user,
            &new.challenge.map(|challenge| challenge.value.as_str()),
            &new.challenge.map(|challenge| challenge.method.name()),
            &new.provider,
            &new.method,
            &new.referrer,
            &new.linking_target,
            &new.client_state,
        ],
    );
    id
}

/// Gives out the code of a flow whose user is known now; returns the code.
pub(crate) fn grant(work: &mut Work, flow: Uuid, user: Uuid) -> String {
    let code = Uuid::new_v4().to_string();
    work.add(
        "update auth.flow_state set auth_code = $2, auth_code_issued_at = now(), updated_at = now(), user_id = $3::uuid \
         where id = $1::uuid",
        &[&flow, &stored(&code), &user],
    );
    code
}

/// The flow that `user` began last by `method`.
///
/// # Errors
///
/// Those of the database.
pub(crate) async fn find_of_user(db: &Db, user: Uuid, method: &str) -> Result<Option<Flow>> {
    let sql = "select to_jsonb(f) from auth.flow_state f where f.user_id = $1::uuid and f.authentication_method = $2 \
               order by f.created_at desc limit 1";
    db.query(sql, &[&user, &method]).await?.json(0)
}

/// The flow whose code was given out as `code`.
///
/// # Errors
///
/// Those of the database.
pub(crate) async fn find_by_code(db: &Db, code: &str) -> Result<Option<Flow>> {
    let sql = "select to_jsonb(f) from auth.flow_state f where f.auth_code = $1 limit 1";
    db.query(sql, &[&stored(code)]).await?.json(0)
}

/// What the database keeps of a code.
fn stored(code: &str) -> String {
    let digest = digest::digest(&digest::SHA256, code.as_bytes());
    URL_SAFE_NO_PAD.encode(digest)
}

impl Flow {
    /// Whether `verifier` is what the client has kept.
    pub(crate) fn is_proved_by(&self, verifier: &str) -> bool {
        let (Some(challenge), Some(method)) = (&self.code_challenge, self.code_challenge_method)
        else {
            return false;
        };
        let made = match method {
            Method::Plain => verifier.to_owned(),
            Method::S256 => stored(verifier),
        };
        same(made, challenge)
    }

    /// Whether its code, or without one the flow, is older than `seconds`.
    pub(crate) fn is_expired(&self, now: Timestamp, seconds: i64) -> bool {
        let since = self.auth_code_issued_at.or(self.created_at);
        since.is_none_or(|since| now.as_second() - since.as_second() > seconds)
    }

    /// Uses it up: `work` comes to nothing when somebody else was quicker.
    pub(crate) fn consume(&self, work: &mut Work) {
        work.add(
            "with used as (delete from auth.flow_state where id = $1::uuid returning 1) select 1 / count(*) from used",
            &[&self.id],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(challenge: Option<&str>, method: Option<&str>) -> Given {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Given { code_challenge: owned(challenge), code_challenge_method: owned(method) }
    }

    #[test]
    fn both_fields_or_none() {
        let value = "a".repeat(43);
        assert_eq!(given(None, None).challenge(), Ok(None));
        assert_eq!(given(Some(""), Some("")).challenge(), Ok(None));
        assert!(given(Some(&value), None).challenge().is_err());
        assert!(given(None, Some("s256")).challenge().is_err());
        assert!(given(Some(&value), Some("S256")).challenge().unwrap().is_some());
        assert!(given(Some(&value), Some("md5")).challenge().is_err());
    }

    #[test]
    fn a_challenge_has_its_length_and_its_characters() {
        for (value, fine) in [
            ("a".repeat(42), false),
            ("a".repeat(43), true),
            ("a".repeat(128), true),
            ("a".repeat(129), false),
            (format!("{}-._~", "a".repeat(43)), true),
            (format!("{}+/=", "a".repeat(43)), false),
        ] {
            assert_eq!(given(Some(&value), Some("plain")).challenge().is_ok(), fine, "{value}");
        }
    }

    #[test]
    fn the_example_of_rfc_7636_is_proved() {
        let flow: Flow = serde_json::from_value(serde_json::json!({
            "id": Uuid::nil(),
            "provider_type": "email",
            "authentication_method": "magiclink",
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "code_challenge_method": "s256",
        }))
        .unwrap();
        assert!(flow.is_proved_by("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert!(!flow.is_proved_by("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
        assert!(!flow.is_proved_by(""));
    }
}
