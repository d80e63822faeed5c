//! The matrix reports every difference between what callers can do and what the access table says.

use crate::sample::{ACCESS, matrix_after};

#[track_caller]
fn finds(change: &str, access: &str, expected: &[&str]) {
    assert_eq!(matrix_after(change, access).failures, expected);
}

#[test]
fn the_sample_is_as_its_access_table_says() {
    let report = matrix_after("", ACCESS);
    report.assert_clean("the sample");
    // Four callers × four operations, and the proof that the row is there.
    assert_eq!(report.passed, 17);
}

#[test]
fn a_leak_is_reported_for_each_caller_and_operation() {
    finds(
        "create policy leak on note for select using (true);",
        ACCESS,
        &[
            "note × select × other: expected refused, got 1 row",
            "note × select × anon: expected refused, got 1 row",
        ],
    );
    finds(
        "alter table note disable row level security; revoke all on note from anon;",
        ACCESS,
        &[
            "note × select × other: expected refused, got 1 row",
            "note × insert × other: expected refused, got 1 row",
            "note × update × other: expected refused, got 1 row",
            "note × delete × other: expected refused, got 1 row",
        ],
    );
}

#[test]
fn what_should_be_allowed_and_is_not_is_reported() {
    finds(
        "drop policy own on note; revoke insert on note from service_role;",
        ACCESS,
        &[
            "note × select × owner: expected allowed, got 0 rows",
            "note × insert × owner: expected allowed, got permission denied (42501)",
            "note × insert × service: expected allowed, got permission denied (42501)",
            "note × update × owner: expected allowed, got 0 rows",
            "note × delete × owner: expected allowed, got 0 rows",
        ],
    );
}

#[test]
fn an_error_that_is_no_refusal_is_reported_with_its_message() {
    let trigger = "
        create function stop() returns trigger language plpgsql as
          $$ begin raise exception 'closed on Sundays'; end $$;
        create trigger stop before delete on note for each row execute function stop();";
    finds(
        trigger,
        ACCESS,
        &[
            "note × delete × owner: expected allowed, got error P0001 closed on Sundays",
            "note × delete × service: expected allowed, got error P0001 closed on Sundays",
        ],
    );
}

#[test]
fn a_deferred_constraint_is_asked() {
    let change = "
        create table parent (id int primary key);
        insert into parent values (1);
        alter table note add parent int references parent deferrable initially deferred;
        alter table note alter parent set default 1;";
    finds(change, ACCESS, &[]);
    let failures =
        matrix_after(&format!("{change} alter table note alter parent set default 7;"), ACCESS)
            .failures;
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert!(
        failures[0].starts_with("note × insert × owner: expected allowed, got error 23503"),
        "{failures:?}"
    );
}

#[test]
fn a_refusal_that_proves_nothing_is_reported() {
    let nobody = |insert: &str, update: &str, row: &str| {
        format!(
            "[caller.owner]\nsub = 'a0000000-0000-4000-8000-000000000001'
             [caller.other]\nsub = 'b0000000-0000-4000-8000-000000000002'
             [[table]]\nname = 'note'\nrow = '{row}'\ninsert = \"{insert}\"\nupdate = \"{update}\""
        )
    };
    let closed = "revoke all on note from anon, authenticated, service_role;";
    let insert = "insert into note values (2, 'a0000000-0000-4000-8000-000000000001', 'new')";
    finds(closed, &nobody(insert, "body = 'x'", "id = 1"), &[]);
    finds(
        closed,
        &nobody(insert, "body = 'x'", "id = 99"),
        &[
            "note × select: proves nothing, even the owner role gets 0 rows",
            "note × update: proves nothing, even the owner role gets 0 rows",
        ],
    );
    let failures =
        matrix_after(closed, &nobody("insert into note values (2)", "nody = 'x'", "id = 1"))
            .failures;
    assert!(
        failures.iter().any(|line| line
            .starts_with("note × insert: proves nothing, even the owner role gets error 23502")),
        "{failures:?}"
    );
    assert!(
        failures.iter().any(
            |line| line.starts_with("note × update × owner: expected refused, got error 42703")
        ),
        "{failures:?}"
    );
}

#[test]
fn views_are_read_as_each_caller() {
    let view =
        |name: &str| format!("{ACCESS}\n[[view]]\nname = '{name}'\nselect = ['owner', 'service']");
    finds("create view v with (security_invoker) as select * from note;", &view("v"), &[]);
    finds(
        "create view v as select * from note;",
        &view("v"),
        &[
            "v × select × other: expected refused, got 1 row",
            "v × select × anon: expected refused, got 1 row",
        ],
    );
}

#[test]
fn nothing_that_the_matrix_tries_stays() {
    use plinth_testkit::blueprint::{Access, check_access};
    use plinth_testkit::{Template, with_database};
    with_database(&Template::SqlTests, async |database| {
        crate::sample::apply(database, crate::sample::SCHEMA).await;
        let client = database.connect().await.unwrap();
        let owner = &database.project().owner_role;
        check_access(&client, owner, &Access::parse(ACCESS).unwrap()).await.unwrap();
        let row = client.query_one("select count(*), min(body) from note", &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1)), (1, "hello"));
        client.close().await;
    });
}
