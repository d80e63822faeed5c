//! The built-in mails.

use super::MailKind;

/// A template in Go's syntax, like those that people bring.
pub(super) struct BuiltIn {
    pub(super) subject: String,
    pub(super) html: String,
    pub(super) text: String,
}

/// What a built-in mail says; the layout is the same for all.
struct Words {
    subject: &'static str,
    heading: &'static str,
    opening: &'static str,
    button: Option<&'static str>,
    /// Whether the code is shown.
    code: bool,
    closing: &'static str,
}

const NOT_YOU: &str = "If this was not you, you can ignore this mail: nothing has changed.";
const ALARM: &str =
    "If this was not you, change your password and tell the people who run this service.";

const fn notice(subject: &'static str, opening: &'static str) -> Words {
    Words { subject, heading: subject, opening, button: None, code: false, closing: ALARM }
}

const fn words(kind: MailKind) -> Words {
    match kind {
        MailKind::Confirmation => Words {
            subject: "Please confirm your address",
            heading: "One step to go",
            opening: "Somebody, you we hope, has signed up with {{ .Email }}. Please confirm that this address is yours.",
            button: Some("Confirm the address"),
            code: true,
            closing: NOT_YOU,
        },
        MailKind::Invite => Words {
            subject: "You are invited",
            heading: "You are invited",
            opening: "You have been invited to create an account at {{ .SiteURL }}.",
            button: Some("Accept the invitation"),
            code: false,
            closing: "If you do not know why, you can ignore this mail.",
        },
        MailKind::MagicLink => Words {
            subject: "Your link to sign in",
            heading: "Sign in",
            opening: "With this link you are signed in. It works once and only for a short while.",
            button: Some("Sign in"),
            code: true,
            closing: NOT_YOU,
        },
        MailKind::Recovery => Words {
            subject: "Choose a new password",
            heading: "Choose a new password",
            opening: "Somebody has asked for a new password for {{ .Email }}. With this link you can choose it.",
            button: Some("Choose a new password"),
            code: true,
            closing: NOT_YOU,
        },
        MailKind::EmailChange => Words {
            subject: "Confirm the change of your address",
            heading: "A new address",
            opening: "The address of your account shall change from {{ .Email }} to {{ .NewEmail }}. Please confirm it.",
            button: Some("Confirm the change"),
            code: true,
            closing: NOT_YOU,
        },
        MailKind::Reauthentication => Words {
            subject: "Your code is {{ .Token }}",
            heading: "Is it you?",
            opening: "Please enter this code to go on.",
            button: None,
            code: true,
            closing: "Tell this code to nobody. If you did not ask for it, change your password.",
        },
        MailKind::PasswordChanged => notice(
            "Your password was changed",
            "The password of your account {{ .Email }} was changed just now.",
        ),
        MailKind::EmailChanged => notice(
            "Your address was changed",
            "The address of your account was changed from {{ .OldEmail }} to {{ .Email }}.",
        ),
        MailKind::PhoneChanged => notice(
            "Your phone number was changed",
            "The phone number of your account {{ .Email }} was changed{{ if .OldPhone }} from {{ .OldPhone }}{{ end }} to {{ .Phone }}.",
        ),
        MailKind::IdentityLinked => notice(
            "A way to sign in was added",
            "Your account {{ .Email }} can now be signed in to by {{ .Provider }}.",
        ),
        MailKind::IdentityUnlinked => notice(
            "A way to sign in was removed",
            "Your account {{ .Email }} can no longer be signed in to by {{ .Provider }}.",
        ),
        MailKind::MfaFactorEnrolled => notice(
            "A second factor was added",
            "A second factor ({{ .FactorType }}) was added to your account {{ .Email }}.",
        ),
        MailKind::MfaFactorUnenrolled => notice(
            "A second factor was removed",
            "A second factor ({{ .FactorType }}) was removed from your account {{ .Email }}.",
        ),
    }
}

pub(super) fn template(kind: MailKind) -> BuiltIn {
    let words = words(kind);
    BuiltIn { subject: words.subject.to_owned(), html: html(&words), text: text(&words) }
}

fn html(words: &Words) -> String {
    let button = words.button.map_or_else(String::new, |label| {
        format!(
            r#"
    <p style="margin:0 0 24px"><a href="{{{{ .ConfirmationURL }}}}" style="display:inline-block;padding:12px 22px;border-radius:8px;background:#2f6f5e;color:#ffffff;font-weight:600;text-decoration:none">{label}</a></p>"#
        )
    });
    let hint = if words.button.is_some() { "Or enter this code:" } else { "Your code:" };
    let code = if words.code {
        format!(
            r#"
    {{{{ if .Token }}}}<p style="margin:0 0 6px;color:#5b6470">{hint}</p>
    <p style="margin:0 0 24px;font:600 26px/1.2 ui-monospace,Menlo,Consolas,monospace;letter-spacing:5px">{{{{ .Token }}}}</p>{{{{ end }}}}"#
        )
    } else {
        String::new()
    };
    format!(
        r#"<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{heading}</title></head>
<body style="margin:0;padding:32px 16px;background:#f3f4f6;color:#1c2127;font:16px/1.55 -apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif">
  <div style="max-width:520px;margin:0 auto;padding:32px;background:#ffffff;border:1px solid #e3e6ea;border-radius:14px">
    <h1 style="margin:0 0 16px;font-size:22px;line-height:1.3">{heading}</h1>
    <p style="margin:0 0 24px">{opening}</p>{button}{code}
    <p style="margin:0;color:#5b6470;font-size:14px">{closing}</p>
  </div>
</body>
</html>
"#,
        heading = words.heading,
        opening = words.opening,
        closing = words.closing,
    )
}

fn text(words: &Words) -> String {
    let mut text = format!("{}\n\n{}\n\n", words.heading, words.opening);
    if let Some(button) = words.button {
        text.push_str(&format!("{button}:\n{{{{ .ConfirmationURL }}}}\n\n"));
    }
    if words.code {
        text.push_str("{{ if .Token }}Code: {{ .Token }}\n\n{{ end }}");
    }
    text + words.closing + "\n"
}
