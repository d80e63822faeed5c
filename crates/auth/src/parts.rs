//! What a sign-in works with, made from a project's settings.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plinth_wire::Secret;
use reqwest::Client;
use tokio::runtime::Handle;
use url::Url;

use crate::captcha::{Captcha, UnknownProvider};
use crate::config::{AuthConfig, PasswordConfig, SmsProvider};
use crate::db::Db;
use crate::external::Directory;
use crate::hook::{Hooks, HooksError};
use crate::limits::{CodeGuard, LimitSettings, Limits};
use crate::mail::{MailTemplates, Mailer, SettingsError, SmtpSettings, TemplateError};
use crate::password::{Hasher, LEAKED_BASE, LeakedPasswords, LeakedSettings, PasswordRules};
use crate::seal::Sealer;
use crate::service::Parts;
use crate::sms::{
    HttpSms, Messagebird, Provider, SmsSender, Textlocal, Twilio, TwilioVerify, Vonage,
};
use crate::token::SigningKeys;

/// How long the list of leaked passwords may take: somebody waits for it to sign up.
const LEAKED_TIMEOUT: Duration = Duration::from_secs(3);

/// What a project's sign-in cannot know from the settings.
#[derive(Clone)]
pub struct Basis {
    /// The project's name, for the log.
    pub project: Arc<str>,
    /// Its database.
    pub db: Db,
    /// What its tokens are signed with.
    pub keys: Arc<SigningKeys>,
    /// The secret that every project has.
    pub secret: Secret,
    /// URL of the auth part as the gateway has it, without a slash at its end. The settings may say
    /// another.
    pub external_url: String,
    /// Hashes passwords, for all projects of the instance.
    pub hasher: Arc<Hasher>,
    /// Seals what the database must not know.
    pub sealer: Arc<Sealer>,
    /// Calls hooks, carriers of messages and judges of captchas; see [`crate::outgoing::client`].
    pub client: Client,
    /// Discovery documents and keys of identity providers, for all projects of the instance.
    pub directory: Arc<Directory>,
    /// Takes the mails of a project without a mail server.
    pub mail_catcher: Option<SocketAddr>,
    /// Where mails are sent from; without it, none are.
    pub background: Option<Handle>,
}

/// Which settings a sign-in cannot be made from.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// A hook.
    #[error(transparent)]
    Hook(#[from] HooksError),
    /// The captcha.
    #[error(transparent)]
    Captcha(#[from] UnknownProvider),
    /// A template of a mail.
    #[error("`auth.email.template` cannot be used")]
    Template(#[from] TemplateError),
    /// The mail server.
    #[error("`auth.email.smtp` cannot be used")]
    Smtp(#[from] SettingsError),
}

impl Parts {
    /// All that follows from a project's settings, on what does not. Limits begin anew.
    ///
    /// # Errors
    ///
    /// [`PartsError`] that names the settings that make no sense.
    pub fn from_config(basis: Basis, config: Arc<AuthConfig>) -> Result<Self, PartsError> {
        let limits = LimitSettings::from_config(&config.rate_limit);
        let now = Instant::now();
        let client = basis.client.clone();
        let captcha = config.captcha.as_ref();
        let captcha = captcha.map(|captcha| Captcha::from_config(client.clone(), captcha));
        Ok(Self {
            mailer: mailer(&basis, &config)?,
            hooks: Arc::new(Hooks::from_config(&config, &client)?),
            captcha: captcha.transpose()?,
            passwords: Arc::new(PasswordRules::from_config(&config.password, &client)),
            sms: config.sms.provider.as_ref().map(|provider| sender(provider, &client)),
            limits: Arc::new(Limits::new(limits.clone(), now)),
            codes: Arc::new(CodeGuard::new(&limits, now)),
            external_url: config.external_url.clone().unwrap_or(basis.external_url),
            db: basis.db.with_log(config.audit_log),
            project: basis.project,
            keys: basis.keys,
            secret: basis.secret,
            hasher: basis.hasher,
            sealer: basis.sealer,
            directory: basis.directory,
            config,
        })
    }
}

fn mailer(basis: &Basis, config: &AuthConfig) -> Result<Option<Mailer>, PartsError> {
    let templates = MailTemplates::from_config(&config.email)?;
    let settings = match (&config.email.smtp, basis.mail_catcher) {
        (Some(smtp), _) => SmtpSettings::from_config(smtp),
        (None, Some(catcher)) => SmtpSettings::catcher(catcher),
        (None, None) => return Ok(None),
    };
    let Some(background) = basis.background.clone() else { return Ok(None) };
    Ok(Some(Mailer::start(settings, templates, background)?))
}

fn sender(provider: &SmsProvider, client: &Client) -> Arc<dyn SmsSender> {
    let provider = match provider.clone() {
        SmsProvider::Twilio { account_sid, message_service_sid, content_sid, auth_token } => {
            Provider::Twilio(Twilio { account_sid, auth_token, message_service_sid, content_sid })
        }
        SmsProvider::TwilioVerify { account_sid, message_service_sid, auth_token } => {
            Provider::TwilioVerify(TwilioVerify { account_sid, auth_token, message_service_sid })
        }
        SmsProvider::Messagebird { originator, access_key } => {
            Provider::Messagebird(Messagebird { originator, access_key })
        }
        SmsProvider::Textlocal { sender, api_key } => {
            Provider::Textlocal(Textlocal { api_key, sender })
        }
        SmsProvider::Vonage { from, api_key, api_secret } => {
            Provider::Vonage(Vonage { api_key, api_secret, from })
        }
    };
    Arc::new(HttpSms::new(client.clone(), provider))
}

impl PasswordRules {
    /// Those of a project's settings; `client` asks for leaked passwords.
    pub fn from_config(config: &PasswordConfig, client: &Client) -> Self {
        let leaked = config.leaked_refused.then(|| Url::parse(LEAKED_BASE).ok()).flatten();
        let leaked = leaked.map(|base| {
            let settings = LeakedSettings {
                base,
                timeout: LEAKED_TIMEOUT,
                fail_closed: config.leaked_fail_closed,
                user_agent: concat!("plinth/", env!("CARGO_PKG_VERSION")).to_owned(),
            };
            LeakedPasswords::new(client.clone(), settings)
        });
        Self {
            min_length: usize::try_from(config.minimum_length).unwrap_or(usize::MAX),
            required_characters: config.required_characters.clone(),
            leaked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sms::Channel;

    #[test]
    fn the_provider_of_the_settings_sends() {
        let client = crate::outgoing::client().unwrap();
        let hush = || Secret::new("hush");
        let text = String::new;
        let all = [
            SmsProvider::Twilio {
                account_sid: text(),
                message_service_sid: text(),
                content_sid: None,
                auth_token: hush(),
            },
            SmsProvider::TwilioVerify {
                account_sid: text(),
                message_service_sid: text(),
                auth_token: hush(),
            },
            SmsProvider::Messagebird { originator: text(), access_key: hush() },
            SmsProvider::Textlocal { sender: text(), api_key: hush() },
            SmsProvider::Vonage { from: text(), api_key: hush(), api_secret: hush() },
        ];
        for provider in all {
            let sender = sender(&provider, &client);
            assert_eq!(sender.name(), provider.name());
            assert!(sender.supports(Channel::Sms));
            assert!(!format!("{sender:?}").contains("hush"));
        }
    }

    #[test]
    fn leaked_passwords_are_looked_up_where_that_is_switched_on() {
        let client = crate::outgoing::client().unwrap();
        let mut config = AuthConfig::default().password;
        assert!(PasswordRules::from_config(&config, &client).leaked.is_none());
        (config.leaked_refused, config.leaked_fail_closed) = (true, true);
        let leaked = PasswordRules::from_config(&config, &client).leaked.unwrap();
        assert!(leaked.fails_closed());
    }
}
