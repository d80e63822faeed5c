//! What PostgreSQL's errors mean over HTTP.

use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

use super::Error;
use crate::spoken::{self, Reason};

/// An error as PostgreSQL reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseFacts<'a> {
    /// SQLSTATE.
    pub code: &'a str,
    /// Primary message.
    pub message: &'a str,
    /// DETAIL.
    pub detail: Option<&'a str>,
    /// HINT.
    pub hint: Option<&'a str>,
}

/// Conditions that our own statements raise, so that their transaction is rolled back in the same
/// round trip. They cast a marked text to an integer; PostgreSQL quotes the text in its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Raised {
    /// Not exactly one row although one object was asked for.
    NotSingular,
    /// PUT with a body that is another row than the URL's.
    PutMismatch,
    /// More rows changed than the client allowed.
    MaxAffected,
}

impl Raised {
    const ALL: [Self; 3] = [Self::NotSingular, Self::PutMismatch, Self::MaxAffected];

    fn with_rows(self, rows: u64) -> Error {
        match self {
            Self::NotSingular => Error::not_singular(rows),
            Self::PutMismatch => Error::put_mismatch(),
            Self::MaxAffected => Error::max_affected(rows),
        }
    }

    fn of(message: &str) -> Option<Error> {
        Self::ALL.into_iter().find_map(|raised| {
            let prefix = raise_prefix(raised);
            let (_, rest) = message.split_once(prefix)?;
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            Some(raised.with_rows(rest[..digits].parse().ok()?))
        })
    }
}

/// The marked text before the number of rows.
pub(crate) const fn raise_prefix(raised: Raised) -> &'static str {
    match raised {
        Raised::NotSingular => "~plinth~PGRST116~",
        Raised::PutMismatch => "~plinth~PGRST115~",
        Raised::MaxAffected => "~plinth~PGRST124~",
    }
}

impl Error {
    /// What a failed statement means; `anonymous` when the caller gave no token.
    pub fn from_database(facts: &DatabaseFacts<'_>, anonymous: bool) -> Self {
        if facts.code == "22P02"
            && let Some(error) = Raised::of(facts.message)
        {
            return error;
        }
        if facts.code == "PGRST" {
            return custom(facts).unwrap_or_else(|error| error);
        }
        let mut error = Self::new(status(facts, anonymous), facts.code, facts.message);
        if raised_status(facts.code).is_some() {
            error.reason = Reason::new(facts.message);
        }
        error.details = facts.detail.into();
        error.hint = facts.hint.map(str::to_owned);
        if error.status == StatusCode::UNAUTHORIZED {
            error.headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        error
    }
}

fn status(facts: &DatabaseFacts<'_>, anonymous: bool) -> StatusCode {
    use StatusCode as S;
    let message = facts.message;
    match facts.code {
        "23503" | "23505" => S::CONFLICT,
        "25006" => S::METHOD_NOT_ALLOWED,
        "21000" if message.ends_with("requires a WHERE clause") => S::BAD_REQUEST,
        "21000" => S::INTERNAL_SERVER_ERROR,
        "22023" if message.starts_with("role") && message.ends_with("does not exist") => {
            S::UNAUTHORIZED
        }
        "42883" if message.starts_with("function xmlagg(") => S::NOT_ACCEPTABLE,
        "42883" | "42P01" => S::NOT_FOUND,
        "42P17" | "53400" => S::INTERNAL_SERVER_ERROR,
        "42501" if anonymous => S::UNAUTHORIZED,
        "42501" => S::FORBIDDEN,
        "57P01" => S::SERVICE_UNAVAILABLE,
        "P0001" => S::BAD_REQUEST,
        code if code.starts_with("PT") => raised_status(code).unwrap_or(S::INTERNAL_SERVER_ERROR),
        code => class_status(code.get(..2).unwrap_or_default()),
    }
}

/// The status of `raise sqlstate 'PT402'`.
fn raised_status(code: &str) -> Option<StatusCode> {
    code.strip_prefix("PT")?.parse().ok().and_then(spoken::status)
}

/// The status of every other error of a class.
fn class_status(class: &str) -> StatusCode {
    match class {
        "08" | "53" => StatusCode::SERVICE_UNAVAILABLE,
        "0L" | "0P" | "28" => StatusCode::FORBIDDEN,
        "09" | "25" | "2D" | "38" | "39" | "3B" | "40" | "54" | "55" | "57" | "58" | "F0"
        | "HV" | "P0" | "XX" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// `raise sqlstate 'PGRST'`: MESSAGE is the body, DETAIL says status and headers, both as JSON.
fn custom(facts: &DatabaseFacts<'_>) -> Result<Error, Error> {
    const MESSAGE: &str = "MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and \
                           optional keys: 'details', 'hint'.";
    const DETAIL: &str = "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and \
                          optional key: 'status_text'.";
    let refuse = |details: String, hint: &str| {
        let message = "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error";
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, "PGRST121", message)
            .with_details(details)
            .with_hint(hint)
    };
    let said = facts.message;
    let mut error = custom_message(said)
        .ok_or_else(|| refuse(format!("Invalid JSON value for MESSAGE: '{said}'"), MESSAGE))?;
    let detail = facts
        .detail
        .ok_or_else(|| refuse("DETAIL is missing in the RAISE statement".to_owned(), DETAIL))?;
    apply_detail(&mut error, detail)
        .ok_or_else(|| refuse(format!("Invalid JSON value for DETAIL: '{detail}'"), DETAIL))?;
    Ok(error)
}

fn custom_message(text: &str) -> Option<Error> {
    let json: Value = serde_json::from_str(text).ok()?;
    let text = |key: &str| match json.get(key) {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(text)) => Some(Some(text.as_str())),
        Some(_) => None,
    };
    let mut error =
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, text("code")??, text("message")??);
    error.details = text("details")?.into();
    error.hint = text("hint")?.map(str::to_owned);
    Some(error)
}

fn apply_detail(error: &mut Error, detail: &str) -> Option<()> {
    let json: Value = serde_json::from_str(detail).ok()?;
    let status = u16::try_from(json.get("status")?.as_u64()?).ok()?;
    error.status = spoken::status(status)?;
    error.reason = match json.get("status_text") {
        None | Some(Value::Null) => None,
        Some(text) => Reason::new(text.as_str()?),
    };
    for (name, value) in json.get("headers")?.as_object()? {
        let header = spoken::header(name, value.as_str()?)?;
        if spoken::may_set(&header.0) {
            error.headers.push(header);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>(code: &'a str, message: &'a str) -> DatabaseFacts<'a> {
        DatabaseFacts { code, message, detail: None, hint: None }
    }

    #[test]
    fn sqlstates_have_their_status() {
        let table = [
            ("08006", 503),
            ("09000", 500),
            ("0L000", 403),
            ("0P000", 403),
            ("21000", 500),
            ("22P02", 400),
            ("22023", 400),
            ("23502", 400),
            ("23503", 409),
            ("23505", 409),
            ("23514", 400),
            ("25006", 405),
            ("25P02", 500),
            ("28000", 403),
            ("2D000", 500),
            ("38000", 500),
            ("39000", 500),
            ("3B000", 500),
            ("40001", 500),
            ("40P01", 500),
            ("42501", 403),
            ("42601", 400),
            ("42703", 400),
            ("42883", 404),
            ("42P01", 404),
            ("42P17", 500),
            ("53300", 503),
            ("53400", 500),
            ("54001", 500),
            ("55000", 500),
            ("57014", 500),
            ("57P01", 503),
            ("58000", 500),
            ("F0000", 500),
            ("HV000", 500),
            ("P0001", 400),
            ("P0002", 500),
            ("PT402", 402),
            ("PT101", 500),
            ("PTxyz", 500),
            ("XX000", 500),
            ("", 400),
            ("é", 400),
        ];
        for (code, expected) in table {
            let error = Error::from_database(&facts(code, "m"), false);
            assert_eq!(error.status.as_u16(), expected, "{code}");
        }
    }

    #[test]
    fn missing_rights_mean_another_thing_to_the_anonymous() {
        let response =
            Error::from_database(&facts("42501", "permission denied"), true).to_response();
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers["www-authenticate"], "Bearer");
        let unknown = Error::from_database(&facts("22023", "role \"x\" does not exist"), false);
        assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
        let guarded =
            Error::from_database(&facts("21000", "DELETE requires a WHERE clause"), false);
        assert_eq!(guarded.status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn our_own_marks_are_recognised_whatever_the_language() {
        let message = "ungültige Eingabe für Typ integer: »~plinth~PGRST116~3«";
        let error = Error::from_database(&facts("22P02", message), false);
        assert_eq!(error.code, "PGRST116");
        assert_eq!(error.details, "The result contains 3 rows");
        let other = Error::from_database(&facts("22P02", "~plinth~PGRST116~x"), false);
        assert_eq!(other.code, "22P02");
    }

    #[test]
    fn sql_may_raise_a_whole_answer() {
        let mut raised = facts("PGRST", r#"{"code":"123","message":"Pay up","hint":"Money"}"#);
        raised.detail =
            Some(r#"{"status":402,"status_text":"Pay","headers":{"X-Powered-By":"me"}}"#);
        let error = Error::from_database(&raised, false);
        assert_eq!((error.status.as_u16(), error.code.as_str()), (402, "123"));
        assert_eq!(error.hint.as_deref(), Some("Money"));
        assert_eq!(error.to_response().reason.unwrap().as_str(), "Pay");
        assert_eq!(error.to_response().headers["x-powered-by"], "me");
    }

    #[test]
    fn a_raised_status_is_called_what_its_message_says() {
        let named = |code, message| {
            let error = Error::from_database(&facts(code, message), false);
            error.reason.clone().map(|reason| reason.as_str().to_owned())
        };
        assert_eq!(named("PT402", "Payment Required"), Some("Payment Required".to_owned()));
        assert_eq!(named("PT402", "two\r\nlines: x"), None);
        assert_eq!(named("PT40A", "Wrong"), None);
        assert_eq!(named("P0001", "Wrong"), None);
    }

    #[test]
    fn a_broken_raise_is_told() {
        let told = |message, detail| {
            let error = Error::from_database(
                &DatabaseFacts { code: "PGRST", message, detail, hint: None },
                false,
            );
            assert_eq!((error.code.as_str(), error.status.as_u16()), ("PGRST121", 500));
            error.details.as_str().unwrap().to_owned()
        };
        assert_eq!(told("INVALID", None), "Invalid JSON value for MESSAGE: 'INVALID'");
        let message = r#"{"code":"1","message":"m"}"#;
        assert_eq!(told(message, None), "DETAIL is missing in the RAISE statement");
        assert_eq!(told(message, Some("{}")), "Invalid JSON value for DETAIL: '{}'");
        let status = r#"{"status":9999,"headers":{}}"#;
        assert!(told(message, Some(status)).starts_with("Invalid JSON value for DETAIL"));
    }
}
