//! Media types: what a client accepts and what its body is.

use http::{HeaderMap, HeaderValue, header};

/// A media type as far as the API tells them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MediaType {
    Json,
    GeoJson,
    Csv,
    PlainText,
    Xml,
    OpenApi,
    Form,
    OctetStream,
    Any,
    /// `application/vnd.pgrst.array+json;nulls=stripped`
    StrippedArray,
    /// `application/vnd.pgrst.object+json`
    Singular {
        stripped: bool,
    },
    /// `application/vnd.pgrst.plan`
    Plan(Box<PlanType>),
    Other(String),
}

/// The parameters of `application/vnd.pgrst.plan`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanType {
    /// What the explained query would have answered with.
    pub(crate) target: MediaType,
    /// `+json` rather than `+text`.
    pub(crate) json: bool,
    /// Of [`PLAN_OPTIONS`], in that order.
    pub(crate) options: Vec<&'static str>,
}

/// Options of EXPLAIN that a client may ask for.
pub(crate) const PLAN_OPTIONS: [&str; 5] = ["analyze", "verbose", "settings", "buffers", "wal"];

impl MediaType {
    /// Reads one media type with its parameters; never fails, what is unknown is `Other`.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim();
        let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
        let stripped = || parameter(parameters, "nulls").is_some_and(|value| value == "stripped");
        match essence.trim().to_ascii_lowercase().as_str() {
            "application/json" => Self::Json,
            "application/geo+json" => Self::GeoJson,
            "text/csv" => Self::Csv,
            "text/plain" => Self::PlainText,
            "text/xml" => Self::Xml,
            "application/openapi+json" => Self::OpenApi,
            "application/x-www-form-urlencoded" => Self::Form,
            "application/octet-stream" => Self::OctetStream,
            "*/*" => Self::Any,
            "application/vnd.pgrst.array+json" | "application/vnd.pgrst.array" => {
                if stripped() {
                    Self::StrippedArray
                } else {
                    Self::Json
                }
            }
            "application/vnd.pgrst.object+json" | "application/vnd.pgrst.object" => {
                Self::Singular { stripped: stripped() }
            }
            "application/vnd.pgrst.plan" | "application/vnd.pgrst.plan+text" => {
                Self::plan(parameters, false)
            }
            "application/vnd.pgrst.plan+json" => Self::plan(parameters, true),
            _ => Self::Other(text.to_owned()),
        }
    }

    fn plan(parameters: &str, json: bool) -> Self {
        let target = parameter(parameters, "for").unwrap_or_else(|| "application/json".to_owned());
        let asked = parameter(parameters, "options").unwrap_or_default();
        let options =
            PLAN_OPTIONS.into_iter().filter(|it| asked.split('|').any(|word| word == *it));
        let target = Self::parse(&target);
        Self::Plan(Box::new(PlanType { target, json, options: options.collect() }))
    }

    /// The name, as in error messages.
    pub(crate) fn name(&self) -> String {
        let name = match self {
            Self::Json => "application/json",
            Self::GeoJson => "application/geo+json",
            Self::Csv => "text/csv",
            Self::PlainText => "text/plain",
            Self::Xml => "text/xml",
            Self::OpenApi => "application/openapi+json",
            Self::Form => "application/x-www-form-urlencoded",
            Self::OctetStream => "application/octet-stream",
            Self::Any => "*/*",
            Self::StrippedArray => "application/vnd.pgrst.array+json;nulls=stripped",
            Self::Singular { stripped: false } => "application/vnd.pgrst.object+json",
            Self::Singular { stripped: true } => "application/vnd.pgrst.object+json;nulls=stripped",
            Self::Other(name) => name,
            Self::Plan(plan) => return plan.name(),
        };
        name.to_owned()
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(&self) -> HeaderValue {
        if *self == Self::Json {
            return HeaderValue::from_static("application/json; charset=utf-8");
        }
        let charset = match self {
            Self::OctetStream | Self::Other(_) => "",
            _ => "; charset=utf-8",
        };
        let text = format!("{}{charset}", self.name());
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
    }

    /// Whether exactly one row is asked for, also by the plan of such a request.
    pub(crate) fn is_singular(&self) -> bool {
        matches!(self, Self::Singular { .. })
    }
}

impl PlanType {
    fn name(&self) -> String {
        let format = if self.json { "json" } else { "text" };
        let target = self.target.name();
        let options = if self.options.is_empty() {
            String::new()
        } else {
            format!("; options={}", self.options.join("|"))
        };
        format!("application/vnd.pgrst.plan+{format}; for=\"{target}\"{options}")
    }
}

/// The value of a parameter, unquoted.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let mut rest = parameters;
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(';').unwrap_or((after, "")),
        };
        if key.trim_start_matches([';', ' ']).trim().eq_ignore_ascii_case(name) {
            return Some(value.trim().to_owned());
        }
        rest = next.trim_start_matches([';', ' ']);
    }
    None
}

/// The accepted types, best first: by `q`, then the more specific ones, then as written.
pub(crate) fn accepted(headers: &HeaderMap) -> Vec<MediaType> {
    let Some(value) = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()) else {
        return vec![MediaType::Any];
    };
    match value {
        "application/json" => return vec![MediaType::Json],
        "*/*" => return vec![MediaType::Any],
        _ => {}
    }
    let mut ranked: Vec<(i32, i32, MediaType)> = split(value).into_iter().map(rank).collect();
    ranked.sort_by_key(|(quality, specificity, _)| (-quality, -specificity));
    ranked.into_iter().map(|(_, _, media)| media).collect()
}

/// Splits at commas outside quotes.
fn split(value: &str) -> Vec<&str> {
    let mut quoted = false;
    let parts = value.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// Quality in thousandths, specificity, type.
fn rank(text: &str) -> (i32, i32, MediaType) {
    let quality = parameter(text.split_once(';').map_or("", |(_, rest)| rest), "q");
    let quality = quality.and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0).clamp(0.0, 1.0);
    let count = |c| i32::try_from(text.matches(c).count()).unwrap_or(i32::MAX);
    // An error message has always named the types without their blanks.
    let packed: String = text.chars().filter(|c| *c != ' ').collect();
    let without_quality = packed.split(";q=").next().unwrap_or(&packed);
    ((quality * 1000.0) as i32, count(';') - count('*'), MediaType::parse(without_quality))
}

/// The type of the body; JSON when nothing is said.
pub(crate) fn content_type(headers: &HeaderMap) -> MediaType {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.map_or(MediaType::Json, MediaType::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &'static str) -> Vec<MediaType> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(value));
        accepted(&headers)
    }

    #[test]
    fn vendor_types_have_parameters() {
        let parse = MediaType::parse;
        assert_eq!(
            parse("ApplicatIon/vnd.PgRsT.object+json"),
            MediaType::Singular { stripped: false }
        );
        let stripped = parse("application/vnd.pgrst.object+json; nulls=stripped");
        assert_eq!(stripped, MediaType::Singular { stripped: true });
        assert_eq!(parse("application/vnd.pgrst.array+json"), MediaType::Json);
        assert_eq!(
            parse("application/vnd.pgrst.array+json;nulls=stripped"),
            MediaType::StrippedArray
        );
        assert_eq!(parse("application/vnd.twkb"), MediaType::Other("application/vnd.twkb".into()));
    }

    #[test]
    fn plan_types_keep_target_and_options() {
        let text = "application/vnd.pgrst.plan+json; for=\"text/csv\"; options=verbose|analyze|no";
        let name = "application/vnd.pgrst.plan+json; for=\"text/csv\"; options=analyze|verbose";
        assert_eq!(MediaType::parse(text).name(), name);
        let plain = MediaType::parse("application/vnd.pgrst.plan;").name();
        assert_eq!(plain, "application/vnd.pgrst.plan+text; for=\"application/json\"");
    }

    #[test]
    fn accepted_types_are_sorted_by_quality_then_specificity() {
        let sorted = accept("*/*, text/csv;q=0.5, application/json");
        assert_eq!(sorted, [MediaType::Json, MediaType::Any, MediaType::Csv]);
        assert_eq!(accept("text/html,*/*;q=0.8")[1], MediaType::Any);
        assert_eq!(accepted(&HeaderMap::new()), [MediaType::Any]);
    }

    #[test]
    fn broken_types_are_other_types() {
        for text in ["", ";", "a/b;c=\"open", "application", "=;=", "\"\""] {
            assert!(matches!(MediaType::parse(text), MediaType::Other(_)), "{text}");
        }
    }
}
