//! Requests that are well formed: sentences of the grammar over names that exist, do not, and are hostile.

use proptest::prelude::*;
use proptest::sample::select;

/// A name as it stands in a query string: bare, or quoted when it must be.
fn name() -> impl Strategy<Value = String> {
    let bare = select(vec![
        "id",
        "name",
        "project_id",
        "client_id",
        "tags",
        "period",
        "search",
        "weight",
        "mood",
        "meta",
        "done",
        "label",
        "nope",
        "with space",
        "dash-ed",
        "$1",
        "größe",
        "1",
    ]);
    let hostile = select(vec![
        "a\"b",
        "x'; drop table api.clients; --",
        "\\",
        "a.b",
        "*",
        "(",
        "$$",
        "::int",
        "/*",
        "\u{1}",
    ]);
    prop_oneof![
        6 => bare.prop_map(str::to_owned),
        1 => hostile.prop_map(|name| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))),
    ]
}

fn path() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        select(vec!["a", "b-c", "!@#", "\"x'y\"", "\"a\\\"b\""]).prop_map(str::to_owned),
        (-3..4_i32).prop_map(|index| index.to_string()),
    ];
    let step = (select(vec!["->", "->>"]), key).prop_map(|(arrow, key)| format!("{arrow}{key}"));
    prop_oneof![
        4 => Just(String::new()),
        1 => prop::collection::vec(step, 1..3).prop_map(|steps| steps.concat()),
    ]
}

fn field() -> impl Strategy<Value = String> {
    (name(), path()).prop_map(|(name, path)| name + &path)
}

fn value() -> impl Strategy<Value = String> {
    let values = select(vec![
        "1",
        "-1",
        "x",
        "",
        "{a,b}",
        "[1,2)",
        "'",
        "''; select 1; --",
        "\\'",
        "$1",
        "%",
        "*",
        "null",
        "\"q\"",
        "{",
        "2020-01-01",
    ]);
    values.prop_map(str::to_owned)
}

fn operation() -> impl Strategy<Value = String> {
    let simple = select(vec![
        "eq",
        "neq",
        "gt",
        "gte",
        "lt",
        "lte",
        "like",
        "ilike",
        "match",
        "imatch",
        "cs",
        "cd",
        "ov",
        "sl",
        "sr",
        "nxr",
        "nxl",
        "adj",
        "isdistinct",
        "fts",
        "plfts(english)",
        "phfts(a b)",
        "wfts($1)",
        "eq(any)",
        "like(all)",
        "imatch(any)",
    ]);
    let operation = prop_oneof![
        6 => (simple, value()).prop_map(|(operator, value)| format!("{operator}.{value}")),
        1 => prop::collection::vec(value(), 0..4).prop_map(|items| format!("in.({})", items.join(","))),
        1 => select(vec!["is.null", "is.not_null", "is.true", "is.unknown"]).prop_map(str::to_owned),
    ];
    (any::<bool>(), operation).prop_map(|(not, it)| if not { format!("not.{it}") } else { it })
}

fn logic() -> impl Strategy<Value = String> {
    let leaf = (field(), operation()).prop_map(|(field, operation)| format!("{field}.{operation}"));
    leaf.prop_recursive(3, 12, 3, |inner| {
        let word = select(vec!["and", "or", "not.and", "not.or"]);
        (word, prop::collection::vec(inner, 1..3))
            .prop_map(|(word, items)| format!("{word}({})", items.join(",")))
    })
}

fn item() -> impl Strategy<Value = String> {
    let cast = select(vec!["", "", "::text", "::int4", "::double precision", "::nope", "::_int4"]);
    let aggregate = select(vec!["", "", "", ".sum()", ".max()", ".count()", ".avg()::text"]);
    let alias = prop_oneof![3 => Just(String::new()), 1 => name().prop_map(|it| it + ":")];
    let column = (alias.clone(), field(), cast, aggregate)
        .prop_map(|(alias, field, cast, aggregate)| format!("{alias}{field}{cast}{aggregate}"));
    let leaf = prop_oneof![
        6 => column,
        2 => Just("*".to_owned()),
        1 => Just("count()".to_owned()),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        let relation =
            select(vec!["clients", "tasks", "projects", "users", "computed_client", "nope"]);
        let join = select(vec!["", "", "!inner", "!left", "!project_id", "!users_tasks!inner"]);
        let items = prop::collection::vec(inner, 0..4);
        (alias.clone(), any::<bool>(), relation, join, items).prop_map(
            |(alias, spread, relation, join, items)| {
                let head = if spread { "...".to_owned() } else { alias };
                format!("{head}{relation}{join}({})", items.join(","))
            },
        )
    })
}

fn order() -> impl Strategy<Value = String> {
    let suffix = select(vec!["", ".asc", ".desc", ".nullsfirst", ".desc.nullslast"]);
    let term = prop_oneof![
        4 => (field(), suffix.clone()).prop_map(|(field, suffix)| format!("{field}{suffix}")),
        1 => (name(), suffix).prop_map(|(name, suffix)| format!("clients({name}){suffix}")),
    ];
    prop::collection::vec(term, 1..3).prop_map(|terms| terms.join(","))
}

fn parameter() -> impl Strategy<Value = (String, String)> {
    let place = select(vec!["", "", "clients.", "tasks.", "projects.", "nope."]);
    let word = select(vec!["limit", "offset"]);
    let number = select(vec!["0", "1", "-1", "x", "", "99999999999999999999"]);
    let tree = select(vec!["and", "or", "not.and", "not.or"]);
    prop_oneof![
        4 => (place.clone(), field(), operation()).prop_map(|(at, field, it)| (format!("{at}{field}"), it)),
        1 => (place.clone(), tree, logic()).prop_map(|(at, tree, it)| (format!("{at}{tree}"), format!("({it})"))),
        1 => (place.clone(), order()).prop_map(|(at, it)| (format!("{at}order"), it)),
        1 => (place, word, number).prop_map(|(at, word, it)| (format!("{at}{word}"), it.to_owned())),
        1 => prop::collection::vec(name(), 1..3).prop_map(|names| ("on_conflict".into(), names.join(","))),
        1 => prop::collection::vec(name(), 1..3).prop_map(|names| ("columns".into(), names.join(","))),
    ]
}

/// A query string, encoded.
pub(crate) fn query() -> impl Strategy<Value = String> {
    let select = prop::collection::vec(item(), 0..4)
        .prop_map(|items| ("select".to_owned(), items.join(",")));
    let parameters = prop::collection::vec(parameter(), 0..4);
    (select, parameters).prop_map(|(select, parameters)| {
        let pairs = std::iter::once(&select).chain(&parameters);
        let encoded = pairs.map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        encoded.collect::<Vec<_>>().join("&")
    })
}

/// Every byte as `%XX`.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
