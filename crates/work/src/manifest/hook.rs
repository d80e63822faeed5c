//! Reads an inbound webhook.

use http::HeaderName;
use serde_json::Value;
use serde_json_path::JsonPath;

use super::fields::Fields;
use super::keys::OF_HOOK;
use super::spec::{Call, ENV, Encoding, EventId, HookSpec, Scheme, Verify};
use super::work;

/// How old a proof with a time in it may be where nothing is said, in milliseconds.
const TOLERANCE_MS: u64 = 300_000;

/// What a scheme needs and what it knows by itself.
struct Habit {
    /// The header, where it is always the same.
    header: Option<&'static str>,
    /// What stands before the proof in it.
    prefix: &'static str,
    encoding: Encoding,
    /// Keys that mean something beside `scheme`.
    keys: &'static [&'static str],
    /// Those that must be given.
    required: &'static [&'static str],
}

impl Scheme {
    fn habit(self) -> Habit {
        const HMAC: Habit = Habit {
            header: None,
            prefix: "",
            encoding: Encoding::Hex,
            keys: &["secret", "header", "prefix", "encoding"],
            required: &["secret", "header"],
        };
        const TIMED: &[&str] = &["secret", "header", "tolerance"];
        const SECRET: &[&str] = &["secret"];
        match self {
            Self::HmacSha256 | Self::HmacSha1 => HMAC,
            Self::GitHub => Habit {
                header: Some("x-hub-signature-256"),
                prefix: "sha256=",
                keys: SECRET,
                required: SECRET,
                ..HMAC
            },
            Self::Stripe => {
                Habit { header: Some("stripe-signature"), keys: TIMED, required: SECRET, ..HMAC }
            }
            Self::StandardWebhooks => Habit {
                header: Some("webhook-signature"),
                encoding: Encoding::Base64,
                keys: &["secret", "tolerance"],
                required: SECRET,
                ..HMAC
            },
            Self::JwtHs256 => Habit {
                header: Some("authorization"),
                prefix: "Bearer ",
                keys: &["secret", "header", "prefix", "tolerance"],
                required: SECRET,
                ..HMAC
            },
            Self::PathToken => Habit { keys: SECRET, required: SECRET, ..HMAC },
            Self::SharedHeader => Habit { keys: &["secret", "header", "prefix"], ..HMAC },
            Self::None => Habit { keys: &[], required: &[], ..HMAC },
        }
    }
}

/// The hook of a table; `None` when it lacks what it must have.
pub(super) fn read(fields: &Fields<'_>) -> Option<HookSpec> {
    let name = fields.text("name");
    let verify = fields.table("verify").and_then(|fields| read_verify(&fields));
    let event_id = read_event_id(fields);
    let (binding, row) = (fields.text("binding"), fields.statement("row"));
    let call = binding.map(|binding| Call { binding, row });
    let work = work::read(fields, &OF_HOOK);
    if call.is_none() && !["action", "binding", "done"].iter().any(|key| fields.has(key)) {
        let message = "[[hook]] does nothing: it has neither `done` nor `action` nor `binding`";
        fields.reader().problem(fields.at().start, message, None);
    }
    Some(HookSpec { name: name?, verify: verify?, event_id, call, work })
}

fn read_verify(fields: &Fields<'_>) -> Option<Verify> {
    let scheme = fields.word("scheme");
    let secrets = fields.texts("secret");
    let header = fields.text("header");
    let (prefix, encoding) = (fields.text("prefix"), fields.word("encoding"));
    let tolerance_ms = fields.span("tolerance");
    let word = scheme?;
    let scheme: Scheme = serde_json::from_value(Value::String(word.clone())).ok()?;
    let habit = scheme.habit();
    for name in ["secret", "header", "prefix", "encoding", "tolerance"] {
        if fields.has(name) && !habit.keys.contains(&name) {
            fields.problem(name, format!("means nothing with the scheme `{word}`"), None);
        } else if !fields.has(name) && habit.required.contains(&name) {
            fields.problem("scheme", format!("is `{word}`, which needs `{name}`"), None);
        }
    }
    let encoding = encoding.and_then(|word| serde_json::from_value(Value::String(word)).ok());
    let timed = habit.keys.contains(&"tolerance");
    Some(Verify {
        scheme,
        secrets: secrets
            .iter()
            .filter_map(|text| text.value.strip_prefix(ENV))
            .map(str::to_owned)
            .collect(),
        header: match header {
            Some(header) => header_name(fields, "header", &header),
            None => habit.header.map(str::to_owned),
        },
        prefix: prefix.unwrap_or_else(|| habit.prefix.to_owned()),
        encoding: encoding.unwrap_or(habit.encoding),
        tolerance_ms: timed.then(|| tolerance_ms.unwrap_or(TOLERANCE_MS)),
    })
}

fn read_event_id(fields: &Fields<'_>) -> Option<EventId> {
    let text = fields.text("event_id")?;
    if !text.starts_with('$') {
        return header_name(fields, "event_id", &text).map(EventId::Header);
    }
    match JsonPath::parse(&text) {
        Ok(_) => Some(EventId::Body(text)),
        Err(error) => {
            fields.problem("event_id", format!("is no JSON path: {}", error.message()), None);
            None
        }
    }
}

/// The header's name in lower case.
fn header_name(fields: &Fields<'_>, key: &str, text: &str) -> Option<String> {
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    if name.is_none() {
        fields.problem(key, format!("`{}` is no name of a header", text.escape_debug()), None);
    }
    name.map(|name| name.as_str().to_owned())
}
