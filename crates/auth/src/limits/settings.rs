//! How often what may happen.

use std::time::Duration;

use super::{Kind, Rate, Scope};
use crate::config::{Rate as Share, RateLimitConfig};

const MINUTE: Duration = Duration::from_secs(60);
const FIVE_MINUTES: Duration = Duration::from_secs(300);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The numbers behind [`Limits`](super::Limits). Zero anywhere lets nothing pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitSettings {
    /// Calls of the token endpoint (refresh, code exchange, password) per address. 150 in five
    /// minutes.
    pub token_refresh: Share,
    /// Sign-ups, one-time passwords, magic links, recoveries, resends and user updates per address,
    /// counted apart. 30 in five minutes.
    pub sign_in_sign_ups: Share,
    /// Verifications per address. 30 in five minutes.
    pub token_verifications: Share,
    /// Anonymous sign-ins per address. 30 in an hour.
    pub anonymous_users: Share,
    /// Factor challenges, and verifications, per address; also per factor. 15 in a minute.
    pub factor_challenge_and_verify: Share,
    /// Single sign-on requests per address. 30 in five minutes.
    pub sso: Share,
    /// Wallet sign-ins per address. 30 in five minutes.
    pub web3: Share,
    /// Passkey ceremonies per address. 30 in five minutes.
    pub passkey: Share,
    /// Registrations of OAuth clients per address. 10 in five minutes.
    pub oauth_registration: Share,
    /// Password attempts on one account in five minutes, from all addresses together. 30.
    pub password_per_identity: u32,
    /// Messages asked for, and verifications, on one account in five minutes, counted apart. 30.
    pub otp_per_identity: u32,
    /// Events of one kind that may come at once. 30.
    pub burst: u32,
    /// E-mails of the whole project. 30 in an hour; `None` for no limit.
    pub email_sent: Option<Share>,
    /// Text messages of the whole project. 30 in an hour; `None` for no limit.
    pub sms_sent: Option<Share>,
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
            token_refresh: Share { count: 150, per: FIVE_MINUTES },
            sign_in_sign_ups: Share { count: 30, per: FIVE_MINUTES },
            token_verifications: Share { count: 30, per: FIVE_MINUTES },
            anonymous_users: Share { count: 30, per: HOUR },
            factor_challenge_and_verify: Share { count: 15, per: MINUTE },
            sso: Share { count: 30, per: FIVE_MINUTES },
            web3: Share { count: 30, per: FIVE_MINUTES },
            passkey: Share { count: 30, per: FIVE_MINUTES },
            oauth_registration: Share { count: 10, per: FIVE_MINUTES },
            password_per_identity: 30,
            otp_per_identity: 30,
            burst: 30,
            email_sent: Some(Share { count: 30, per: HOUR }),
            sms_sent: Some(Share { count: 30, per: HOUR }),
            code_attempts: 10,
            wrong_codes_per_day: 100,
            capacity: 65_536,
        }
    }
}

impl LimitSettings {
    /// Those of a project's settings, with the default bounds where it has no say.
    pub fn from_config(config: &RateLimitConfig) -> Self {
        Self {
            token_refresh: config.token_refresh,
            sign_in_sign_ups: config.sign_in_sign_ups,
            token_verifications: config.token_verifications,
            anonymous_users: config.anonymous_users,
            factor_challenge_and_verify: config.mfa_verifications,
            sso: config.sso,
            web3: config.web3,
            passkey: config.passkey,
            oauth_registration: config.oauth_client_registrations,
            email_sent: Some(config.email_sent),
            sms_sent: Some(config.sms_sent),
            ..Self::default()
        }
    }

    /// The rate of `kind` per address or per identity; `None` where there is no limit.
    pub fn rate(&self, kind: Kind, scope: Scope) -> Option<Rate> {
        match scope {
            Scope::Address => Some(self.per_address(kind)),
            Scope::Identity => self.per_identity(kind),
        }
    }

    fn per_address(&self, kind: Kind) -> Rate {
        let share = match kind {
            Kind::Token | Kind::Password => self.token_refresh,
            Kind::SignUp | Kind::Otp | Kind::MagicLink | Kind::Recover | Kind::Resend => {
                self.sign_in_sign_ups
            }
            Kind::UserUpdate => self.sign_in_sign_ups,
            Kind::Verify => self.token_verifications,
            Kind::Anonymous => return at_once(self.anonymous_users),
            Kind::FactorChallenge | Kind::FactorVerify => self.factor_challenge_and_verify,
            Kind::Sso => self.sso,
            Kind::Web3 => self.web3,
            Kind::Passkey => self.passkey,
            Kind::OAuthRegistration => self.oauth_registration,
        };
        Rate::new(share.count, share.per, self.burst)
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
            Kind::FactorChallenge | Kind::FactorVerify => {
                Some(at_once(self.factor_challenge_and_verify))
            }
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
        self.email_sent.map(at_once)
    }

    pub(super) fn messages(&self) -> Option<Rate> {
        self.sms_sent.map(at_once)
    }

    pub(super) fn wrong_codes(&self) -> Rate {
        Rate::new(self.wrong_codes_per_day, DAY, self.wrong_codes_per_day)
    }
}

/// What may be used up at once, as GoTrue's hourly counts may.
fn at_once(share: Share) -> Rate {
    Rate::new(share.count, share.per, share.count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AuthConfig;

    #[test]
    fn a_project_that_says_nothing_has_the_defaults() {
        let config = AuthConfig::default().rate_limit;
        assert_eq!(LimitSettings::from_config(&config), LimitSettings::default());
    }

    #[test]
    fn a_rate_keeps_its_time() {
        let mut config = AuthConfig::default().rate_limit;
        config.email_sent = Share { count: 2, per: DAY };
        config.sign_in_sign_ups = Share { count: 7, per: MINUTE };
        let settings = LimitSettings::from_config(&config);
        assert_eq!(settings.emails(), Some(Rate::new(2, DAY, 2)));
        assert_eq!(settings.rate(Kind::Otp, Scope::Address), Some(Rate::new(7, MINUTE, 30)));
    }
}
