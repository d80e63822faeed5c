//! From a project's settings to its mailer's.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use plinth_wire::Secret;

use super::{Content, MailKind, MailTemplates, SmtpSettings, TemplateError, TemplateSource};
use crate::config::{EmailConfig, SmtpConfig, TemplateConfig};

impl SmtpSettings {
    /// The mail server of a project's settings, with the default bounds.
    pub fn from_config(config: &SmtpConfig) -> Self {
        Self {
            host: config.host.clone(),
            port: config.port,
            user: config.user.clone().unwrap_or_default(),
            pass: config.password.clone().unwrap_or_else(|| Secret::new("")),
            admin_email: config.admin_email.clone(),
            sender_name: config.sender_name.clone().unwrap_or_default(),
            extra_roots: config.authorities.clone().map(String::into_bytes),
            ..Self::default()
        }
    }

    /// A mail catcher of this machine, for development.
    pub fn catcher(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
            admin_email: "auth@plinth.localhost".to_owned(),
            sender_name: "Plinth".to_owned(),
            ..Self::default()
        }
    }
}

impl MailTemplates {
    /// The built-in templates with those of a project's settings in their place.
    ///
    /// # Errors
    /// [`TemplateError`] that names the mail, the part and the line.
    pub fn from_config(config: &EmailConfig) -> Result<Self, TemplateError> {
        let named = config.templates.iter().chain(&config.notifications);
        let own: BTreeMap<_, _> = named
            .filter_map(|(name, template)| Some((MailKind::from_name(name)?, source(template))))
            .collect();
        Self::load(&own)
    }
}

fn source(config: &TemplateConfig) -> TemplateSource {
    TemplateSource {
        subject: config.subject.clone(),
        html: config.content.clone().map(Content::Inline),
        text: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Mail, MailValues, TlsMode};

    #[test]
    fn every_mail_of_the_settings_is_a_kind_and_takes_its_place() {
        let mut config = crate::config::AuthConfig::default().email;
        for kind in MailKind::ALL {
            let template = TemplateConfig {
                subject: Some(format!("own {}", kind.name())),
                content: Some("<p>{{ .Email }}</p>".to_owned()),
            };
            let section =
                if kind.is_notice() { &mut config.notifications } else { &mut config.templates };
            section.insert(kind.name().to_owned(), template);
        }
        let templates = MailTemplates::from_config(&config).unwrap();
        for kind in MailKind::ALL {
            let values = MailValues { email: "ada@example.com".into(), ..MailValues::default() };
            let mail = Mail { kind, to: "ada@example.com".into(), values };
            let rendered = templates.render(&mail).unwrap();
            assert_eq!(rendered.subject, format!("own {}", kind.name()));
            assert_eq!(rendered.text, "ada@example.com\n");
        }
    }

    #[test]
    fn a_template_with_a_fault_is_named() {
        let mut config = crate::config::AuthConfig::default().email;
        let template = TemplateConfig { subject: Some("{{ .Nme }}".into()), content: None };
        config.templates.insert("recovery".into(), template);
        let error = MailTemplates::from_config(&config).unwrap_err();
        assert!(error.to_string().starts_with("mail template `recovery`, subject, line 1"));
    }

    #[test]
    fn a_catcher_is_spoken_to_in_the_clear_and_accepted_as_it_is() {
        let settings = SmtpSettings::catcher(([127, 0, 0, 1], 1025).into());
        settings.check().unwrap();
        assert_eq!(settings.tls_mode(), TlsMode::Plain);
    }

    #[test]
    fn the_servers_settings_are_taken_over() {
        let config = SmtpConfig {
            host: "smtp.example.com".into(),
            port: 587,
            user: Some("user".into()),
            password: Some(Secret::new("pass")),
            admin_email: "admin@example.com".into(),
            sender_name: None,
            authorities: Some("-----BEGIN CERTIFICATE-----".into()),
        };
        let settings = SmtpSettings::from_config(&config);
        settings.check().unwrap();
        assert_eq!(settings.extra_roots.as_deref(), Some(&b"-----BEGIN CERTIFICATE-----"[..]));
        assert_eq!(settings.tls_mode(), TlsMode::StartTls);
        assert_eq!((settings.user.as_str(), settings.pass.expose()), ("user", "pass"));
    }
}
