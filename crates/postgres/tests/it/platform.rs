//! Numbered files of the platform: once each, together with others, never changed.

use std::path::Path;

use plinth_postgres::{CreateProject, PlatformError, Registry, RegistryError};

use crate::support::{as_owner, full, master_key, project, registry, unique, value};

/// Makes the registry forget that the project's database was up to date.
async fn forget(registry: &Registry, name: &str) {
    let control = registry.cluster().connect("plinth").await.unwrap();
    control
        .execute("update plinth.project set platform = null where name = $1", &[&name])
        .await
        .unwrap();
}

#[tokio::test]
async fn instances_that_start_together_apply_each_file_once() {
    let registry = registry().await;
    let project = project(&registry).await;
    let admin = registry.cluster().connect(&project.database).await.unwrap();
    let all = value(&admin, "select count(*) from plinth.migration").await;
    // As if the last files came with a new version, which two instances start with at once.
    admin
        .batch_execute("drop function plinth.set_setting; delete from plinth.migration where name = 'settings'")
        .await
        .unwrap();
    forget(&registry, &project.name).await;
    let key = master_key();
    let (one, two) = tokio::join!(
        Registry::open(registry.cluster(), &key),
        Registry::open(registry.cluster(), &key)
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    let (first, second) = tokio::join!(one.apply_platform(), two.apply_platform());
    for failures in [first.unwrap(), second.unwrap()] {
        let ours = failures.iter().find(|(name, _)| *name == project.name);
        assert!(ours.is_none(), "{}", full(&ours.unwrap().1));
    }
    assert_eq!(value(&admin, "select count(*) from plinth.migration").await, all);
    assert_eq!(
        value(&admin, "select count(*) from pg_proc where proname = 'set_setting'").await,
        "1"
    );
    drop(admin);
    registry.drop_project(&project.name).await.unwrap();
}

#[tokio::test]
async fn a_file_that_changed_after_it_was_applied_is_named() {
    let registry = registry().await;
    let project = project(&registry).await;
    let admin = registry.cluster().connect(&project.database).await.unwrap();
    admin
        .batch_execute("update plinth.migration set checksum = 'other' where name = 'auth'")
        .await
        .unwrap();
    assert!(registry.apply_platform().await.unwrap().iter().all(|(name, _)| *name != project.name));
    forget(&registry, &project.name).await;
    let failures = registry.apply_platform().await.unwrap();
    let (_, error) = failures.iter().find(|(name, _)| *name == project.name).expect("a failure");
    assert!(
        matches!(error, RegistryError::Platform(PlatformError::Changed { file, .. }) if file == "0003_auth.sql"),
        "{}",
        full(error)
    );
    drop(admin);
    registry.drop_project(&project.name).await.unwrap();
}

#[tokio::test]
async fn a_copy_of_a_template_is_a_whole_project() {
    let registry = registry().await;
    let template = project(&registry).await;
    let setting =
        "alter database {} set search_path = \"$user\", public, extensions, \"odd, name\"";
    let admin = registry.cluster().connect("postgres").await.unwrap();
    let setting = setting.replace("{}", &format!("\"{}\"", template.database));
    admin.batch_execute(&setting).await.unwrap();

    let name = unique("copy");
    let request =
        CreateProject { template: Some(&template.database), ..CreateProject::named(&name) };
    let copy = registry.create(request).await.unwrap();
    let facts = "select string_agg(coalesce(setrole::regrole::text, '') || ' ' || array_to_string(setconfig, ';'), '|'
                   order by setrole = 0, setrole::regrole::text collate \"C\", setconfig)
                 from pg_db_role_setting
                 where setdatabase = (select oid from pg_database where datname = '{}')
                   and setrole::regrole::text not like '\"%'";
    let of = |name: &str| facts.replace("{}", name);
    assert_eq!(
        value(&admin, &of(&copy.database)).await,
        value(&admin, &of(&template.database)).await
    );
    let owner = as_owner(&registry, &copy).await;
    owner.batch_execute("create schema mine; create table mine.t (id int)").await.unwrap();
    drop(owner);
    for project in [copy, template] {
        registry.drop_project(&project.name).await.unwrap();
    }
}

/// The SQL tests beside the platform's files, each in a transaction of its own.
#[tokio::test]
async fn the_platform_keeps_its_promises() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let helpers =
        std::fs::read_to_string(here.join("../testkit/src/blueprint/helpers.sql")).unwrap();
    let tests = std::fs::read_to_string(here.join("tests/sql/platform.sql")).unwrap();
    let registry = registry().await;
    let project = project(&registry).await;
    let admin = registry.cluster().connect(&project.database).await.unwrap();
    let owner_role = format!("\"{}\"", project.owner_role);
    admin.batch_execute(&helpers.replace("@owner@", &owner_role)).await.unwrap();
    let owner = as_owner(&registry, &project).await;
    let mut count = 0;
    for test in tests.split("\n-- test: ").skip(1) {
        let (title, sql) = test.split_once('\n').unwrap();
        owner.batch_execute("begin").await.unwrap();
        if let Err(error) = owner.batch_execute(sql).await {
            panic!("{title}: {}", full(&error));
        }
        owner.batch_execute("rollback; reset role; reset all").await.unwrap();
        count += 1;
    }
    assert!(count > 5, "only {count} tests were found");
    drop((owner, admin));
    registry.drop_project(&project.name).await.unwrap();
}
