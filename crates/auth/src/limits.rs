//! How often a caller may ask: checked before anything costly is done.
//!
//! Each kind of request has an allowance per network address and, where an account could be attacked,
//! one per identity. The whole instance has one for e-mails and one for text messages. Time is
//! passed in, nothing here sleeps or looks at a clock.

mod bucket;
mod code;
mod settings;
mod table;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use bucket::Rate;
use bucket::{Bucket, nanoseconds};
pub use code::{CodeDecision, CodeGuard};
pub use settings::LimitSettings;
use table::{Entry, Table};

/// What is asked for. Each kind is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Refreshing a session, exchanging a code or an ID token.
    Token,
    /// Signing in with a password. Identity: the address or phone number.
    Password,
    /// Signing up.
    SignUp,
    /// Asking for a one-time password. Identity: the address or phone number.
    Otp,
    /// Asking for a magic link. Identity: the address.
    MagicLink,
    /// Asking for a recovery. Identity: the address.
    Recover,
    /// Asking for a message again. Identity: the address or phone number.
    Resend,
    /// Changing oneself, and asking to reauthenticate. Identity: the user's id.
    UserUpdate,
    /// Verifying a code or link. Identity: the address or phone number.
    Verify,
    /// Signing in anonymously.
    Anonymous,
    /// Challenging a factor. Identity: the factor's id.
    FactorChallenge,
    /// Verifying a factor. Identity: the factor's id.
    FactorVerify,
    /// Single sign-on.
    Sso,
    /// Signing in with a wallet.
    Web3,
    /// A passkey ceremony.
    Passkey,
    /// Registering an OAuth client.
    OAuthRegistration,
}

/// By what callers are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The network address: an IPv4 address, or the /64 network of an IPv6 one.
    Address,
    /// The account that is meant.
    Identity,
}

/// Who asks, as far as it is known. What is not known is not limited.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caller<'a> {
    /// Where the request came from.
    pub ip: Option<IpAddr>,
    /// Whom the request is about, normalised: see the kinds.
    pub identity: Option<&'a str>,
}

/// Whether a request may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may, and was counted.
    Allowed,
    /// It may not; this cost the caller nothing.
    Refused {
        /// Seconds to wait, at least 1.
        retry_after: u64,
    },
}

impl Decision {
    /// Whether the request may go on.
    pub fn is_allowed(self) -> bool {
        self == Self::Allowed
    }
}

/// The allowances of one project.
#[derive(Debug)]
pub struct Limits {
    settings: LimitSettings,
    callers: Table<Spent>,
    emails: Mutex<Bucket>,
    messages: Mutex<Bucket>,
    start: Instant,
}

/// What a caller has used of one kind.
#[derive(Debug, Default)]
struct Spent(Bucket);

impl Entry for Spent {
    fn weight(&self, now: u64) -> u32 {
        self.0.used(now)
    }
}

impl Limits {
    /// Everybody's allowance unused, at `start`.
    pub fn new(settings: LimitSettings, start: Instant) -> Self {
        Self {
            callers: Table::new(settings.capacity),
            settings,
            emails: Mutex::default(),
            messages: Mutex::default(),
            start,
        }
    }

    /// Counts a request of `kind` and says whether it may go on.
    ///
    /// The address comes first: who is refused by address cannot use up an identity's allowance, nor
    /// fill the table with made-up identities.
    pub fn check(&self, kind: Kind, caller: Caller<'_>, now: Instant) -> Decision {
        let now = self.since_start(now);
        let address = caller
            .ip
            .map_or(Decision::Allowed, |ip| self.spend(kind, Scope::Address, network(ip), now));
        match (address, caller.identity) {
            (Decision::Allowed, Some(identity)) => self.spend(kind, Scope::Identity, identity, now),
            (decision, _) => decision,
        }
    }

    /// Counts one e-mail of the instance and says whether it may be sent.
    pub fn check_email(&self, now: Instant) -> Decision {
        self.send(&self.emails, self.settings.emails(), now)
    }

    /// Counts one text message of the instance and says whether it may be sent.
    pub fn check_sms(&self, now: Instant) -> Decision {
        self.send(&self.messages, self.settings.messages(), now)
    }

    fn spend(&self, kind: Kind, scope: Scope, name: impl std::hash::Hash, now: u64) -> Decision {
        let Some(rate) = self.settings.rate(kind, scope) else { return Decision::Allowed };
        let key = self.callers.key((kind, scope, name));
        self.callers.update(key, now, |spent| decide(&mut spent.0, &rate, now))
    }

    /// Counts a request that sends something to `identity`, which may come once in each `pause`. Those of
    /// unknown identities count too, so that a refusal does not tell who is known.
    pub fn check_frequency(
        &self,
        kind: Kind,
        identity: &str,
        pause: Duration,
        now: Instant,
    ) -> Decision {
        if pause.is_zero() {
            return Decision::Allowed;
        }
        let now = self.since_start(now);
        let rate = Rate::new(1, pause, 1);
        let key = self.callers.key((kind, "pause", identity));
        self.callers.update(key, now, |spent| decide(&mut spent.0, &rate, now))
    }

    fn send(&self, sent: &Mutex<Bucket>, rate: Option<Rate>, now: Instant) -> Decision {
        let Some(rate) = rate else { return Decision::Allowed };
        let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
        decide(&mut sent, &rate, self.since_start(now))
    }

    fn since_start(&self, now: Instant) -> u64 {
        nanoseconds(now.saturating_duration_since(self.start))
    }
}

fn decide(bucket: &mut Bucket, rate: &Rate, now: u64) -> Decision {
    match bucket.take(rate, now) {
        Ok(()) => Decision::Allowed,
        Err(wait) => Decision::Refused { retry_after: seconds(wait) },
    }
}

/// Whole seconds, rounded up: who waits so long is not too early.
fn seconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(1_000_000_000).max(1)
}

/// What one caller can be expected to own. A subscriber is given a /64 network at least (RFC 6177),
/// so that a limit per IPv6 address would be none.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests;
