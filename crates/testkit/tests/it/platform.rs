//! What the platform schema promises, written in SQL beside the crate that makes it.

use std::path::Path;

use plinth_testkit::blueprint::{SqlFile, parse_sql_tests, run_sql_tests};
use plinth_testkit::{Template, with_database};

#[test]
fn the_platform_keeps_its_promises() {
    let path =
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../postgres/tests/sql/platform.sql"));
    let tests = parse_sql_tests(&SqlFile::read(path).unwrap()).unwrap();
    with_database(&Template::SqlTests, async |database| {
        let client = database.connect().await.unwrap();
        let owner = &database.project().owner_role;
        run_sql_tests(&client, owner, &tests).await.unwrap().assert_clean("platform.sql");
        client.close().await;
    });
}
