//! A small blueprint that breaks no rule, for tests that break one at a time.

use plinth_testkit::blueprint::{Access, Report, check_access, check_catalog};
use plinth_testkit::{Template, TestDatabase, with_database};

/// A table with an owner, its policies, and rows of `…1`.
pub(crate) const SCHEMA: &str = "
    create table note (
      id    int primary key,
      owner uuid not null,
      body  text not null
    );
    create index on note (owner);
    alter table note enable row level security;
    create policy own on note to authenticated using (owner = (select auth.uid()));
    insert into note values (1, 'a0000000-0000-4000-8000-000000000001', 'hello');
";

pub(crate) const ACCESS: &str = "
    [caller.owner]
    sub = 'a0000000-0000-4000-8000-000000000001'
    [caller.other]
    sub = 'b0000000-0000-4000-8000-000000000002'
    [[table]]
    name = 'note'
    row = 'id = 1'
    insert = \"insert into note values (2, 'a0000000-0000-4000-8000-000000000001', 'new')\"
    update = \"body = 'changed'\"
    select = ['owner', 'service']
    allow_insert = ['owner', 'service']
    allow_update = ['owner', 'service']
    allow_delete = ['owner', 'service']
";

/// Runs `sql` as the owner of the objects and commits.
pub(crate) async fn apply(database: &TestDatabase, sql: &str) {
    let client = database.connect().await.unwrap();
    let role = &database.project().owner_role;
    client.batch_execute(&format!("set role \"{role}\"; {sql}")).await.unwrap();
    client.close().await;
}

/// Asserts what the rules about objects find in the sample after each change: (change, access table, findings).
#[track_caller]
pub(crate) fn assert_rules_find(cases: &[(&str, &str, &[&str])]) {
    with_database(&Template::SqlTests, async |database| {
        apply(database, SCHEMA).await;
        let client = database.connect().await.unwrap();
        let role = &database.project().owner_role;
        for (change, access, expected) in cases {
            client
                .batch_execute(&format!("begin; set local role \"{role}\"; {change} ; reset role"))
                .await
                .unwrap();
            let report = check_catalog(&client, &Access::parse(access).unwrap()).await.unwrap();
            assert_eq!(report.failures, *expected, "{change}");
            assert!(report.passed > 0);
            client.batch_execute("rollback").await.unwrap();
        }
        client.close().await;
    });
}

/// What the matrix finds in the sample after `change`.
pub(crate) fn matrix_after(change: &str, access: &str) -> Report {
    let mut report = Report::default();
    with_database(&Template::SqlTests, async |database| {
        apply(database, &format!("{SCHEMA} {change}")).await;
        let client = database.connect().await.unwrap();
        let owner = &database.project().owner_role;
        report = check_access(&client, owner, &Access::parse(access).unwrap()).await.unwrap();
        client.close().await;
    });
    report
}
