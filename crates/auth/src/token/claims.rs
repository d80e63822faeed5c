//! What an access token says about its bearer.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The claims of an access token.
///
/// Reading is lenient: API keys are tokens too and lack most claims, and `aud` may be a list. What is
/// missing is empty. Writing is strict: `aud` is always a plain string.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it: the address of the auth API. May be empty in tokens of others.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub iss: String,
    /// The user's id. Empty in API keys.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub sub: String,
    /// Whom it is for; of a list, the first.
    #[serde(default, deserialize_with = "first_of_list")]
    pub aud: String,
    /// From this Unix time (seconds) on it is not accepted any more.
    #[serde(default, deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// Unix time (seconds) at which it was issued.
    #[serde(default, deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// Before this Unix time (seconds) it is not accepted. Never set by Plinth.
    #[serde(default, deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// The user's e-mail address, or empty.
    #[serde(default, deserialize_with = "null_is_default")]
    pub email: String,
    /// The user's phone number, or empty.
    #[serde(default, deserialize_with = "null_is_default")]
    pub phone: String,
    /// What the project says about the user.
    #[serde(default, deserialize_with = "null_is_default")]
    pub app_metadata: Map<String, Value>,
    /// What users say about themselves. Never a reason to trust them.
    #[serde(default, deserialize_with = "null_is_default")]
    pub user_metadata: Map<String, Value>,
    /// The database role.
    #[serde(default, deserialize_with = "null_is_default")]
    pub role: String,
    /// `aal1` or `aal2`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub aal: String,
    /// How the user proved to be who they are, newest first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub amr: Vec<AmrEntry>,
    /// The session's id. Empty in API keys.
    #[serde(default, deserialize_with = "null_is_default")]
    pub session_id: String,
    /// Whether the user signed in without saying who they are.
    #[serde(default, deserialize_with = "null_is_default")]
    pub is_anonymous: bool,
    /// The client that acts for the user, in a session that an OAuth client started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// What that client may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// All other claims: what a hook added.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Why a token names no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// There is no `sub`.
    #[error("invalid claim: missing sub claim")]
    Missing,
    /// `sub` is something else than an id.
    #[error("invalid claim: sub claim must be a UUID")]
    NotUuid,
}

impl Claims {
    /// Writes down what `token` says.
    pub fn access_token(token: AccessToken<'_>) -> Self {
        let mut amr = token.amr;
        amr.sort_by_key(|entry| std::cmp::Reverse(entry.timestamp));
        Self {
            iss: token.issuer.to_owned(),
            sub: token.user_id.to_string(),
            aud: token.audience.to_owned(),
            exp: Some(token.issued_at.saturating_add(token.lifetime_s)),
            iat: Some(token.issued_at),
            nbf: None,
            email: token.email.to_owned(),
            phone: token.phone.to_owned(),
            app_metadata: token.app_metadata,
            user_metadata: token.user_metadata,
            role: token.role.to_owned(),
            aal: AssuranceLevel::of(&amr).as_str().to_owned(),
            amr,
            session_id: token.session_id.to_string(),
            is_anonymous: token.is_anonymous,
            client_id: token.client_id.map(str::to_owned),
            scope: token.scope.map(str::to_owned),
            extra: Map::new(),
        }
    }

    /// The id of the user whom the token is about.
    ///
    /// # Errors
    ///
    /// [`SubjectError`], whose text is what clients are told.
    pub fn user_id(&self) -> Result<Uuid, SubjectError> {
        if self.sub.is_empty() {
            return Err(SubjectError::Missing);
        }
        self.sub.parse().map_err(|_| SubjectError::NotUuid)
    }

    /// The id of the session that the token belongs to, if it belongs to one.
    pub fn session(&self) -> Option<Uuid> {
        self.session_id.parse().ok()
    }
}

/// All that an access token is made from.
#[derive(Debug, Clone)]
pub struct AccessToken<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `sub`.
    pub user_id: Uuid,
    /// `session_id`.
    pub session_id: Uuid,
    /// `aud`, usually `authenticated`.
    pub audience: &'a str,
    /// The database role, usually `authenticated`.
    pub role: &'a str,
    /// Empty when there is none.
    pub email: &'a str,
    /// Empty when there is none.
    pub phone: &'a str,
    /// What the project says about the user.
    pub app_metadata: Map<String, Value>,
    /// What users say about themselves.
    pub user_metadata: Map<String, Value>,
    /// How the user proved to be who they are, in any order. It decides the `aal`.
    pub amr: Vec<AmrEntry>,
    /// Whether the user signed in without saying who they are.
    pub is_anonymous: bool,
    /// Unix time in seconds.
    pub issued_at: i64,
    /// Seconds until it expires.
    pub lifetime_s: i64,
    /// The OAuth client of the session.
    pub client_id: Option<&'a str>,
    /// What that client may do.
    pub scope: Option<&'a str>,
}

/// One proof of identity in a session (RFC 8176, with time and provider).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AnyAmrEntry")]
pub struct AmrEntry {
    /// `password`, `otp`, `totp`, `oauth`, …
    pub method: String,
    /// Unix time in seconds.
    pub timestamp: i64,
    /// The identity provider, with `sso/saml`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// RFC 8176 has plain strings, and so may the tokens that a hook rewrote.
#[derive(Deserialize)]
#[serde(untagged)]
enum AnyAmrEntry {
    Method(String),
    Entry {
        method: String,
        #[serde(default)]
        timestamp: i64,
        #[serde(default)]
        provider: Option<String>,
    },
}

impl From<AnyAmrEntry> for AmrEntry {
    fn from(entry: AnyAmrEntry) -> Self {
        match entry {
            AnyAmrEntry::Method(method) => Self { method, timestamp: 0, provider: None },
            AnyAmrEntry::Entry { method, timestamp, provider } => {
                Self { method, timestamp, provider }
            }
        }
    }
}

/// How sure we are of who a session's user is (`auth.aal_level`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AssuranceLevel {
    /// One kind of proof.
    Aal1,
    /// A second factor was verified in this session.
    Aal2,
}

impl AssuranceLevel {
    /// Methods that are a second factor.
    pub(crate) const SECOND_FACTORS: [&'static str; 3] = ["totp", "mfa/phone", "mfa/webauthn"];

    /// The level that `amr` amounts to.
    pub fn of(amr: &[AmrEntry]) -> Self {
        let second = amr.iter().any(|entry| Self::SECOND_FACTORS.contains(&&*entry.method));
        if second { Self::Aal2 } else { Self::Aal1 }
    }

    /// Its name in claims and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aal1 => "aal1",
            Self::Aal2 => "aal2",
        }
    }
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// `aud` (RFC 7519 §4.1.3).
fn first_of_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        List(Vec<String>),
        None(()),
    }
    Ok(match Audience::deserialize(deserializer)? {
        Audience::One(name) => name,
        Audience::List(names) => names.into_iter().next().unwrap_or_default(),
        Audience::None(()) => String::new(),
    })
}

/// A "NumericDate" (RFC 7519 §2), rounded down to seconds.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    #[expect(clippy::cast_possible_truncation, reason = "saturating is what is wanted")]
    let rounded = number.as_i64().or_else(|| number.as_f64().map(|at| at.floor() as i64));
    Ok(Some(rounded.unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(method: &str, timestamp: i64) -> AmrEntry {
        AmrEntry { method: method.to_owned(), timestamp, provider: None }
    }

    fn token(amr: Vec<AmrEntry>) -> Claims {
        Claims::access_token(AccessToken {
            issuer: "http://localhost:54321/auth/v1",
            user_id: Uuid::from_u128(7),
            session_id: Uuid::from_u128(9),
            audience: "authenticated",
            role: "authenticated",
            email: "ann@example.com",
            phone: "",
            app_metadata: Map::from_iter([("provider".to_owned(), json!("email"))]),
            user_metadata: Map::new(),
            amr,
            is_anonymous: false,
            issued_at: 1_000,
            lifetime_s: 3_600,
            client_id: None,
            scope: None,
        })
    }

    #[test]
    fn an_access_token_has_exactly_the_claims_that_clients_know() {
        let claims = token(vec![entry("password", 1_000)]);
        assert_eq!(
            serde_json::to_value(claims).unwrap(),
            json!({
                "iss": "http://localhost:54321/auth/v1",
                "sub": "00000000-0000-0000-0000-000000000007",
                "aud": "authenticated",
                "exp": 4_600,
                "iat": 1_000,
                "email": "ann@example.com",
                "phone": "",
                "app_metadata": {"provider": "email"},
                "user_metadata": {},
                "role": "authenticated",
                "aal": "aal1",
                "amr": [{"method": "password", "timestamp": 1_000}],
                "session_id": "00000000-0000-0000-0000-000000000009",
                "is_anonymous": false,
            })
        );
    }

    #[test]
    fn a_second_factor_raises_the_level_and_comes_first() {
        let claims = token(vec![entry("password", 1_000), entry("totp", 1_060)]);
        assert_eq!(claims.aal, "aal2");
        assert_eq!(claims.amr, [entry("totp", 1_060), entry("password", 1_000)]);
        assert_eq!(token(vec![entry("otp", 1), entry("magiclink", 2)]).aal, "aal1");
        for second in ["totp", "mfa/phone", "mfa/webauthn"] {
            assert_eq!(token(vec![entry(second, 1)]).aal, "aal2", "{second}");
        }
    }

    #[test]
    fn an_audience_may_be_read_as_a_list_but_is_written_as_a_string() {
        for (given, expected) in [
            (json!("authenticated"), "authenticated"),
            (json!(["authenticated", "other"]), "authenticated"),
            (json!([]), ""),
            (Value::Null, ""),
        ] {
            let claims: Claims = serde_json::from_value(json!({"aud": given})).unwrap();
            assert_eq!(serde_json::to_value(&claims).unwrap()["aud"], expected);
        }
        assert!(serde_json::from_value::<Claims>(json!({"aud": 5})).is_err());
    }

    #[test]
    fn claims_that_a_hook_added_are_kept() {
        let given = json!({"sub": "x", "tenant": {"id": 5}, "nbf": 3, "plan": "pro"});
        let claims: Claims = serde_json::from_value(given).unwrap();
        assert_eq!(claims.extra["tenant"], json!({"id": 5}));
        assert_eq!(claims.nbf, Some(3));
        assert_eq!(serde_json::to_value(&claims).unwrap()["plan"], "pro");
    }

    #[test]
    fn an_api_key_is_a_token_without_a_subject() {
        let key = json!({"iss": "supabase", "role": "anon", "iat": 1, "exp": 2, "ref": "x"});
        let claims: Claims = serde_json::from_value(key).unwrap();
        assert_eq!(claims.user_id(), Err(SubjectError::Missing));
        assert_eq!(claims.session(), None);
        assert_eq!(claims.role, "anon");
    }

    #[test]
    fn a_subject_must_be_an_id() {
        let named = |sub: &str| Claims { sub: sub.to_owned(), ..Claims::default() }.user_id();
        assert_eq!(named("ann"), Err(SubjectError::NotUuid));
        assert_eq!(named("00000000-0000-0000-0000-000000000007"), Ok(Uuid::from_u128(7)));
    }

    #[test]
    fn methods_may_be_plain_strings_and_times_fractions() {
        let given = json!({"amr": ["pwd", {"method": "otp", "timestamp": 5}], "exp": 10.9});
        let claims: Claims = serde_json::from_value(given).unwrap();
        assert_eq!(claims.amr, [entry("pwd", 0), entry("otp", 5)]);
        assert_eq!(claims.exp, Some(10));
        assert!(serde_json::from_value::<Claims>(json!({"exp": "10"})).is_err());
    }

    #[test]
    fn null_is_nothing() {
        let given = json!({"email": null, "user_metadata": null, "amr": null, "exp": null});
        let claims: Claims = serde_json::from_value(given).unwrap();
        assert_eq!(claims, Claims::default());
    }
}
