use proptest::prelude::*;

use super::*;

const ROW: &[Name] = &[Name::Row, Name::Out, Name::Attempt];

fn rendered(text: &str) -> String {
    Sql::parse(text, ROW).unwrap().render("uuid").text
}

fn errors(text: &str) -> Vec<String> {
    let errors = Sql::parse(text, ROW).unwrap_err();
    errors.iter().map(|error| format!("{}: {error}", error.offset)).collect()
}

#[test]
fn names_become_numbers_with_their_types() {
    let sql = Sql::parse(
        "update t set a = $out->>'id', b = $attempt where id = $row or $out is null",
        ROW,
    );
    let rendered = sql.unwrap().render("character varying(20)");
    assert_eq!(
        rendered.text,
        "update t set a = ($1::jsonb)->>'id', b = ($2::integer) where id = \
         ($3::character varying(20)) or ($1::jsonb) is null"
    );
    assert_eq!(rendered.names, [Name::Out, Name::Attempt, Name::Row]);
    let nulls = Sql::parse("select $row, $out", ROW).unwrap().render_nulls("uuid");
    assert_eq!(nulls, "select (null::uuid), (null::jsonb)");
}

#[test]
fn what_is_quoted_or_part_of_a_word_stays() {
    for same in [
        "select '$row'",
        "select E'\\'$row'",
        "select \"$row\"",
        "select 1 -- $row",
        "select /* $row /* $out */ $1 */ 1",
        "select $$ $row $1 $$",
        "select $row$ $1 $row$",
        "select a$row, b$1",
        "select 'it''s $nobody'",
    ] {
        assert_eq!(rendered(same), same);
    }
    assert_eq!(rendered("select $row::text||'$row'"), "select ($1::uuid)::text||'$row'");
}

#[test]
fn unknown_names_say_what_may_stand_there() {
    let error = Sql::parse("select 1 where id = $rwo", ROW).unwrap_err().remove(0);
    assert_eq!(error.offset, 20);
    assert_eq!(error.message, "`$rwo` is no parameter; did you mean `$row`?");
    assert_eq!(error.hint.as_deref(), Some("here may stand `$row`, `$out`, `$attempt`"));
    let error = Sql::parse("status = $row", &[]).unwrap_err().remove(0);
    assert_eq!(error.message, "`$row` has no value here");
}

#[test]
fn malformed_texts_are_refused_with_their_places() {
    for (text, wanted) in [
        ("select $1", "7: `$1` is a positional parameter; parameters have names"),
        ("select $", "7: a `$` without a name"),
        ("select $ row", "7: a `$` without a name"),
        ("select $Row", "7: `$Row` is no parameter; did you mean `$row`?"),
        ("select $error", "7: `$error` has no value here"),
        ("select 'a", "7: a quote that does not end"),
        ("select \"a", "7: a quote that does not end"),
        ("select E'a\\'", "7: a quote that does not end"),
        ("select $q$ $row $ q$", "7: a quote that does not end"),
        ("select /* a /* b */", "7: a comment that does not end"),
        ("select (1", "7: a `(` that is not closed"),
        ("true) or (true", "4: a `)` that closes nothing"),
        ("", "0: has no SQL in it"),
        (" -- only a comment", "0: has no SQL in it"),
        ("select '\0'", "8: has a NUL character, which SQL cannot have"),
    ] {
        assert_eq!(errors(text)[0], wanted, "{text}");
    }
    assert_eq!(errors("select $1, $nothing, (").len(), 3);
    assert!(errors(&"x".repeat(MAX_SQL_BYTES + 1))[0].contains("longer"));
}

#[test]
fn only_statements_that_leave_the_transaction_alone_are_statements() {
    let check = |text: &str| Sql::parse(text, ROW).unwrap().check_statement();
    for text in [
        "update t set a = 1",
        "-- why\nWITH a as (select 1) select * from a",
        "( /* one */ select 1)",
        "insert into t values (';')",
        "select 1;",
    ] {
        assert_eq!(check(text), Ok(()), "{text}");
    }
    for (text, offset) in [
        ("commit", 0),
        ("set role postgres", 0),
        ("  drop table t", 2),
        ("do $$ begin end $$", 0),
        ("copy t to program 'x'", 0),
        ("select 1; -- then\n commit", 19),
    ] {
        assert_eq!(check(text).unwrap_err().offset, offset, "{text}");
    }
    let expression = |text: &str| Sql::parse(text, ROW).unwrap().check_expression();
    assert_eq!(expression("status = ';'"), Ok(()));
    assert_eq!(expression("true; drop table t").unwrap_err().offset, 4);
}

#[test]
fn stored_texts_are_read_again() {
    let sql = Sql::parse("select $row, $out", ROW).unwrap();
    let stored = serde_json::to_string(&sql).unwrap();
    assert_eq!(stored, r#""select $row, $out""#);
    let again: Sql = serde_json::from_str(&stored).unwrap();
    assert_eq!(again, sql);
    assert_eq!(again.names(), sql.names());
    assert!(serde_json::from_str::<Sql>(r#""select $1""#).is_err());
}

#[test]
fn places_in_the_rendered_text_are_found_in_the_source() {
    let text = "select $row, $out, oops, $row";
    let sql = Sql::parse(text, ROW).unwrap();
    let rendered = sql.render("uuid");
    let at = rendered.text.find("oops").unwrap();
    assert_eq!(&text[rendered.source_offset(at)..][..4], "oops");
    assert_eq!(rendered.source_offset(3), 3);
    let second = rendered.text.find("$2").unwrap();
    assert_eq!(rendered.source_offset(second), text.find("$out").unwrap());
}

/// Pieces between which parameters stand.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-df-z_][a-z0-9_]{0,6}",
        "'([a-z;$ ]|'')*'",
        "\"([a-z; $]|\"\")+\"",
        "E'([a-z$; ]|''|\\\\[a-z'$])*'",
        Just("$$ $row ' $1 \" -- $$".to_owned()),
        "/\\*[a-z;'$ ]*\\*/",
        "--[a-z;'$ ]*\n",
        "\\([a-z; ]*\\)",
        "[0-9]{1,3}",
        "[=<>+]",
    ]
}

proptest! {
    #[test]
    fn rendering_leaves_everything_outside_parameters_unchanged(
        pieces in prop::collection::vec((piece(), prop::option::of(0..ROW.len())), 1..12),
    ) {
        let mut text = String::from("x ");
        let mut wanted = String::from("x ");
        let mut names: Vec<Name> = Vec::new();
        for (piece, parameter) in &pieces {
            for out in [&mut text, &mut wanted] {
                out.push_str(piece);
                out.push(' ');
            }
            if let Some(index) = parameter {
                let name = ROW[*index];
                let number = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                    names.push(name);
                    names.len() - 1
                });
                text.push_str(&format!("{name} "));
                wanted.push_str(&format!("(${}::{}) ", number + 1, name.sql_type().unwrap_or("bigint")));
            }
        }
        let sql = Sql::parse(&text, ROW);
        prop_assert!(sql.is_ok(), "{:?}: {:?}", text, sql);
        let rendered = sql.unwrap().render("bigint");
        prop_assert_eq!(rendered.text, wanted);
        prop_assert_eq!(rendered.names, names);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "([;'\"$()/*\\\\eE-]|\\$row|\\$1|select |\\PC|\n){0,40}") {
        match Sql::parse(&text, ROW) {
            Ok(sql) => {
                let rendered = sql.render("uuid");
                for offset in 0..=rendered.text.len() {
                    prop_assert!(rendered.source_offset(offset) <= text.len());
                }
            }
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                prop_assert!(errors.iter().all(|error| text.is_char_boundary(error.offset)));
            }
        }
    }
}
