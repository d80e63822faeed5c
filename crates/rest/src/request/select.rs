//! `select=column,alias:column::type,rel!hint!inner(…),...spread(…),column.sum()`.

use super::cursor::{Cursor, Expected};
use super::field::{self, Field, Text};
use crate::Error;
use crate::ident::CastType;

/// Embeds nested deeper than this are refused.
const MAX_DEPTH: usize = 32;

/// Aggregate functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Sum,
    Average,
    Count,
    Max,
    Min,
}

/// How an embed joins its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Join {
    Left,
    Inner,
}

/// A selected column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SelectField<'a> {
    pub(crate) field: Field<'a>,
    pub(crate) cast: Option<CastType<'a>>,
    pub(crate) aggregate: Option<Aggregate>,
    /// Cast of the aggregate's result.
    pub(crate) aggregate_cast: Option<CastType<'a>>,
    pub(crate) alias: Option<Text<'a>>,
}

/// An embedded relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SelectEmbed<'a> {
    pub(crate) name: Text<'a>,
    pub(crate) alias: Option<Text<'a>>,
    pub(crate) hint: Option<Text<'a>>,
    pub(crate) join: Option<Join>,
    /// `...rel(…)`: its columns belong to the parent.
    pub(crate) spread: bool,
    pub(crate) items: Vec<SelectItem<'a>>,
}

/// One item of a `select`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SelectItem<'a> {
    Field(SelectField<'a>),
    Embed(SelectEmbed<'a>),
}

/// Parses the value of `select=…`.
pub(crate) fn select(value: &str) -> Result<Vec<SelectItem<'_>>, Error> {
    let mut cursor = Cursor::new(value);
    // Whatever follows the last item is left alone, as it always was: items end at `,` or `)`.
    match items(&mut cursor, 0) {
        Some(items) => Ok(items),
        None => Err(cursor.error(&format!("failed to parse select parameter ({value})"), 0)),
    }
}

/// Parses `columns=…` and `on_conflict=…`, named `parameter` in the error.
pub(crate) fn columns<'a>(parameter: &str, value: &'a str) -> Result<Vec<Text<'a>>, Error> {
    let mut cursor = Cursor::new(value);
    let mut names = Vec::new();
    loop {
        match field::name(&mut cursor) {
            Some(name) => names.push(name),
            None => {
                let source = format!("failed to parse {parameter} parameter ({value})");
                return Err(cursor.error(&source, 0));
            }
        }
        cursor.blanks();
        if !cursor.token(",") {
            return Ok(names);
        }
        cursor.commit();
        cursor.blanks();
    }
}

fn items<'a>(cursor: &mut Cursor<'a>, depth: usize) -> Option<Vec<SelectItem<'a>>> {
    if depth > MAX_DEPTH {
        cursor.miss(Expected::Label("a less deeply nested select"));
        return None;
    }
    let mut items = Vec::new();
    if cursor.rest().is_empty() || cursor.peek() == Some(')') {
        return Some(items);
    }
    loop {
        items.push(item(cursor, depth)?);
        cursor.blanks();
        if !cursor.token(",") {
            return Some(items);
        }
        cursor.commit();
        cursor.blanks();
    }
}

fn item<'a>(cursor: &mut Cursor<'a>, depth: usize) -> Option<SelectItem<'a>> {
    cursor.blanks();
    if cursor.rest().starts_with('*') {
        return star(cursor).map(SelectItem::Field);
    }
    let mark = cursor.mark();
    let spread = cursor.rest().starts_with("...");
    if let Some(embed) = embed_head(cursor) {
        return embed_items(cursor, embed, depth).map(SelectItem::Embed);
    }
    if spread {
        return None;
    }
    cursor.forget(mark);
    if field::starts_name(cursor) { column(cursor).map(SelectItem::Field) } else { no_item(cursor) }
}

/// Notes all that an item may begin with.
fn no_item<T>(cursor: &mut Cursor<'_>) -> Option<T> {
    cursor.miss(Expected::Token("..."));
    cursor.miss(Expected::Label(field::NAME));
    cursor.miss(Expected::Token("*"));
    cursor.miss(Expected::Token("count()"));
    None
}

/// Everything of an embed up to its `(`.
fn embed_head<'a>(cursor: &mut Cursor<'a>) -> Option<SelectEmbed<'a>> {
    let spread = cursor.rest().starts_with("...");
    if spread {
        cursor.advance("...".len());
    }
    let mut alias = None;
    let mut name = field::name(cursor)?;
    if !spread && alias_separator(cursor) {
        alias = Some(name);
        name = field::name(cursor)?;
    }
    if name == "count" && !spread {
        return None;
    }
    let (mut hint, mut join) = (None, None);
    for _ in 0..2 {
        if !cursor.token("!") {
            break;
        }
        // As ever, a word that merely starts with `left` or `inner` is one, followed by rubbish.
        if cursor.token("left") {
            join = join.or(Some(Join::Left));
        } else if cursor.token("inner") {
            join = join.or(Some(Join::Inner));
        } else {
            let name = field::name(cursor)?;
            hint = hint.or(Some(name));
        }
    }
    cursor.ahead("(").then_some(SelectEmbed { name, alias, hint, join, spread, items: Vec::new() })
}

fn embed_items<'a>(
    cursor: &mut Cursor<'a>,
    mut embed: SelectEmbed<'a>,
    depth: usize,
) -> Option<SelectEmbed<'a>> {
    cursor.advance(1);
    cursor.commit();
    embed.items = items(cursor, depth + 1)?;
    cursor.token(")").then_some(embed)
}

/// A single `:`.
fn alias_separator(cursor: &mut Cursor<'_>) -> bool {
    let rest = cursor.rest();
    let found = rest.starts_with(':') && !rest.starts_with("::");
    if found {
        cursor.advance(1);
    }
    found
}

fn star<'a>(cursor: &mut Cursor<'a>) -> Option<SelectField<'a>> {
    cursor.advance(1);
    ends(cursor).then(|| plain(Field::star()))
}

fn plain(field: Field<'_>) -> SelectField<'_> {
    SelectField { field, cast: None, aggregate: None, aggregate_cast: None, alias: None }
}

fn column<'a>(cursor: &mut Cursor<'a>) -> Option<SelectField<'a>> {
    let alias = alias(cursor);
    cursor.blanks();
    if cursor.rest().starts_with("count()") {
        return count(cursor, alias);
    }
    let mut selected = SelectField { alias, ..plain(field::field(cursor)?) };
    selected.cast = cast(cursor)?;
    selected.aggregate = aggregate(cursor);
    if selected.aggregate.is_some() {
        selected.aggregate_cast = cast(cursor)?;
    }
    ends(cursor).then_some(selected)
}

fn alias<'a>(cursor: &mut Cursor<'a>) -> Option<Text<'a>> {
    let mark = cursor.mark();
    if let Some(name) = field::name(cursor)
        && alias_separator(cursor)
    {
        return Some(name);
    }
    cursor.forget(mark);
    None
}

/// `count()`, which counts rows.
fn count<'a>(cursor: &mut Cursor<'a>, alias: Option<Text<'a>>) -> Option<SelectField<'a>> {
    cursor.advance("count()".len());
    let aggregate_cast = cast(cursor)?;
    let aggregate = Some(Aggregate::Count);
    let selected = SelectField { alias, aggregate, aggregate_cast, ..plain(Field::star()) };
    ends(cursor).then_some(selected)
}

/// `::type`; the outer `Option` is failure, the inner one absence.
#[expect(
    clippy::option_option,
    reason = "every parser here returns `Option`, and a cast may be absent"
)]
fn cast<'a>(cursor: &mut Cursor<'a>) -> Option<Option<CastType<'a>>> {
    if !cursor.token("::") {
        return Some(None);
    }
    CastType::new(field::identifier(cursor)?).map(Some)
}

/// `.sum()` and its like.
fn aggregate(cursor: &mut Cursor<'_>) -> Option<Aggregate> {
    const FUNCTIONS: [(&str, Aggregate); 5] = [
        ("sum", Aggregate::Sum),
        ("avg", Aggregate::Average),
        ("count", Aggregate::Count),
        ("max", Aggregate::Max),
        ("min", Aggregate::Min),
    ];
    let mark = cursor.mark();
    if !cursor.token(".") {
        return None;
    }
    for (word, aggregate) in FUNCTIONS {
        if cursor.token(word) {
            if cursor.token("()") {
                return Some(aggregate);
            }
            break;
        }
        // A word that begins like one of these three cannot be another.
        if !word.starts_with('m') && cursor.rest().starts_with(&word[..1]) {
            break;
        }
    }
    cursor.rewind(mark);
    None
}

fn ends(cursor: &mut Cursor<'_>) -> bool {
    cursor.blanks();
    cursor.ahead(")") || cursor.ahead(",") || cursor.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: &str) -> SelectItem<'_> {
        select(value).unwrap().pop().unwrap()
    }

    fn field_of(value: &str) -> SelectField<'_> {
        match one(value) {
            SelectItem::Field(field) => field,
            SelectItem::Embed(embed) => panic!("{embed:?}"),
        }
    }

    fn embed_of(value: &str) -> SelectEmbed<'_> {
        match one(value) {
            SelectItem::Embed(embed) => embed,
            SelectItem::Field(field) => panic!("{field:?}"),
        }
    }

    fn failure(value: &str) -> (String, String) {
        let error = select(value).unwrap_err();
        let message = error.message.rsplit_once('(').unwrap().1.to_owned();
        (format!("({message}"), error.details.as_str().unwrap().to_owned())
    }

    #[test]
    fn a_column_has_alias_path_and_cast() {
        let field = field_of("label: data->>name::text");
        assert_eq!(field.alias.as_deref(), Some("label"));
        assert_eq!(field.field.name, "data");
        assert_eq!(field.field.path.len(), 1);
        assert_eq!(field.cast, CastType::new("text"));
        assert_eq!(field_of("*").field, Field::star());
        assert!(select("").unwrap().is_empty());
    }

    #[test]
    fn aggregates_have_casts_on_both_sides() {
        let field = field_of("total:amount::numeric.sum()::text");
        assert_eq!(field.aggregate, Some(Aggregate::Sum));
        assert_eq!(field.cast, CastType::new("numeric"));
        assert_eq!(field.aggregate_cast, CastType::new("text"));
        let count = field_of("n:count()::text");
        assert_eq!(count.field, Field::star());
        assert_eq!((count.aggregate, count.alias.as_deref()), (Some(Aggregate::Count), Some("n")));
        assert_eq!(field_of("count").aggregate, None);
    }

    #[test]
    fn embeds_have_alias_hint_and_join_in_either_order() {
        let embed = embed_of("a:rel!inner!hint(id,deep(*,...flat(x)))");
        assert_eq!(embed.alias.as_deref(), Some("a"));
        assert_eq!((embed.hint.as_deref(), embed.join), (Some("hint"), Some(Join::Inner)));
        assert_eq!(embed.items.len(), 2);
        assert_eq!(embed_of("rel!hint!left(*)").join, Some(Join::Left));
        assert!(embed_of("...rel(x)").spread);
        assert!(embed_of("rel()").items.is_empty());
    }

    #[test]
    fn broken_selects_say_where() {
        let (at, details) = failure("id,clients(name[])");
        assert_eq!(at, "(line 1, column 16)");
        assert_eq!(
            details,
            "unexpected '[' expecting letter, digit, \"-\", \"->>\", \"->\", \"::\", \".\", \")\", \",\" \
             or end of input"
        );
        assert_eq!(failure("name!hint").0, "(line 1, column 5)");
        assert_eq!(failure("*!hint").1, "unexpected '!' expecting \")\", \",\" or end of input");
        assert_eq!(failure("name::").0, "(line 1, column 7)");
        assert_eq!(failure("name::").1, "unexpected end of input expecting letter or digit");
        let start = "expecting \"...\", field name (* or [a..z0..9_$]), \"*\" or \"count()\"";
        assert_eq!(failure("id,").1, format!("unexpected end of input {start}"));
        let (at, details) = failure("id,,name");
        assert_eq!(
            (at.as_str(), details),
            ("(line 1, column 4)", format!("unexpected \",\" {start}"))
        );
        let (at, details) = failure("...rel");
        assert_eq!(at, "(line 1, column 7)");
        let rest = "expecting letter, digit, \"-\", \"!\" or \"(\"";
        assert_eq!(details, format!("unexpected end of input {rest}"));
        let (at, details) = failure("\"open");
        assert_eq!(at, "(line 1, column 6)");
        assert_eq!(details, r#"unexpected end of input expecting "\\" or "\"""#);
        assert!(select("rel(id").is_err());
        assert!(select("a,,b").is_err());
        assert!(select("rel->path(*)").is_err());
        assert!(select("x::int)").is_ok());
    }

    #[test]
    fn a_broken_aggregate_says_what_it_lacks() {
        let told = |value| {
            let (at, details) = failure(value);
            format!("{at} {details}")
        };
        let words = "\"sum\", \"avg\", \"count\", \"max\" or \"min\"";
        assert_eq!(
            told("id.foo"),
            format!("(line 1, column 4) unexpected \"f\" expecting {words}")
        );
        assert_eq!(
            told("id.mean()"),
            format!("(line 1, column 4) unexpected \"m\" expecting {words}")
        );
        assert_eq!(told("id.su()"), "(line 1, column 4) unexpected \"(\" expecting \"sum\"");
        assert_eq!(told("id.sum"), "(line 1, column 7) unexpected end of input expecting \"()\"");
    }

    #[test]
    fn deep_selects_are_refused() {
        assert!(select(&format!("{}x{}", "a(".repeat(200), ")".repeat(200))).is_err());
    }

    #[test]
    fn column_lists_take_quoted_names() {
        assert_eq!(columns("columns", "a, \"b,c\" ,d").unwrap(), ["a", "b,c", "d"]);
        let error = columns("on_conflict", "").unwrap_err();
        assert!(error.message.starts_with("\"failed to parse on_conflict parameter ()\""));
    }
}
