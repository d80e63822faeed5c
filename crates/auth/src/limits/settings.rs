//! How often what may happen.

use std::time::Duration;

use super::{Kind, Rate, Scope};

const MINUTE: Duration = Duration::from_secs(60);
const FIVE_MINUTES: Duration = Duration::from_secs(300);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The numbers behind [`Limits`](super::Limits). Zero anywhere lets nothing pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitSettings {
    /// Calls of the token endpoint (refresh, code exchange, password) per address in five minutes.
    /// 150.
    pub token_refresh: u32,
    /// Sign-ups, one-time passwords, magic links, recoveries, resends and user updates per address
    /// in five minutes, counted apart. 30.
    pub sign_in_sign_ups: u32,
    /// Verifications per address in five minutes. 30.
    pub token_verifications: u32,
    /// Anonymous sign-ins per address and hour. 30.
    pub anonymous_users: u32,
    /// Factor challenges, and verifications, per address and minute; also per factor. 15.
    pub factor_challenge_and_verify: u32,
    /// Single sign-on requests per address in five minutes. 30.
    pub sso: u32,
    /// Wallet sign-ins per address in five minutes. 30.
    pub web3: u32,
    /// Passkey ceremonies per address in five minutes. 30.
    pub passkey: u32,
    /// Registrations of OAuth clients per address in five minutes. 10.
    pub oauth_registration: u32,
    /// Password attempts on one account in five minutes, from all addresses together. 30.
    pub password_per_identity: u32,
    /// Messages asked for, and verifications, on one account in five minutes, counted apart. 30.
    pub otp_per_identity: u32,
    /// Events of one kind that may come at once. 30.
    pub burst: u32,
    /// E-mails of the whole instance in an hour. 30; `None` for no limit.
    pub email_sent: Option<u32>,
    /// Text messages of the whole instance in an hour. 30; `None` for no limit.
    pub sms_sent: Option<u32>,
    /// Wrong entries after which a typed code is dead. 10.
    pub code_attempts: u32,
    /// Wrong codes of one account in a day, whatever codes were sent meanwhile. 100.
    pub wrong_codes_per_day: u32,
    /// Callers that are remembered, addresses and identities together; as many again for codes. Each
    /// costs up to 128 bytes. 65,536.
    pub capacity: usize,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            token_refresh: 150,
            sign_in_sign_ups: 30,
            token_verifications: 30,
            anonymous_users: 30,
            factor_challenge_and_verify: 15,
            sso: 30,
            web3: 30,
            passkey: 30,
            oauth_registration: 10,
            password_per_identity: 30,
            otp_per_identity: 30,
            burst: 30,
            email_sent: Some(30),
            sms_sent: Some(30),
            code_attempts: 10,
            wrong_codes_per_day: 100,
            capacity: 65_536,
        }
    }
}

impl LimitSettings {
    /// The rate of `kind` per address or per identity; `None` where there is no limit.
    pub fn rate(&self, kind: Kind, scope: Scope) -> Option<Rate> {
        match scope {
            Scope::Address => Some(self.per_address(kind)),
            Scope::Identity => self.per_identity(kind),
        }
    }

    fn per_address(&self, kind: Kind) -> Rate {
        let five_minutes = |count| Rate::new(count, FIVE_MINUTES, self.burst);
        match kind {
            Kind::Token | Kind::Password => five_minutes(self.token_refresh),
            Kind::SignUp | Kind::Otp | Kind::MagicLink | Kind::Recover | Kind::Resend => {
                five_minutes(self.sign_in_sign_ups)
            }
            Kind::UserUpdate => five_minutes(self.sign_in_sign_ups),
            Kind::Verify => five_minutes(self.token_verifications),
            Kind::Anonymous => hourly(self.anonymous_users),
            Kind::FactorChallenge | Kind::FactorVerify => {
                Rate::new(self.factor_challenge_and_verify, MINUTE, self.burst)
            }
            Kind::Sso => five_minutes(self.sso),
            Kind::Web3 => five_minutes(self.web3),
            Kind::Passkey => five_minutes(self.passkey),
            Kind::OAuthRegistration => five_minutes(self.oauth_registration),
        }
    }

    fn per_identity(&self, kind: Kind) -> Option<Rate> {
        let five_minutes = |count| Some(Rate::new(count, FIVE_MINUTES, self.burst));
        match kind {
            Kind::Password => five_minutes(self.password_per_identity),
            Kind::Otp
            | Kind::MagicLink
            | Kind::Recover
            | Kind::Resend
            | Kind::UserUpdate
            | Kind::Verify => five_minutes(self.otp_per_identity),
            Kind::FactorChallenge | Kind::FactorVerify => Some(Rate::new(
                self.factor_challenge_and_verify,
                MINUTE,
                self.factor_challenge_and_verify,
            )),
            Kind::Token
            | Kind::SignUp
            | Kind::Anonymous
            | Kind::Sso
            | Kind::Web3
            | Kind::Passkey
            | Kind::OAuthRegistration => None,
        }
    }

    pub(super) fn emails(&self) -> Option<Rate> {
        self.email_sent.map(hourly)
    }

    pub(super) fn messages(&self) -> Option<Rate> {
        self.sms_sent.map(hourly)
    }

    pub(super) fn wrong_codes(&self) -> Rate {
        Rate::new(self.wrong_codes_per_day, DAY, self.wrong_codes_per_day)
    }
}

/// An hourly count may be used up at once, as GoTrue's are.
fn hourly(count: u32) -> Rate {
    Rate::new(count, HOUR, count)
}
