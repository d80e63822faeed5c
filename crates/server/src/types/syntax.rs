//! TypeScript types as values, and their layout: two spaces, no semicolons, lines of 80 columns where a type can be
//! broken, as prettier lays out the files that people have checked in.

/// The width at which a type is broken into lines.
const WIDTH: usize = 80;

/// A TypeScript type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ts {
    /// A name or a reference; never broken.
    Name(String),
    /// A string literal.
    Literal(String),
    /// `{ a: string; b?: number }`.
    Object(Vec<Field>),
    /// An object that is laid out in lines even if it would fit into one.
    Block(Vec<Field>),
    /// `A | B`.
    Union(Vec<Ts>),
    /// `A[]`.
    Array(Box<Ts>),
    /// `["a", "b"]`; as a value, too.
    Tuple(Vec<Ts>),
    /// As `Tuple`, laid out in lines unless it is empty.
    List(Vec<Ts>),
    /// What a call returns that the API refuses: supabase-js shows the message to who writes such a call.
    Refusal(String),
}

/// A property of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    name: String,
    optional: bool,
    ts: Ts,
}

impl Field {
    pub(super) fn new(name: &str, ts: Ts) -> Self {
        Self { name: name.to_owned(), optional: false, ts }
    }

    pub(super) fn optional(name: &str, ts: Ts) -> Self {
        Self { name: name.to_owned(), optional: true, ts }
    }

    /// Writes the property as lines of its own, indented by `indent`.
    pub(super) fn write(&self, out: &mut String, indent: usize, separator: &str) {
        let key = format!("{}{}", " ".repeat(indent), self.key());
        let used = key.chars().count() + 1;
        out.push_str(&key);
        if !matches!(self.ts, Ts::Union(_)) || self.ts.line_within(used).is_some() {
            out.push(' ');
            self.ts.write(out, indent, used, separator);
        } else if let Some(line) = self.ts.line_within(indent + 2) {
            out.push_str(&format!("\n{}{line}", " ".repeat(indent + 2)));
        } else {
            self.ts.write(out, indent, used, separator);
        }
        out.push_str(separator);
        out.push('\n');
    }

    fn key(&self) -> String {
        let mark = if self.optional { "?" } else { "" };
        format!("{}{mark}:", property(&self.name))
    }
}

impl Ts {
    pub(super) fn name(name: impl Into<String>) -> Self {
        Self::Name(name.into())
    }

    /// `self | null`. `unknown` has null among its values already.
    pub(super) fn or_null(self) -> Self {
        match self {
            Self::Name(name) if name == "unknown" => Self::Name(name),
            Self::Union(mut types) => {
                types.push(Self::name("null"));
                Self::Union(types)
            }
            other => Self::Union(vec![other, Self::name("null")]),
        }
    }

    pub(super) fn array_of(self) -> Self {
        Self::Array(Box::new(self))
    }

    /// A block, or what stands for an object without any property.
    pub(super) fn block_or_nothing(fields: Vec<Field>) -> Self {
        if fields.is_empty() {
            return Self::Block(vec![Field::new("[_ in never]", Self::name("never"))]);
        }
        Self::Block(fields)
    }

    /// Writes the type behind `used` columns of its line; further lines are indented by `indent`.
    ///
    /// `separator` ends the properties of blocks: nothing in types, a comma in values.
    pub(super) fn write(&self, out: &mut String, indent: usize, used: usize, separator: &str) {
        if let Some(line) = self.line_within(used) {
            out.push_str(&line);
            return;
        }
        match self {
            Self::Object(fields) | Self::Block(fields) => {
                out.push_str("{\n");
                for field in fields {
                    field.write(out, indent + 2, separator);
                }
                out.push_str(&format!("{}}}", " ".repeat(indent)));
            }
            Self::Union(types) => {
                for ts in types {
                    out.push_str(&format!("\n{}| ", " ".repeat(indent + 2)));
                    ts.write(out, indent + 4, indent + 4, separator);
                }
            }
            Self::Tuple(items) | Self::List(items) => {
                out.push_str("[\n");
                for item in items {
                    out.push_str(&" ".repeat(indent + 2));
                    item.write(out, indent + 2, indent + 2, separator);
                    out.push_str(",\n");
                }
                out.push_str(&format!("{}]", " ".repeat(indent)));
            }
            Self::Array(element) => {
                let (open, close) = element.parentheses();
                out.push_str(open);
                element.write(out, indent, used + open.len(), separator);
                out.push_str(close);
                out.push_str("[]");
            }
            Self::Refusal(message) => {
                let (inner, outer) = (" ".repeat(indent + 2), " ".repeat(indent));
                out.push_str(&format!("{{\n{inner}error: true\n{outer}}} & {}", literal(message)));
            }
            Self::Name(text) => out.push_str(text),
            Self::Literal(text) => out.push_str(&literal(text)),
        }
    }

    /// The type on one line, if it fits behind `used` columns.
    fn line_within(&self, used: usize) -> Option<String> {
        self.line().filter(|line| used + line.chars().count() <= WIDTH)
    }

    /// The type on one line, unless it must be broken.
    fn line(&self) -> Option<String> {
        let join = |types: &[Ts], separator: &str| {
            let parts: Option<Vec<String>> = types.iter().map(Self::line).collect();
            Some(parts?.join(separator))
        };
        match self {
            Self::Name(text) => Some(text.clone()),
            Self::Literal(text) => Some(literal(text)),
            Self::Object(fields) => {
                let parts: Option<Vec<String>> = fields
                    .iter()
                    .map(|field| Some(format!("{} {}", field.key(), field.ts.line()?)))
                    .collect();
                Some(format!("{{ {} }}", parts?.join("; ")))
            }
            Self::Block(fields) => fields.is_empty().then(|| "{}".to_owned()),
            Self::Union(types) => join(types, " | "),
            Self::Tuple(items) => Some(format!("[{}]", join(items, ", ")?)),
            Self::List(items) => items.is_empty().then(|| "[]".to_owned()),
            Self::Array(element) => {
                let (open, close) = element.parentheses();
                Some(format!("{open}{}{close}[]", element.line()?))
            }
            Self::Refusal(_) => None,
        }
    }

    fn parentheses(&self) -> (&'static str, &'static str) {
        if matches!(self, Self::Union(_)) { ("(", ")") } else { ("", "") }
    }
}

/// A string literal, in the quotes that need fewer escapes.
pub(super) fn literal(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    if text.matches('"').count() <= text.matches('\'').count() {
        return quoted;
    }
    let inside = quoted[1..quoted.len() - 1].replace("\\\"", "\"").replace('\'', "\\'");
    format!("'{inside}'")
}

/// A property's name, quoted where it must be. The mapped `[_ in never]` is no name.
fn property(name: &str) -> String {
    let mut characters = name.chars();
    let starts = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == '$');
    let plain = starts && characters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
    if plain || name == "[_ in never]" { name.to_owned() } else { literal(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(ts: &Ts) -> String {
        let mut out = String::new();
        Field::new("key", ts.clone()).write(&mut out, 0, "");
        out.trim_end().to_owned()
    }

    fn string() -> Ts {
        Ts::name("string")
    }

    #[test]
    fn what_fits_stays_on_one_line() {
        let args = Ts::Object(vec![Field::new("a", string()), Field::optional("b-c", string())]);
        assert_eq!(written(&args), r#"key: { a: string; "b-c"?: string }"#);
        assert_eq!(written(&string().or_null().array_of()), "key: (string | null)[]");
        assert_eq!(written(&Ts::name("unknown").or_null()), "key: unknown");
    }

    #[test]
    fn long_unions_are_broken_before_each_alternative() {
        let long = "x".repeat(40);
        let union = Ts::Union(vec![Ts::Literal(long.clone()), Ts::Literal(long.clone())]);
        assert_eq!(written(&union), format!("key:\n  | \"{long}\"\n  | \"{long}\""));
        let (x, y) = ("x".repeat(36), "y".repeat(35));
        let shorter = Ts::Union(vec![Ts::Literal(x.clone()), Ts::Literal(y.clone())]);
        assert_eq!(written(&shorter), format!("key:\n  \"{x}\" | \"{y}\""));
        let nested = Ts::Block(vec![Field::new("inner", union)]);
        assert_eq!(
            written(&nested),
            format!("key: {{\n  inner:\n    | \"{long}\"\n    | \"{long}\"\n}}")
        );
    }

    #[test]
    fn objects_in_a_broken_union_are_aligned_behind_the_bar() {
        let block = Ts::Block(vec![Field::new("a", string())]);
        let union = Ts::Union(vec![block, Ts::Object(vec![Field::new("b", string())])]);
        assert_eq!(written(&union), "key:\n  | {\n      a: string\n    }\n  | { b: string }");
    }

    #[test]
    fn literals_use_the_quotes_that_need_fewer_escapes() {
        assert_eq!(literal("a"), r#""a""#);
        assert_eq!(literal("it's"), r#""it's""#);
        assert_eq!(literal(r#"3" x"#), r#"'3" x'"#);
        assert_eq!(literal(r#"'a" ""#), r#"'\'a" "'"#);
        assert_eq!(literal("\\"), r#""\\""#);
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        for (name, expected) in [("a_1$", "a_1$"), ("1a", "\"1a\""), ("", "\"\""), ("é", "\"é\"")]
        {
            assert_eq!(property(name), expected);
        }
    }
}
