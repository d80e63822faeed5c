//! From a request's credentials to the caller: database role and claims.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde_json::json;

use super::jwt::{KeySet, MissingRole, Verified, Verifier};
use super::keys::{self, ApiKeys, KeyClass, PresentedKey};
use super::token_cache::{TokenCache, fingerprint};

/// Verified tokens kept per project.
const CACHED_TOKENS: usize = 2048;

/// Bearer tokens with this prefix are opaque keys, not tokens.
const OPAQUE_PREFIX: &str = "sb_";

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Role and claims.
    pub identity: Arc<Verified>,
    /// Whether this is the role of callers who showed no identity: PostgreSQL's 42501 is then a
    /// 401 (log in first) rather than a 403.
    pub anonymous: bool,
    /// What the `Authorization` header became for those behind the gateway, when it was rewritten.
    pub authorization: Option<HeaderValue>,
    /// Whether the key came in the query string and must be taken out of it.
    pub key_in_query: bool,
}

/// Why a request is not let in.
#[derive(Debug)]
pub enum Refusal {
    /// It brought no API key.
    NoKey,
    /// It brought several.
    AmbiguousKey,
    /// It brought one that is not this project's.
    UnknownKey,
    /// Its token is refused, or nobody is let in.
    Token(plinth_rest::Error),
}

/// A key of the project with the token that it stands for.
struct Standing {
    identity: Arc<Verified>,
    authorization: Option<HeaderValue>,
}

/// What verifies tokens, with those that it verified lately. They are exchanged together, so that no token outlives the
/// key that verified it.
struct Judge {
    verifier: Verifier,
    tokens: TokenCache,
}

/// The credentials that one project accepts.
pub struct Access {
    keys: ApiKeys,
    judge: RwLock<Arc<Judge>>,
    anon: Standing,
    service: Standing,
    require_apikey: bool,
    /// Whether there is a gateway at all: without one, `apikey` means nothing.
    reads_apikey: bool,
    /// Whether callers without a token get a role.
    allows_anonymous: bool,
    /// Whether anybody is let in yet.
    open: bool,
}

/// The keys of a project, as its owner knows them.
pub struct ProjectKeys<'a> {
    /// Signs and verifies tokens.
    pub jwt_secret: &'a str,
    /// Legacy key: a token with the role `anon`.
    pub anon: &'a str,
    /// Legacy key: a token with the role `service_role`.
    pub service_role: &'a str,
    /// Opaque key for browsers.
    pub publishable: &'a str,
    /// Opaque key for servers.
    pub secret: &'a str,
}

impl Access {
    /// The access rules of a project behind the gateway.
    pub fn project(keys: &ProjectKeys<'_>, audience: Option<String>, require_apikey: bool) -> Self {
        let secret = KeySet::secret(keys.jwt_secret.as_bytes());
        let verifier = Verifier::new(Some(secret), audience, MissingRole::Refuse);
        Self {
            keys: ApiKeys::new([
                (keys.publishable, KeyClass::Anon),
                (keys.anon, KeyClass::Anon),
                (keys.secret, KeyClass::Service),
                (keys.service_role, KeyClass::Service),
            ]),
            anon: Standing::of(&verifier, keys.anon, "anon"),
            service: Standing::of(&verifier, keys.service_role, "service_role"),
            judge: Judge::new(verifier, CACHED_TOKENS),
            require_apikey,
            reads_apikey: true,
            allows_anonymous: true,
            open: true,
        }
    }

    /// The access rules of the data API alone, without a gateway: a token or nothing. Without an
    /// anonymous role, nothing is refused.
    /// `cached_tokens` verified ones are remembered.
    pub fn alone(verifier: Verifier, anonymous_role: Option<&str>, cached_tokens: usize) -> Self {
        let anon = Standing::bare(anonymous_role.unwrap_or_default());
        Self {
            keys: ApiKeys::new([]),
            service: Standing { identity: anon.identity.clone(), authorization: None },
            anon,
            judge: Judge::new(verifier, cached_tokens),
            require_apikey: false,
            reads_apikey: false,
            allows_anonymous: anonymous_role.is_some(),
            open: true,
        }
    }

    /// Lets nobody in: who may come in is not known before the database has said its part.
    pub fn closed() -> Self {
        let verifier = Verifier::new(None, None, MissingRole::Refuse);
        Self { open: false, ..Self::alone(verifier, None, 0) }
    }

    /// Accepts tokens of these keys from now on and of no others.
    pub fn set_keys(&self, keys: KeySet) {
        let mut judge = self.judge.write().unwrap_or_else(PoisonError::into_inner);
        let verifier = judge.verifier.with_keys(keys);
        *judge = Arc::new(Judge { verifier, tokens: TokenCache::new(CACHED_TOKENS) });
    }

    fn judge(&self) -> Arc<Judge> {
        self.judge.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Finds out who asks, as the gateways that clients know do: the key first, then the token, then
    /// what the key stands for.
    ///
    /// # Errors
    ///
    /// [`Refusal`] says what to answer.
    pub fn caller(&self, headers: &HeaderMap, query: &str) -> Result<Caller, Refusal> {
        if !self.open {
            return Err(Refusal::Token(plinth_rest::Error::no_catalog()));
        }
        let now = unix_now();
        // Whoever else reads the request may take the other one.
        if keys::differs(headers, header::AUTHORIZATION) {
            let error = plinth_rest::Error::jwt_invalid("Several Authorization headers");
            return Err(Refusal::Token(error));
        }
        let bearer = bearer_token(headers);
        let key = if self.reads_apikey {
            PresentedKey::find(headers, query)
        } else {
            PresentedKey::Absent
        };
        let class = self.key_class(&key, bearer, now)?;
        // A token that is no opaque key counts whatever the key is; other schemes mean no token.
        match (headers.get(header::AUTHORIZATION), bearer) {
            (Some(_), Some(token)) if !(self.reads_apikey && token.starts_with(OPAQUE_PREFIX)) => {
                let identity = self.verified(token, now).map_err(Refusal::Token)?;
                Ok(self.caller_of(identity, None, &key))
            }
            (Some(_), None) => self.anonymous(&key),
            _ => match class {
                Some(KeyClass::Service) => Ok(self.standing(&self.service, &key)),
                Some(KeyClass::Anon) => Ok(self.standing(&self.anon, &key)),
                None => self.anonymous(&key),
            },
        }
    }

    /// Checks the API key alone, for a part that verifies tokens by itself, and gives the `Authorization` that this part
    /// is to see instead of the one that came: where none came, or an opaque key, it is the token that the key stands
    /// for. `None` leaves what came.
    ///
    /// # Errors
    ///
    /// [`Refusal`] says what to answer.
    pub fn passage(
        &self,
        headers: &HeaderMap,
        query: &str,
    ) -> Result<Option<HeaderValue>, Refusal> {
        if keys::differs(headers, header::AUTHORIZATION) {
            let error = plinth_rest::Error::jwt_invalid("Several Authorization headers");
            return Err(Refusal::Token(error));
        }
        let bearer = bearer_token(headers);
        let key = PresentedKey::find(headers, query);
        let class = self.key_class(&key, bearer, unix_now())?;
        let opaque = bearer.is_some_and(|token| token.starts_with(OPAQUE_PREFIX));
        if headers.contains_key(header::AUTHORIZATION) && !opaque {
            return Ok(None);
        }
        let standing = match class {
            Some(KeyClass::Service) => &self.service,
            Some(KeyClass::Anon) => &self.anon,
            None => return Ok(None),
        };
        Ok(standing.authorization.clone())
    }

    /// Whether the bearer token, or the API key where there is none, is one of the project's for servers, or a token with
    /// their role.
    pub fn is_service(&self, headers: &HeaderMap) -> bool {
        if keys::differs(headers, header::AUTHORIZATION) {
            return false;
        }
        let key = match (bearer_token(headers), PresentedKey::find(headers, "")) {
            (Some(token), _) => token.to_owned(),
            (None, PresentedKey::Header(key)) => key.expose().to_owned(),
            _ => return false,
        };
        match self.keys.class(&fingerprint(&key)) {
            Some(class) => class == KeyClass::Service,
            None => self
                .verified(&key, unix_now())
                .is_ok_and(|found| found.role == self.service.identity.role),
        }
    }

    /// Look-ups of verified tokens, those that were remembered, and those that were forgotten.
    pub fn token_counts(&self) -> (u64, u64, u64) {
        self.judge().tokens.counts()
    }

    fn key_class(
        &self,
        key: &PresentedKey,
        bearer: Option<&str>,
        now: i64,
    ) -> Result<Option<KeyClass>, Refusal> {
        let text = match key {
            PresentedKey::Ambiguous => return Err(Refusal::AmbiguousKey),
            PresentedKey::Absent if self.require_apikey => return Err(Refusal::NoKey),
            // Without the need for a key, an opaque one may also come as a bearer token.
            PresentedKey::Absent => match bearer {
                Some(token) if self.reads_apikey && token.starts_with(OPAQUE_PREFIX) => token,
                _ => return Ok(None),
            },
            PresentedKey::Header(text) | PresentedKey::Query(text) => text.expose(),
        };
        if let Some(class) = self.keys.class(&fingerprint(text)) {
            return Ok(Some(class));
        }
        // A token that was signed with this project's secret for one of the two key roles is as
        // good as the registered one: people sign their own with another expiry.
        match self.verified(text, now).as_ref().map(|token| &*token.role) {
            Ok("anon") => Ok(Some(KeyClass::Anon)),
            Ok("service_role") => Ok(Some(KeyClass::Service)),
            _ => Err(Refusal::UnknownKey),
        }
    }

    fn verified(&self, token: &str, now: i64) -> Result<Arc<Verified>, plinth_rest::Error> {
        let (judge, key) = (self.judge(), fingerprint(token));
        if let Some(known) = judge.tokens.get(&key, now) {
            return Ok(known);
        }
        let verified = Arc::new(judge.verifier.verify(token, now)?);
        judge.tokens.put(key, verified.clone());
        Ok(verified)
    }

    fn anonymous(&self, key: &PresentedKey) -> Result<Caller, Refusal> {
        if !self.allows_anonymous {
            return Err(Refusal::Token(plinth_rest::Error::anonymous_disabled()));
        }
        Ok(self.caller_of(self.anon.identity.clone(), None, key))
    }

    fn standing(&self, standing: &Standing, key: &PresentedKey) -> Caller {
        self.caller_of(standing.identity.clone(), standing.authorization.clone(), key)
    }

    fn caller_of(
        &self,
        identity: Arc<Verified>,
        authorization: Option<HeaderValue>,
        key: &PresentedKey,
    ) -> Caller {
        let anonymous = self.allows_anonymous && identity.role == self.anon.identity.role;
        Caller {
            identity,
            anonymous,
            authorization,
            key_in_query: matches!(key, PresentedKey::Query(_)),
        }
    }
}

impl Judge {
    fn new(verifier: Verifier, cached_tokens: usize) -> RwLock<Arc<Self>> {
        RwLock::new(Arc::new(Self { verifier, tokens: TokenCache::new(cached_tokens) }))
    }
}

impl Standing {
    /// What the legacy key `token` says; the bare role when it is no token of this project.
    fn of(verifier: &Verifier, token: &str, role: &str) -> Self {
        let verified = verifier.verify(token, unix_now()).ok().filter(|found| &*found.role == role);
        let Some(identity) = verified else { return Self::bare(role) };
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).ok();
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        Self { identity: Arc::new(identity), authorization }
    }

    fn bare(role: &str) -> Self {
        let claims = Bytes::from(json!({ "role": role }).to_string());
        let identity = Verified { role: Arc::from(role), claims, valid_until: i64::MAX };
        Self { identity: Arc::new(identity), authorization: None }
    }
}

/// The token of an `Authorization: Bearer …` header; `None` for other schemes (RFC 6750 §2.1).
pub(super) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Unix time in seconds.
pub fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::jwt::sign;
    use super::*;
    use http::HeaderName;
    use serde_json::Value;

    const SECRET: &str = "a-secret-that-is-at-least-32-bytes-long";

    fn token(claims: Value) -> String {
        sign(&claims, SECRET.as_bytes()).unwrap()
    }

    struct Keys {
        anon: String,
        service: String,
    }

    fn keys() -> Keys {
        let key =
            |role: &str| token(json!({"role": role, "iss": "supabase", "exp": 4_000_000_000_i64}));
        Keys { anon: key("anon"), service: key("service_role") }
    }

    fn access(require_apikey: bool) -> Access {
        let keys = keys();
        let keys = ProjectKeys {
            jwt_secret: SECRET,
            anon: &keys.anon,
            service_role: &keys.service,
            publishable: "sb_publishable_p",
            secret: "sb_secret_s",
        };
        Access::project(&keys, None, require_apikey)
    }

    /// The role that a request with these headers gets, or the name of the refusal.
    fn who(access: &Access, headers: &[(&str, &str)]) -> String {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (name.parse::<http::HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect();
        match access.caller(&headers, "") {
            Ok(caller) => caller.identity.role.to_string(),
            Err(Refusal::Token(error)) => error.code.clone(),
            Err(refusal) => format!("{refusal:?}"),
        }
    }

    #[test]
    fn a_key_alone_stands_for_its_role() {
        let keys = keys();
        for (key, role) in [
            ("sb_publishable_p", "anon"),
            ("sb_secret_s", "service_role"),
            (keys.anon.as_str(), "anon"),
            (keys.service.as_str(), "service_role"),
        ] {
            assert_eq!(who(&access(true), &[("apikey", key)]), role, "{key}");
        }
    }

    #[test]
    fn missing_and_foreign_keys_are_refused() {
        let user = token(json!({"role": "authenticated"}));
        let foreign =
            sign(&json!({"role": "anon"}), b"of another project, also 32 bytes long").unwrap();
        let access = access(true);
        assert_eq!(who(&access, &[]), "NoKey");
        assert_eq!(who(&access, &[("authorization", &format!("Bearer {user}"))]), "NoKey");
        for key in ["sb_publishable_", "sb_secret_x", "x", foreign.as_str(), user.as_str()] {
            assert_eq!(who(&access, &[("apikey", key)]), "UnknownKey", "{key}");
        }
        assert_eq!(who(&access, &[("apikey", "a"), ("apikey", "b")]), "AmbiguousKey");
    }

    #[test]
    fn a_token_wins_over_the_key_unless_it_is_an_opaque_key_itself() {
        let user = token(json!({"role": "authenticated"}));
        let access = access(true);
        let both = |key: &str, bearer: &str| {
            who(&access, &[("apikey", key), ("authorization", &format!("Bearer {bearer}"))])
        };
        assert_eq!(both("sb_publishable_p", &user), "authenticated");
        assert_eq!(both("sb_secret_s", &user), "authenticated");
        assert_eq!(both("sb_publishable_p", "sb_publishable_p"), "anon");
        assert_eq!(both("sb_secret_s", "sb_publishable_p"), "service_role");
        assert_eq!(both("sb_publishable_p", "sb_secret_s"), "anon", "the key decides");
        assert_eq!(both("sb_secret_s", "not-a-token"), "PGRST301");
        assert_eq!(both("sb_secret_s", ""), "PGRST301");
        let expired = token(json!({"role": "authenticated", "exp": 1}));
        assert_eq!(
            both("sb_secret_s", &expired),
            "PGRST303",
            "the key does not help an expired token"
        );
    }

    #[test]
    fn two_different_tokens_are_refused() {
        let [one, other] =
            ["a", "b"].map(|role| format!("Bearer {}", token(json!({"role": role}))));
        let headers = |second: &str| {
            let pairs =
                [("apikey", "sb_secret_s"), ("authorization", &one), ("authorization", second)];
            who(&access(true), &pairs)
        };
        assert_eq!(headers(&other), "PGRST301");
        assert_eq!(headers("Basic dTpw"), "PGRST301");
        assert_eq!(headers(&one), "a");
    }

    #[test]
    fn other_schemes_are_no_token() {
        let headers = [("apikey", "sb_secret_s"), ("authorization", "Basic dTpw")];
        assert_eq!(who(&access(true), &headers), "anon");
    }

    #[test]
    fn where_tokens_are_not_verified_only_the_key_counts_and_stands_in_for_a_token() {
        let keys = keys();
        let passage = |require_apikey: bool, pairs: &[(&'static str, &str)]| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
                .collect();
            match access(require_apikey).passage(&headers, "") {
                Ok(Some(value)) => value.to_str().unwrap().to_owned(),
                Ok(None) => "as it came".to_owned(),
                Err(refusal) => format!("{refusal:?}"),
            }
        };
        let (anon, service) = (format!("Bearer {}", keys.anon), format!("Bearer {}", keys.service));
        assert_eq!(passage(true, &[("apikey", "sb_publishable_p")]), anon);
        assert_eq!(passage(true, &[("apikey", "sb_secret_s")]), service);
        assert_eq!(passage(true, &[("apikey", keys.anon.as_str())]), anon);
        let both =
            |bearer| passage(true, &[("apikey", "sb_publishable_p"), ("authorization", bearer)]);
        assert_eq!(both("Bearer sb_publishable_p"), anon);
        assert_eq!(both("bearer sb_secret_s"), anon, "the key decides");
        for bearer in ["Bearer not-a-token", "Bearer", "Basic dTpw", anon.as_str()] {
            assert_eq!(both(bearer), "as it came", "{bearer}");
        }
        assert_eq!(passage(true, &[]), "NoKey");
        assert_eq!(passage(true, &[("authorization", &anon)]), "NoKey");
        assert_eq!(passage(true, &[("apikey", "x"), ("authorization", &anon)]), "UnknownKey");
        assert_eq!(passage(false, &[]), "as it came");
        assert_eq!(passage(false, &[("authorization", "Bearer sb_secret_s")]), service);
        assert_eq!(passage(false, &[("authorization", "Bearer sb_secret_x")]), "UnknownKey");
    }

    #[test]
    fn without_the_need_for_a_key_nobody_is_anon_and_wrong_keys_are_still_refused() {
        let open = access(false);
        assert_eq!(who(&open, &[]), "anon");
        assert_eq!(who(&open, &[("apikey", "wrong")]), "UnknownKey");
        assert_eq!(who(&open, &[("authorization", "Bearer sb_secret_s")]), "service_role");
        assert_eq!(who(&open, &[("authorization", "Bearer sb_secret_wrong")]), "UnknownKey");
        let user = token(json!({"role": "authenticated"}));
        assert_eq!(who(&open, &[("authorization", &format!("bearer {user}"))]), "authenticated");
    }

    #[test]
    fn an_opaque_key_becomes_the_legacy_token_for_those_behind_the_gateway() {
        let mut headers = HeaderMap::new();
        headers.insert("apikey", HeaderValue::from_static("sb_publishable_p"));
        let caller = access(true).caller(&headers, "").unwrap();
        let authorization = caller.authorization.unwrap();
        assert_eq!(authorization.to_str().unwrap(), format!("Bearer {}", keys().anon));
        assert!(caller.anonymous);
        let claims: Value = serde_json::from_slice(&caller.identity.claims).unwrap();
        assert_eq!(claims["iss"], "supabase");
    }

    #[test]
    fn alone_there_are_tokens_and_an_optional_anonymous_role() {
        let verifier = || {
            let keys = KeySet::secret(SECRET.as_bytes());
            Verifier::new(Some(keys), None, MissingRole::Assume(Some(Arc::from("web_anon"))))
        };
        let open = Access::alone(verifier(), Some("web_anon"), 10);
        assert_eq!(who(&open, &[("apikey", "anything")]), "web_anon");
        let user = token(json!({"role": "author"}));
        assert_eq!(who(&open, &[("authorization", &format!("Bearer {user}"))]), "author");
        assert_eq!(who(&open, &[("authorization", "Bearer sb_secret_x")]), "PGRST301");
        let closed = Access::alone(verifier(), None, 10);
        assert_eq!(who(&closed, &[]), "PGRST302");
    }
}
