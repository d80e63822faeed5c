//! A cluster that Plinth does not manage: what is checked, and that it works.

use plinth_postgres::{Cluster, CreateProject, ManagedOptions, Registry};

use crate::support::{binaries, full, master_key, value};

/// A cluster of someone else's, as far as Plinth is concerned, with an administrator named `postgres`.
async fn foreign(settings: &[(&str, &str)]) -> (Cluster, String) {
    let mut options = ManagedOptions::throwaway(binaries()).unwrap();
    options
        .settings
        .extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let theirs = Cluster::managed(options).await.unwrap();
    let admin = theirs.connect("postgres").await.unwrap();
    admin.batch_execute("create role postgres superuser login password 'theirs'").await.unwrap();
    let port = theirs.report().unwrap().port;
    (theirs, format!("postgres://postgres:theirs@127.0.0.1:{port}/postgres"))
}

#[tokio::test]
async fn what_is_missing_is_named_with_what_mends_it() {
    let (theirs, url) = foreign(&[
        ("wal_level", "replica"),
        ("max_replication_slots", "3"),
        ("shared_preload_libraries", "auto_explain"),
    ])
    .await;
    let admin = theirs.connect("postgres").await.unwrap();
    admin
        .batch_execute("create role anon bypassrls; create role limited login password 'x'")
        .await
        .unwrap();

    let cluster = Cluster::external(&url).await.unwrap();
    let findings = cluster.check().await.unwrap();
    for (what, fix, fatal) in [
        ("wal_level is replica", "alter system set wal_level = 'logical'", false),
        ("max_replication_slots is 3", "alter system set max_replication_slots = 10", false),
        ("pg_stat_statements is not preloaded", "= auto_explain, pg_stat_statements", false),
        ("role \"anon\" is beyond row security", "alter role \"anon\" nobypassrls;", true),
    ] {
        let found = findings.iter().find(|finding| finding.what.contains(what));
        let found = found.unwrap_or_else(|| panic!("{what} is not among {findings:?}"));
        assert!(found.fix.contains(fix), "{found:?}");
        assert_eq!(found.fatal, fatal, "{found:?}");
    }
    assert_eq!(findings.len(), 4, "{findings:?}");

    let limited = url.replace("postgres:theirs", "limited:x");
    let findings = Cluster::external(&limited).await.unwrap().check().await.unwrap();
    let rights = findings.iter().find(|finding| finding.what.contains("no superuser")).unwrap();
    assert!(rights.fatal);
    assert_eq!(rights.fix, "alter role \"limited\" superuser;");
    // The statements really mend it.
    admin.batch_execute("alter role anon nobypassrls; alter role limited superuser").await.unwrap();
    let findings = Cluster::external(&limited).await.unwrap().check().await.unwrap();
    assert!(findings.iter().all(|finding| !finding.fatal), "{findings:?}");
}

#[tokio::test]
async fn where_postgres_is_the_superuser_another_role_owns_the_projects() {
    let (theirs, url) = foreign(&[]).await;
    let cluster = Cluster::external(&url).await.unwrap();
    let registry = Registry::open(&cluster, &master_key()).await.unwrap();
    assert_eq!(registry.owner_role(), "plinth_owner");
    let project = registry.create(CreateProject::named("guest")).await.unwrap();
    let owner = cluster.endpoint().connect_as(&project.owner_login, "guest").await.unwrap();
    assert_eq!(value(&owner, "select current_user").await, "plinth_owner");
    assert_eq!(
        value(&owner, "select rolsuper from pg_roles where rolname = current_user").await,
        "f"
    );
    // The choice is kept, whatever becomes of the role `postgres`.
    theirs
        .connect("postgres")
        .await
        .unwrap()
        .batch_execute("alter role postgres nosuperuser")
        .await
        .unwrap();
    assert_eq!(Registry::open(&theirs, &master_key()).await.unwrap().owner_role(), "plinth_owner");
    // A database that was there before is never taken for a project.
    let admin = theirs.connect("postgres").await.unwrap();
    admin.batch_execute("create database theirs").await.unwrap();
    let registry = Registry::open(&theirs, &master_key()).await.unwrap();
    let error = registry.create(CreateProject::named("theirs")).await.unwrap_err();
    assert!(full(&error).contains("no project of Plinth"), "{}", full(&error));
    theirs.connect("theirs").await.unwrap();
}
