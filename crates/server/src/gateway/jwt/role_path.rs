//! Where in the claims the role is (`jwt-role-claim-key`).
//!
//! Two languages: JSONPath (RFC 9535), which begins with `$`, and the older one that begins with a
//! dot, has comparisons of its own for the elements of a list, and slices of the text that was found.

use serde_json::Value;
use serde_json_path::JsonPath;

/// The text is no path.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("failed to parse role-claim-key value ({0})")]
pub struct NoPath(String);

/// The way to the role.
#[derive(Debug, Clone)]
pub struct RolePath {
    text: String,
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    Standard(JsonPath),
    Dotted(Vec<Step>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
    /// The first element that is a text and compares like this.
    First(Comparison, String),
    /// Characters of a text, Python's way.
    Slice(Option<i64>, Option<i64>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    StartsWith,
    EndsWith,
    Contains,
}

impl Default for RolePath {
    /// The claim `role`.
    fn default() -> Self {
        let way = Way::Dotted(vec![Step::Key("role".to_owned())]);
        Self { text: "$.role".to_owned(), way }
    }
}

impl PartialEq for RolePath {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl RolePath {
    /// Reads a path in either language.
    ///
    /// # Errors
    ///
    /// [`NoPath`] when it is none.
    pub fn parse(text: &str) -> Result<Self, NoPath> {
        let wrong = || NoPath(text.to_owned());
        let way = if text.starts_with('$') {
            Way::Standard(JsonPath::parse(text).map_err(|_| wrong())?)
        } else {
            Way::Dotted(steps(text).ok_or_else(wrong)?)
        };
        Ok(Self { text: text.to_owned(), way })
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The role that `claims` name: a text as it is, anything else as JSON.
    pub(super) fn find(&self, claims: &Value) -> Option<String> {
        match &self.way {
            Way::Standard(path) => path.query(claims).first().map(text_of),
            Way::Dotted(steps) => follow(claims, steps),
        }
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn follow(value: &Value, steps: &[Step]) -> Option<String> {
    let Some((step, rest)) = steps.split_first() else { return Some(text_of(value)) };
    match step {
        Step::Key(key) => follow(value.as_object()?.get(key)?, rest),
        Step::Index(index) => follow(value.as_array()?.get(*index)?, rest),
        Step::First(comparison, operand) => {
            let matches = |element: &&Value| {
                element.as_str().is_some_and(|text| comparison.holds(text, operand))
            };
            follow(value.as_array()?.iter().find(matches)?, rest)
        }
        // An empty slice is no role.
        Step::Slice(from, to) => {
            Some(slice(value.as_str()?, *from, *to)).filter(|role| !role.is_empty())
        }
    }
}

fn slice(text: &str, from: Option<i64>, to: Option<i64>) -> String {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let place = |index: i64| {
        let index = if index < 0 { index.saturating_add(length) } else { index };
        usize::try_from(index.clamp(0, length)).unwrap_or(0)
    };
    let (from, to) = (place(from.unwrap_or(0)), place(to.unwrap_or(length)));
    text.chars().take(to).skip(from).collect()
}

impl Comparison {
    /// Longer operators first, since some are the beginning of others.
    const ALL: [(&str, Self); 5] = [
        ("==^", Self::EndsWith),
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("^==", Self::StartsWith),
        ("*==", Self::Contains),
    ];

    fn holds(self, text: &str, operand: &str) -> bool {
        match self {
            Self::Equal => text == operand,
            Self::NotEqual => text != operand,
            Self::StartsWith => text.starts_with(operand),
            Self::EndsWith => text.ends_with(operand),
            Self::Contains => text.contains(operand),
        }
    }
}

fn steps(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        // Nothing can be looked up in the text that a slice gives.
        if matches!(steps.last(), Some(Step::Slice(..))) {
            return None;
        }
        let (step, after) = one_step(rest)?;
        // A comparison ends the path, but for a slice of what it found.
        if matches!(steps.last(), Some(Step::First(..))) && !matches!(step, Step::Slice(..)) {
            return None;
        }
        steps.push(step);
        rest = after;
    }
    if steps.is_empty() { None } else { Some(steps) }
}

fn one_step(text: &str) -> Option<(Step, &str)> {
    if let Some(rest) = text.strip_prefix('.') {
        if let Some((key, rest)) = quoted(rest) {
            return Some((Step::Key(key.to_owned()), rest));
        }
        let bare = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '@');
        let end = rest.find(|c| !bare(c)).unwrap_or(rest.len());
        let (key, rest) = rest.split_at(end);
        return (!key.is_empty()).then(|| (Step::Key(key.to_owned()), rest));
    }
    if let Some(rest) = text.strip_prefix("[?(@") {
        let rest = rest.trim_start();
        let (comparison, rest) = Comparison::ALL
            .into_iter()
            .find_map(|(sign, comparison)| Some((comparison, rest.strip_prefix(sign)?)))?;
        let (operand, rest) = quoted(rest.trim_start())?;
        return Some((Step::First(comparison, operand.to_owned()), rest.strip_prefix(")]")?));
    }
    let (inside, rest) = text.strip_prefix('[')?.split_once(']')?;
    let Some((from, to)) = inside.split_once(':') else {
        let digits = !inside.is_empty() && inside.bytes().all(|b| b.is_ascii_digit());
        return digits
            .then(|| inside.parse().ok())
            .flatten()
            .map(|index| (Step::Index(index), rest));
    };
    Some((Step::Slice(bound(from)?, bound(to)?), rest))
}

/// A bound of a slice; `Some(None)` when it is left out.
#[expect(clippy::option_option, reason = "whether it is malformed, and whether it is there")]
fn bound(text: &str) -> Option<Option<i64>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('"')?.split_once('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn role(path: &str, claims: &Value) -> Option<String> {
        RolePath::parse(path).unwrap().find(claims)
    }

    #[test]
    fn both_languages_lead_to_the_role() {
        let claims = json!({
            "role": "plain",
            "app": {"roles": ["reader", "writer", {"name": "deep"}]},
            "https://example.org/role": "quoted",
            "groups": ["/admins", "team-blue", "team-red-lead"],
        });
        for (path, found) in [
            (".role", "plain"),
            (".app.roles[1]", "writer"),
            (".app.roles[2].name", "deep"),
            (".\"https://example.org/role\"", "quoted"),
            (".groups[?(@ == \"team-blue\")]", "team-blue"),
            (".groups[?(@ != \"/admins\")]", "team-blue"),
            (".groups[?(@ ^== \"team-r\")]", "team-red-lead"),
            (".groups[?(@ ==^ \"lead\")]", "team-red-lead"),
            (".groups[?(@ *== \"adm\")]", "/admins"),
            (".groups[0][1:]", "admins"),
            (".groups[?(@ ^== \"/\")][1:-1]", "admin"),
            ("$.role", "plain"),
            ("$.app.roles[1]", "writer"),
            ("$['https://example.org/role']", "quoted"),
            ("$.groups[?(@ == 'team-blue')]", "team-blue"),
            ("$.groups[?search(@, 'red')]", "team-red-lead"),
        ] {
            assert_eq!(role(path, &claims).as_deref(), Some(found), "{path}");
        }
        for path in
            [".none", ".role.deeper", ".app.roles[9]", ".role[0]", "$.none", ".groups[0][9:]"]
        {
            assert_eq!(role(path, &claims), None, "{path}");
        }
        assert_eq!(role(".n", &json!({"n": 7})).as_deref(), Some("7"), "what is no text is JSON");
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_text() {
        for path in [
            "",
            "role",
            "role.other",
            ".role##",
            ".my_role;;domain",
            ".#$$%&$%/",
            "1234",
            ".",
            ".a..b",
            ".role[?(@ =)]",
            ".a[-1]",
            ".a[",
            ".a[?(@ == \"x\")].b",
            ".\"a",
            "$.",
            "$.a[",
            ".a[1:2].b",
        ] {
            let error = RolePath::parse(path).unwrap_err().to_string();
            assert_eq!(error, format!("failed to parse role-claim-key value ({path})"));
        }
    }
}
