//! `[auth.email]`: sign-in by email, and what is sent.

use std::collections::BTreeMap;
use std::time::Duration;

use plinth_wire::Secret;

use super::reader::Reader;
use super::setting::Kind::{List, Number, Path, Secret as Hidden, Span, Switch, Text};
use super::setting::{Setting, setting};

const DAY: u64 = 86_400;

/// Mails that carry a code or a link.
pub(super) const TEMPLATES: &[&str] =
    &["confirmation", "email_change", "invite", "magic_link", "reauthentication", "recovery"];

/// Mails that tell of a change of the account.
pub(super) const NOTIFICATIONS: &[&str] = &[
    "email_changed",
    "identity_linked",
    "identity_unlinked",
    "mfa_factor_enrolled",
    "mfa_factor_unenrolled",
    "password_changed",
    "phone_changed",
];

/// `[auth.email]`
pub(super) const EMAIL: &[Setting] = &[
    setting(
        "email.enable_signup",
        Switch,
        "true",
        "GOTRUE_EXTERNAL_EMAIL_ENABLED",
        "whether people may sign up and in by email",
    ),
    setting(
        "email.enable_confirmations",
        Switch,
        "false",
        "!GOTRUE_MAILER_AUTOCONFIRM",
        "whether an address must be confirmed before its user can sign in",
    ),
    setting(
        "email.double_confirm_changes",
        Switch,
        "true",
        "GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED",
        "whether both the old and the new address confirm a change",
    ),
    setting(
        "email.secure_password_change",
        Switch,
        "false",
        "GOTRUE_SECURITY_UPDATE_PASSWORD_REQUIRE_REAUTHENTICATION",
        "whether a new password needs a recent sign-in (24 hours) or a code",
    ),
    setting(
        "email.allow_unverified_sign_ins",
        Switch,
        "false",
        "GOTRUE_MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS",
        "whether a user with a provider's unverified address may sign in",
    ),
    setting(
        "email.enable_magic_link",
        Switch,
        "true",
        "GOTRUE_EXTERNAL_EMAIL_MAGIC_LINK_ENABLED",
        "whether people may sign in by a link or a code",
    ),
    setting(
        "email.authorized_addresses",
        List,
        "",
        "GOTRUE_EXTERNAL_EMAIL_AUTHORIZED_ADDRESSES",
        "when not empty, mail is sent to these addresses only",
    ),
    setting(
        "email.max_frequency",
        Span(0, DAY),
        "1s",
        "GOTRUE_SMTP_MAX_FREQUENCY",
        "time between two mails of a kind to one user",
    ),
    setting("email.otp_length", Number(6, 10), "6", "GOTRUE_MAILER_OTP_LENGTH", "digits of a code"),
    setting(
        "email.otp_expiry",
        Span(1, 7 * DAY),
        "3600",
        "GOTRUE_MAILER_OTP_EXP",
        "how long a code or link is valid",
    ),
    setting("email.smtp.enabled", Switch, "true", "", "whether mail is sent; it also needs a host"),
    setting(
        "email.smtp.host",
        Text,
        "",
        "GOTRUE_SMTP_HOST",
        "mail server; without it no mail is sent",
    ),
    setting("email.smtp.port", Number(1, 65535), "587", "GOTRUE_SMTP_PORT", "its port"),
    setting("email.smtp.user", Text, "", "GOTRUE_SMTP_USER", "name to sign in with"),
    setting("email.smtp.pass", Hidden, "", "GOTRUE_SMTP_PASS", "password to sign in with"),
    setting(
        "email.smtp.admin_email",
        Text,
        "",
        "GOTRUE_SMTP_ADMIN_EMAIL",
        "address that mails are from",
    ),
    setting(
        "email.smtp.sender_name",
        Text,
        "",
        "GOTRUE_SMTP_SENDER_NAME",
        "name that mails are from",
    ),
    setting(
        "email.smtp.ca_path",
        Path,
        "",
        "",
        "certificates (PEM) of a private authority that the mail server's may be signed by, beside the public ones",
    ),
    setting(
        "email.template.*.subject",
        Text,
        "",
        "GOTRUE_MAILER_SUBJECTS_*",
        "subject of a mail: `confirmation`, `email_change`, `invite`, `magic_link`, `reauthentication`, `recovery`",
    ),
    setting(
        "email.template.*.content_path",
        Path,
        "",
        "GOTRUE_MAILER_TEMPLATES_*",
        "HTML of a mail, with `{{ .ConfirmationURL }}`, `{{ .Token }}`, `{{ .TokenHash }}`, `{{ .SiteURL }}`, `{{ .RedirectTo }}`, `{{ .Email }}`, `{{ .NewEmail }}`, `{{ .Data }}`",
    ),
    setting(
        "email.notification.*.enabled",
        Switch,
        "false",
        "GOTRUE_MAILER_NOTIFICATIONS_*_ENABLED",
        "whether a mail tells of a change: `password_changed`, `email_changed`, `phone_changed`, `identity_linked`, `identity_unlinked`, `mfa_factor_enrolled`, `mfa_factor_unenrolled`",
    ),
    setting(
        "email.notification.*.subject",
        Text,
        "",
        "GOTRUE_MAILER_SUBJECTS_*_NOTIFICATION",
        "its subject",
    ),
    setting(
        "email.notification.*.content_path",
        Path,
        "",
        "GOTRUE_MAILER_TEMPLATES_*_NOTIFICATION",
        "its HTML",
    ),
];

/// Sign-in by email.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailConfig {
    /// Whether people may sign up and in by email.
    pub enabled: bool,
    /// Whether an address must be confirmed before its user can sign in; otherwise sign-up confirms
    /// it ("autoconfirm").
    pub confirmations: bool,
    /// Whether both the old and the new address confirm a change.
    pub double_confirm_changes: bool,
    /// Whether a new password needs a recent sign-in or a code.
    pub secure_password_change: bool,
    /// Whether a user with a provider's unverified address may sign in.
    pub allow_unverified_sign_ins: bool,
    /// Whether people may sign in by a link or a code.
    pub magic_link: bool,
    /// When not empty, mail is sent to these addresses only.
    pub authorized_addresses: Vec<String>,
    /// Time between two mails of a kind to one user.
    pub max_frequency: Duration,
    /// Digits of a code, 6 to 10.
    pub otp_length: u32,
    /// How long a code or link is valid.
    pub otp_expiry: Duration,
    /// The mail server; `None`: nothing is sent.
    pub smtp: Option<SmtpConfig>,
    /// Mails that carry a code or a link, by name; only those that were changed.
    pub templates: BTreeMap<String, TemplateConfig>,
    /// Mails that tell of a change, by name; only those that are enabled.
    pub notifications: BTreeMap<String, TemplateConfig>,
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpConfig {
    /// Its name or address.
    pub host: String,
    /// Its port; 465 speaks TLS from the start.
    pub port: u16,
    /// Name to sign in with.
    pub user: Option<String>,
    /// Password to sign in with.
    pub password: Option<Secret>,
    /// Address that mails are from.
    pub admin_email: String,
    /// Name that mails are from; `None`: the address.
    pub sender_name: Option<String>,
    /// Certificates (PEM) of authorities that are trusted beside the public ones.
    pub authorities: Option<String>,
}

/// A mail's own wording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateConfig {
    /// Its subject; `None`: Plinth's own.
    pub subject: Option<String>,
    /// Its HTML; `None`: Plinth's own.
    pub content: Option<String>,
}

impl EmailConfig {
    pub(super) fn read(reader: &Reader<'_>) -> Self {
        let confirmations = reader.switch("email.enable_confirmations");
        let allow_unverified_sign_ins = reader.switch("email.allow_unverified_sign_ins");
        if allow_unverified_sign_ins && !confirmations {
            let message = "makes no sense while `auth.email.enable_confirmations` is off";
            reader.problem("email.allow_unverified_sign_ins", message);
        }
        Self {
            enabled: reader.switch("email.enable_signup"),
            confirmations,
            double_confirm_changes: reader.switch("email.double_confirm_changes"),
            secure_password_change: reader.switch("email.secure_password_change"),
            allow_unverified_sign_ins,
            magic_link: reader.switch("email.enable_magic_link"),
            authorized_addresses: reader.list("email.authorized_addresses"),
            max_frequency: reader.span("email.max_frequency"),
            otp_length: reader.number("email.otp_length"),
            otp_expiry: reader.span("email.otp_expiry"),
            smtp: SmtpConfig::read(reader),
            templates: TEMPLATES
                .iter()
                .map(|name| ((*name).to_owned(), TemplateConfig::read(reader, "template", name)))
                .filter(|(_, template)| *template != TemplateConfig::default())
                .collect(),
            notifications: NOTIFICATIONS
                .iter()
                .filter_map(|name| {
                    let enabled = reader.switch(&format!("email.notification.{name}.enabled"));
                    let template = TemplateConfig::read(reader, "notification", name);
                    enabled.then(|| ((*name).to_owned(), template))
                })
                .collect(),
        }
    }
}

impl TemplateConfig {
    fn read(reader: &Reader<'_>, section: &str, name: &str) -> Self {
        Self {
            subject: reader.optional_text(&format!("email.{section}.{name}.subject")),
            content: reader.file(&format!("email.{section}.{name}.content_path")),
        }
    }
}

impl SmtpConfig {
    fn read(reader: &Reader<'_>) -> Option<Self> {
        let enabled = reader.switch("email.smtp.enabled");
        let host = reader.optional_text("email.smtp.host");
        let smtp = Self {
            host: host.clone().unwrap_or_default(),
            port: u16::try_from(reader.number("email.smtp.port")).unwrap_or_default(),
            user: reader.optional_text("email.smtp.user"),
            password: reader.secret("email.smtp.pass"),
            admin_email: reader.text("email.smtp.admin_email"),
            sender_name: reader.optional_text("email.smtp.sender_name"),
            authorities: reader.file("email.smtp.ca_path"),
        };
        if enabled && host.is_some() && smtp.admin_email.is_empty() {
            reader.problem("email.smtp.admin_email", "is needed: mails must be from somebody");
        }
        (enabled && host.is_some()).then_some(smtp)
    }
}
