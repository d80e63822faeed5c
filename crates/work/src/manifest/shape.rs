//! What a table of the manifest may hold. One declaration is the reader's, the JSON schema's and the documentation's.

use super::name::Name;

/// A kind of table.
pub(super) struct Shape {
    /// Its name among the definitions of the JSON schema.
    pub id: &'static str,
    /// How it is written, for headings and messages: `[[binding]]`.
    pub title: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its keys, in the order of the documentation.
    pub groups: &'static [&'static [Key]],
    /// Keys that stand for each other.
    pub choices: &'static [Choice],
    /// Keys that mean something only beside another: the first beside the second.
    pub needs: &'static [(&'static str, &'static str)],
}

/// Keys of which at most one may be given.
#[derive(Clone, Copy)]
pub(super) struct Choice {
    pub keys: &'static [&'static str],
    /// Whether one of them must be given.
    pub required: bool,
}

/// One key of a table.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub name: &'static str,
    pub form: Form,
    pub need: Need,
    /// What it means, in sentences.
    pub about: &'static str,
}

/// Whether a key must be given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    Optional,
    /// What is meant without it, as TOML.
    Default(&'static str),
}

/// What a value looks like.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Any text that is not empty.
    Text,
    /// A text, or as many of them.
    Texts { most: usize },
    /// Texts by name.
    TextTable,
    /// A name of one's own: small letters, digits, `-` and `_`.
    Name,
    /// `table` or `schema.table`.
    Relation,
    /// Name of a column.
    Column,
    /// Name of an action.
    Action,
    /// `env:NAME`.
    Secret,
    /// `env:NAME`, or as many of them.
    Secrets { most: usize },
    /// One statement.
    Statement(&'static [Name]),
    /// One statement, or a list of them.
    Statements(&'static [Name]),
    /// An expression.
    Expression(&'static [Name]),
    /// A length of time, bounds in milliseconds.
    Span { least: u64, most: u64 },
    /// A whole number.
    Integer { least: u32, most: u32 },
    /// Any number.
    Number { least: f64, most: f64 },
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any table.
    Settings,
    /// Lists of columns by table.
    Columns,
    /// A table of this shape.
    Table(&'static Shape),
    /// Tables of this shape.
    Tables { shape: &'static Shape, most: usize },
    /// One of two forms.
    Either(&'static Form, &'static Form),
}

impl Shape {
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

impl Form {
    /// What it is, for messages: "must be …".
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Texts { .. } => "a text or a list of texts".to_owned(),
            Self::TextTable => "a table of texts".to_owned(),
            Self::Name => "a name".to_owned(),
            Self::Relation => "the name of a table, such as `tweets` or `app.tweets`".to_owned(),
            Self::Column => "the name of a column".to_owned(),
            Self::Action => "the name of an action, such as `http.request`".to_owned(),
            Self::Secret => "`env:` and the name of an environment variable".to_owned(),
            Self::Secrets { .. } => {
                "`env:` and the name of an environment variable, or a list of such".to_owned()
            }
            Self::Statement(_) => "a text with an SQL statement".to_owned(),
            Self::Statements(_) => "a text with SQL statements, or a list of such".to_owned(),
            Self::Expression(_) => "a text with an SQL expression".to_owned(),
            Self::Span { .. } => format!("a length of time such as {}", super::span::LIKE),
            Self::Integer { .. } => "a whole number".to_owned(),
            Self::Number { .. } => "a number".to_owned(),
            Self::Switch => "true or false".to_owned(),
            Self::Word(words) => format!("one of {}", super::spell::listed(*words)),
            Self::Settings | Self::Table(_) => "a table".to_owned(),
            Self::Columns => "lists of columns by table".to_owned(),
            Self::Tables { .. } => "a list of tables".to_owned(),
            Self::Either(one, other) => format!("{}, or {}", one.describe(), other.describe()),
        }
    }
}
