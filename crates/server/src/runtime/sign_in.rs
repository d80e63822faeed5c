//! What sign-in needs of a project while it is served: connections of its own login, and the address that links in mails
//! lead to.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::HeaderName;
use plinth_auth::Auth;
use plinth_auth::config::AuthConfig;
use plinth_postgres::{Secret, SigningKey};
use plinth_wire::{Budget, ConnectConfig, Pool, PoolOptions};

use super::desk::{Applicant, Desk, DeskError};

/// Most connections of one project's sign-in. It is half of the cluster's budget at most, so that a flood of sign-ins
/// leaves connections for requests.
pub(super) const MAX_CONNECTIONS: usize = 16;

/// How a project's sign-in is served.
pub struct SignInParts {
    /// The project's name.
    pub name: Arc<str>,
    /// Its settings.
    pub config: Arc<AuthConfig>,
    /// What all projects share.
    pub desk: Arc<Desk>,
    /// As whom it connects.
    pub connect: ConnectConfig,
    /// Bounds of its connections.
    pub pool: PoolOptions,
    /// Where clients reach it, without a slash at the end: `https://example.org/p/shop/auth/v1`. It comes from the
    /// configuration and never from a request, for whoever sends a request chooses its `Host`.
    pub external_url: String,
    /// Signs tokens where no key pair does, and verifies them.
    pub jwt_secret: Secret,
}

/// The sign-in of a project that is registered, whether or not anybody uses it.
pub(super) struct SignIn {
    parts: SignInParts,
    budget: Arc<Budget>,
    pool: RwLock<State>,
    /// Key pairs of the settings.
    configured: Vec<plinth_auth::token::SigningKey>,
    signing_keys: RwLock<Arc<[SigningKey]>>,
    /// What answers, and the keys that it was made with.
    auth: Mutex<Option<Made>>,
}

/// What answers, and the keys that it was made with.
type Made = (Arc<[SigningKey]>, Arc<Auth>);

enum State {
    Unused,
    Used(Pool),
    Closed,
}

impl SignIn {
    pub(super) fn new(parts: SignInParts, budget: Arc<Budget>) -> Self {
        // Whatever is wrong with them was said when the settings were read.
        let configured = parts.config.token.signing_keys.as_ref();
        let configured = configured
            .and_then(|keys| plinth_auth::token::SigningKey::configured(keys.expose()).ok());
        Self {
            configured: configured.unwrap_or_default(),
            parts,
            budget,
            pool: RwLock::new(State::Unused),
            signing_keys: RwLock::default(),
            auth: Mutex::default(),
        }
    }

    pub(super) fn external_url(&self) -> &str {
        &self.parts.external_url
    }

    pub(super) fn client_header(&self) -> Option<&HeaderName> {
        self.parts.config.rate_limit.header.as_ref()
    }

    pub(super) fn jwt_secret(&self) -> &Secret {
        &self.parts.jwt_secret
    }

    /// The key pairs of the settings.
    pub(super) fn configured(&self) -> &[plinth_auth::token::SigningKey] {
        &self.configured
    }

    pub(super) fn signing_keys(&self) -> Arc<[SigningKey]> {
        self.signing_keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_signing_keys(&self, keys: &[SigningKey]) {
        *self.signing_keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::from(keys);
    }

    /// What answers, made when somebody asks for the first time. When the signing keys change, what comes after goes on
    /// counting where what was before stopped: a rotation of keys lets nobody guess more codes.
    pub(super) fn auth(&self) -> Result<Arc<Auth>, DeskError> {
        let keys = self.signing_keys();
        let mut made = self.auth.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, auth)) = made.as_ref()
            && Arc::ptr_eq(known, &keys)
        {
            return Ok(auth.clone());
        }
        let parts = &self.parts;
        let applicant = Applicant {
            name: &parts.name,
            config: &parts.config,
            pool: self.pool().ok_or(DeskError::Absent)?,
            secret: &parts.jwt_secret,
            configured: &self.configured,
            keys: &keys,
            external_url: &parts.external_url,
        };
        let auth = match made.as_ref() {
            Some((_, before)) => parts.desk.renew(before, applicant)?,
            None => parts.desk.open(applicant)?,
        };
        *made = Some((keys, auth.clone()));
        Ok(auth)
    }

    /// The pool, which opens its first connection when it is asked something; `None` when the project was dropped.
    pub(super) fn pool(&self) -> Option<Pool> {
        match &*self.pool.read().unwrap_or_else(PoisonError::into_inner) {
            State::Used(pool) => return Some(pool.clone()),
            State::Closed => return None,
            State::Unused => {}
        }
        let mut state = self.pool.write().unwrap_or_else(PoisonError::into_inner);
        if let State::Unused = *state {
            let (connect, options) = (self.parts.connect.clone(), self.parts.pool.clone());
            *state = State::Used(Pool::new(connect, self.budget.clone(), options));
        }
        match &*state {
            State::Used(pool) => Some(pool.clone()),
            State::Unused | State::Closed => None,
        }
    }

    /// Closes connections that nobody has used for `idle_for`.
    pub(super) fn close_idle(&self, idle_for: Duration) {
        if let State::Used(pool) = &*self.pool.read().unwrap_or_else(PoisonError::into_inner) {
            pool.close_idle(idle_for);
        }
    }

    /// Closes the connections for good: those under way after their answer.
    pub(super) fn close(&self) {
        let mut state = self.pool.write().unwrap_or_else(PoisonError::into_inner);
        if let State::Used(pool) = std::mem::replace(&mut *state, State::Closed) {
            pool.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use plinth_auth::Request;
    use plinth_auth::seal::Sealer;
    use plinth_wire::{Host, Tls};

    use super::*;

    /// A sign-in whose database nobody will ask.
    fn sign_in() -> SignIn {
        let sealer = Sealer::parse(&Secret::new("5c".repeat(32))).unwrap();
        let connect = ConnectConfig {
            host: Host::Tcp("192.0.2.254".to_owned()),
            port: 1,
            tls: Tls::default(),
            user: String::new(),
            password: None,
            database: String::new(),
            application_name: String::new(),
            settings: Vec::new(),
        };
        let parts = SignInParts {
            name: "shop".into(),
            config: Arc::default(),
            desk: Desk::new(Arc::new(sealer), None),
            connect,
            pool: PoolOptions::default(),
            external_url: "http://localhost/auth/v1".to_owned(),
            jwt_secret: Secret::new("a secret of at least 32 characters"),
        };
        SignIn::new(parts, Budget::new(1))
    }

    /// A sign-up that is counted, and then refused for want of a password.
    async fn ask(auth: &Auth) -> u16 {
        let headers = http::HeaderMap::new();
        let request = Request {
            method: &http::Method::POST,
            path: "/signup",
            query: "",
            headers: &headers,
            body: r#"{"email": "ada@example.com"}"#.into(),
            bearer: None,
            client_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        };
        auth.answer(request).await.status.as_u16()
    }

    #[tokio::test]
    async fn other_keys_let_nobody_ask_more_often() {
        let sign_in = sign_in();
        let before = sign_in.auth().unwrap();
        while ask(&before).await == 400 {}
        assert_eq!(ask(&before).await, 429);
        assert!(Arc::ptr_eq(&before, &sign_in.auth().unwrap()));
        sign_in.set_signing_keys(&[]);
        let after = sign_in.auth().unwrap();
        assert!(!Arc::ptr_eq(&before, &after));
        assert_eq!(ask(&after).await, 429);
    }
}
