//! The helper functions for SQL tests hold when they should and fail when they should.

use plinth_testkit::blueprint::{Report, SqlFile, parse_sql_tests, run_sql_tests};
use plinth_testkit::{Template, with_database};

use crate::sample::{SCHEMA, apply};

const OWNER: &str = "a0000000-0000-4000-8000-000000000001";

/// Runs a test file on the sample.
fn run(text: &str) -> Report {
    let file = SqlFile { path: "t.sql".into(), text: text.to_owned() };
    let tests = parse_sql_tests(&file).unwrap();
    let mut report = Report::default();
    with_database(&Template::SqlTests, async |database| {
        apply(database, SCHEMA).await;
        let client = database.connect().await.unwrap();
        report = run_sql_tests(&client, &database.project().owner_role, &tests).await.unwrap();
        client.close().await;
    });
    report
}

/// The message of a test of one statement that must fail.
#[track_caller]
fn failure(statement: &str) -> String {
    let report = run(&format!("-- test: fails\n{statement}"));
    assert_eq!((report.passed, report.failures.len()), (0, 1), "{statement} did not fail");
    report.failures[0].clone()
}

#[test]
fn callers_are_who_they_say() {
    run(&format!(
        "-- test: a user
         select tests.sign_up('{OWNER}', 'ada@example.com', '{{\"name\": \"Ada\"}}');
         select tests.as_user('{OWNER}');
         select tests.is(current_user::text, 'authenticated', 'role');
         select tests.is(auth.uid(), '{OWNER}', 'uid');
         select tests.is(auth.role(), 'authenticated', 'auth.role()');
         select tests.is(auth.jwt() ->> 'email', 'ada@example.com', 'email');
         select tests.rows('select from note', 1);
-- test: a visitor after a user, a server after a visitor, the owner after all
         select tests.as_user('{OWNER}');
         select tests.as_anon();
         select tests.is(current_user::text, 'anon', 'role');
         select tests.is(auth.uid(), null, 'uid');
         select tests.rows('select from note', 0);
         select tests.as_service();
         select tests.is(current_user::text, 'service_role', 'role');
         select tests.rows('select from note', 1);
         select tests.as_owner();
         select tests.is(current_user::text, (select relowner::regrole::text from pg_class where oid = 'note'::regclass), 'owner');
-- test: a caller ends with its test
         select tests.rows('select from note', 1);
         select tests.is(auth.uid(), null, 'uid');"
    ))
    .assert_clean("callers");
}

#[test]
fn claims_that_hold_pass() {
    run("-- test: all of them
         select tests.ok(true, 'true');
         select tests.is((select count(*) from note), 1, 'different integers');
         select tests.is(null::text, null, 'nulls');
         select tests.rows('select from note', 1);
         select tests.affects($$update note set body = 'x'$$, 1);
         select tests.throws('select 1 / 0', '22012');
         select tests.throws('select 1 / 0', '22012', 'by zero');
         select tests.throws($$insert into note values (1, gen_random_uuid(), 'x')$$, '23505');")
    .assert_clean("claims");
}

#[test]
fn claims_that_do_not_hold_fail_with_what_was_found() {
    for (statement, expected) in [
        ("select tests.ok(false, 'the sun shines');", "P0004 the sun shines: got false"),
        ("select tests.ok(null, 'unknown');", "P0004 unknown: got null"),
        ("select tests.is(1, 2, 'sum');", "P0004 sum: expected '2', got '1'"),
        ("select tests.is(null::int, 2, 'sum');", "P0004 sum: expected '2', got null"),
        (
            "select tests.rows('select from note', 2);",
            "P0004 select from note: expected 2 rows, got 1",
        ),
        (
            "select tests.affects('delete from note where false', 1, 'gone');",
            "P0004 gone: expected 1 affected rows, got 0",
        ),
        (
            "select tests.throws('select 1', '22012');",
            "P0004 select 1: expected SQLSTATE 22012, but it succeeded",
        ),
        (
            "select tests.throws('select 1 / 0', '42501');",
            "P0004 select 1 / 0: expected SQLSTATE 42501, got 22012 (division by zero)",
        ),
        (
            "select tests.throws('select 1 / 0', '22012', 'by one');",
            "P0004 select 1 / 0: expected a message with 'by one', got 'division by zero'",
        ),
    ] {
        let line = failure(statement);
        assert!(line.starts_with(&format!("t.sql:1: {expected}\n")), "{line}");
    }
}

#[test]
fn a_test_cannot_swallow_its_own_failure() {
    let line = failure(
        "do $$ begin perform tests.ok(false, 'seen'); exception when others then null; end $$;",
    );
    assert!(line.contains("seen"), "{line}");
    let line = failure("select tests.throws($$select tests.ok(false, 'inside')$$, 'P0004');");
    assert!(line.contains("inside"), "{line}");
}

#[test]
fn an_error_is_shown_with_its_line_and_the_tests_name() {
    let report =
        run("-- About.\n-- test: fine\nselect 1;\n-- test: typo\nselect 1;\n\nselect nope;");
    assert_eq!(report.passed, 1);
    assert_eq!(
        report.failures,
        [r#"t.sql:7: 42703 column "nope" does not exist
      (typo)"#]
    );
}

#[test]
fn what_a_test_does_is_undone() {
    run("-- test: one\ndelete from note;\n-- test: two\nselect tests.rows('select from note', 1);")
        .assert_clean("isolation");
}

#[test]
fn a_deferred_constraint_fails_the_test() {
    let line = failure(
        "create table p (id int primary key);
         create table c (p int references p deferrable initially deferred);
         insert into c values (1);",
    );
    assert!(line.contains("23503"), "{line}");
}
