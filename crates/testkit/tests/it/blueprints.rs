//! The five blueprints keep what their own `tests/` folder says.

use std::path::PathBuf;

use plinth_testkit::blueprint::{self, Blueprint};
use plinth_testkit::{Data, Template, TestDatabase, with_database};

/// Runs `check` on a database with the blueprint and, by `data`, its fixture.
fn on(name: &str, data: Data, check: impl AsyncFnOnce(&TestDatabase, &Blueprint)) {
    let template = Template::blueprint(name, data);
    let Template::Blueprint(folder, _) = &template else { unreachable!("a blueprint's template") };
    let blueprint = Blueprint::load(folder).unwrap_or_else(|error| panic!("{error}"));
    with_database(&template, async |database| check(database, &blueprint).await);
}

async fn access_table(database: &TestDatabase, blueprint: &Blueprint) {
    let client = database.connect().await.unwrap();
    let owner = &database.project().owner_role;
    let report = blueprint::check_access(&client, owner, &blueprint.access).await.unwrap();
    report.assert_clean("tests/access.toml");
    client.close().await;
}

async fn sql_tests(database: &TestDatabase, blueprint: &Blueprint) {
    let client = database.connect().await.unwrap();
    let owner = &database.project().owner_role;
    let report = blueprint::run_sql_tests(&client, owner, &blueprint.sql_tests).await.unwrap();
    report.assert_clean("tests/*.sql");
    client.close().await;
}

async fn catalog_rules(database: &TestDatabase, blueprint: &Blueprint) {
    let client = database.connect().await.unwrap();
    let report = blueprint::check_catalog(&client, &blueprint.access).await.unwrap();
    report.assert_clean("rules about objects");
    client.close().await;
}

/// The seed is for a first look, so it must leave nothing to look at empty.
async fn seed(database: &TestDatabase, blueprint: &Blueprint) {
    let client = database.connect().await.unwrap();
    let owner = &database.project().owner_role;
    let report = blueprint::check_seed(&client, owner, blueprint).await.unwrap();
    report.assert_clean("seed.sql");
    assert!(report.notes.is_empty(), "{:#?}", report.notes);
    client.close().await;
}

macro_rules! check {
    ($($blueprint:ident: $access:ident, $sql:ident, $rules:ident, $seed:ident;)*) => {
        /// Every blueprint that the tests below are about.
        const CHECKED: &[&str] = &[$(stringify!($blueprint)),*];

        $(
            #[test]
            fn $access() {
                on(stringify!($blueprint), Data::Fixture, access_table);
            }

            #[test]
            fn $sql() {
                on(stringify!($blueprint), Data::Fixture, sql_tests);
            }

            #[test]
            fn $rules() {
                on(stringify!($blueprint), Data::Fixture, catalog_rules);
            }

            #[test]
            fn $seed() {
                on(stringify!($blueprint), Data::Helpers, seed);
            }
        )*
    };
}

check! {
    paradyze: paradyze_keeps_its_access_table, paradyze_passes_its_sql_tests, paradyze_keeps_the_catalog_rules,
        paradyze_has_a_seed_that_loads;
    echelon: echelon_keeps_its_access_table, echelon_passes_its_sql_tests, echelon_keeps_the_catalog_rules,
        echelon_has_a_seed_that_loads;
    chatbot: chatbot_keeps_its_access_table, chatbot_passes_its_sql_tests, chatbot_keeps_the_catalog_rules,
        chatbot_has_a_seed_that_loads;
    domo: domo_keeps_its_access_table, domo_passes_its_sql_tests, domo_keeps_the_catalog_rules,
        domo_has_a_seed_that_loads;
    aethercrown: aethercrown_keeps_its_access_table, aethercrown_passes_its_sql_tests,
        aethercrown_keeps_the_catalog_rules, aethercrown_has_a_seed_that_loads;
}

#[test]
fn every_blueprint_is_checked() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../blueprints"));
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.join("blueprint.toml").exists() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(CHECKED.contains(&name.as_str()), "no tests for the blueprint {name}");
        }
    }
}
