//! Query strings that look like the language.

use proptest::prelude::*;

/// Text made of the language's own words and of anything else.
pub(crate) fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        8 => prop::sample::select(vec![
            "id", "name", "projects", "clients", "tasks", "meta", "select", "order", "limit", "and",
            "or", "not", "eq", "in", "is", "null", "like", "any", "fts", "english", "inner", "left",
            "count()", ".sum()", "columns", "*", "...", "->", "->>", "::", ":", "!", ".", ",", "(",
            ")", "{", "}", "\"", "\\", "&", "=", ";", "%", "%2", "%00", "%22", "%C3%A9", "+", "-", "1",
            " ", "desc", "nullslast",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}
