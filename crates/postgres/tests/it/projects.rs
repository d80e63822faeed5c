//! Projects: whole or not there, and closed to each other.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use plinth_postgres::migrate::MigrationFolder;
use plinth_postgres::{
    Cluster, CreateProject, Endpoint, ManagedOptions, NameError, Registry, RegistryError,
    opaque_kind,
};

use crate::support::{
    Scratch, as_owner, binaries, code, full, master_key, open, project, registry, unique, value,
};

/// What is left of `name` anywhere in the cluster: databases, roles, rows.
async fn traces(registry: &Registry, name: &str) -> String {
    let control = registry.cluster().connect("plinth").await.unwrap();
    let sql = format!(
        "select coalesce(string_agg(what, ', '), '') from (
           select 'database ' || datname as what from pg_database where datname in ('{name}', 'plinth_new_{name}', 'plinth_old_{name}')
           union all select 'role ' || rolname from pg_roles where rolname like '%.{name}'
           union all select 'row ' || state from plinth.project where name = '{name}') as found"
    );
    value(&control, &sql).await
}

#[tokio::test]
async fn a_project_is_created_listed_found_and_dropped() {
    let registry = registry().await;
    let before = registry.list().await.unwrap();
    let name = unique("life");
    let request = CreateProject { blueprint: Some("echelon"), ..CreateProject::named(&name) };
    let created = registry.create(request).await.unwrap();
    let listing = registry.list().await.unwrap();
    assert!(listing.revision > before.revision);
    let listed = listing.projects.iter().find(|project| project.name == name).unwrap();
    assert_eq!((&listed.keys, &listed.owner_login), (&created.keys, &created.owner_login));
    assert_eq!(listed.blueprint.as_deref(), Some("echelon"));
    assert!(opaque_kind(listed.keys.secret_key.expose()).is_some());
    assert!(!format!("{listed:?}").contains(listed.keys.secret_key.expose()));

    let url = registry.url(&created);
    let (people, _) = Endpoint::from_url(url.expose()).unwrap();
    let connection = people.connect_as(&people.admin, &name).await.unwrap();
    assert_eq!(
        value(&connection, "select current_user || ' in ' || current_database()").await,
        format!("postgres in {name}")
    );
    assert_eq!(value(&connection, "show search_path").await, "\"$user\", public, extensions");

    let again = registry.create(CreateProject::named(&name)).await.unwrap_err();
    assert!(matches!(again, RegistryError::Exists(_)), "{again}");
    // Open connections do not keep a project.
    registry.drop_project(&name).await.unwrap();
    assert_eq!(traces(&registry, &name).await, "");
    assert!(registry.by_name(&name).await.unwrap().is_none());
    assert!(matches!(registry.drop_project(&name).await, Err(RegistryError::NotFound(_))));
}

#[tokio::test]
async fn names_that_will_not_do_are_refused_with_the_reason() {
    let registry = registry().await;
    let refused = registry.create(CreateProject::named("Robert'); drop table")).await.unwrap_err();
    assert!(
        matches!(refused, RegistryError::Name { source: NameError::Character('R'), .. }),
        "{}",
        full(&refused)
    );
    for name in ["plinth", "postgres", "template1"] {
        let refused = registry.create(CreateProject::named(name)).await.unwrap_err();
        assert!(
            matches!(refused, RegistryError::Name { source: NameError::Reserved(_), .. }),
            "{}",
            full(&refused)
        );
    }
}

#[tokio::test]
async fn one_project_never_opens_another() {
    let registry = registry().await;
    let (ours, theirs) = (project(&registry).await, project(&registry).await);
    let refused = "42501";
    let owner = as_owner(&registry, &ours).await;
    let (our_login, their_login) = (&ours.owner_login.role, &theirs.owner_login.role);
    let their_database = &theirs.database;
    // Whatever the owner of one project tries, …
    for sql in [
        format!("grant \"{their_login}\" to \"{our_login}\""),
        format!("grant \"authenticator.{their_database}\" to postgres"),
        format!("set role \"{their_login}\""),
        format!("set session authorization \"{their_login}\""),
        format!("alter role \"{their_login}\" password 'mine'"),
        format!("alter role \"authenticator.{their_database}\" password 'mine'"),
        format!("alter role \"auth.{their_database}\" password 'mine'"),
        format!("grant \"auth.{their_database}\" to postgres"),
        format!("drop role \"{their_login}\""),
        format!("alter database \"{their_database}\" set search_path = evil"),
        format!("alter database \"{their_database}\" owner to postgres"),
        format!("drop database \"{their_database}\""),
        "create database mine".to_owned(),
        "alter role postgres superuser".to_owned(),
        "create role evil superuser".to_owned(),
        "grant connect on database plinth to public".to_owned(),
    ] {
        let found = code(&owner, &sql).await;
        // PostgreSQL only warns when there was nothing that it could grant.
        let nothing_granted = sql.starts_with("grant connect") && found.is_empty();
        assert!(found == refused || nothing_granted, "{sql}: {found}");
    }
    // A warning is all the answer to a grant without the right to it.
    for grantee in [our_login.as_str(), "postgres", "anon", "public"] {
        let grantee =
            if grantee == "public" { grantee.to_owned() } else { format!("\"{grantee}\"") };
        let _ =
            code(&owner, &format!("grant connect on database \"{their_database}\" to {grantee}"))
                .await;
        let _ =
            code(&owner, &format!("grant all on database \"{their_database}\" to {grantee}")).await;
    }
    // … its logins do not get in: neither theirs nor one that it makes.
    let made = code(&owner, "create role sneaky login password 'x' in role postgres").await;
    assert!(made.is_empty() || made == refused, "{made}");
    let _ = code(&owner, "create role sneaky login password 'x'").await;
    let _ = code(&owner, "grant postgres to sneaky").await;
    let sneaky = plinth_postgres::Login {
        role: "sneaky".to_owned(),
        password: Some(plinth_postgres::Secret::new("x")),
    };
    for login in [&ours.owner_login, &ours.authenticator_login, &ours.auth_login, &sneaky] {
        for database in [their_database.as_str(), "plinth", "postgres", "template1"] {
            let error = open(&registry, login, database).await.unwrap_err();
            assert!(
                matches!(error.sqlstate(), Some("42501" | "28P01")),
                "{} into {database}: {}",
                login.role,
                full(&error)
            );
        }
    }
    assert_eq!(code(&owner, "drop role if exists sneaky").await, "");
    // Statements of the other project are not to be seen.
    let other = as_owner(&registry, &theirs).await;
    other.batch_execute("select 'their secret'").await.unwrap();
    let seen = "select count(*) from pg_stat_activity where query like '%their%secret%' and datname <> current_database()";
    assert_eq!(value(&owner, seen).await, "0");
    drop((owner, other));
    for project in [ours, theirs] {
        registry.drop_project(&project.name).await.unwrap();
    }
}

#[tokio::test]
async fn the_data_apis_login_can_be_a_caller_and_nothing_else() {
    let registry = registry().await;
    let project = project(&registry).await;
    let api = open(&registry, &project.authenticator_login, &project.database).await.unwrap();
    for role in ["anon", "authenticated", "service_role", "authenticator"] {
        assert_eq!(code(&api, &format!("set role {role}")).await, "", "{role}");
    }
    let owner_login = format!("\"{}\"", project.owner_login.role);
    for role in ["postgres", "supabase_admin", "supabase_auth_admin", &owner_login] {
        assert_eq!(code(&api, &format!("reset role; set role {role}")).await, "42501", "{role}");
    }
    // It may become the callers, and before it does it has none of their rights.
    as_owner(&registry, &project).await.batch_execute("create table t (id int)").await.unwrap();
    for role in ["none", "authenticator"] {
        for table in ["auth.users", "public.t"] {
            let read = format!("set role {role}; select * from {table}");
            assert_eq!(code(&api, &read).await, "42501", "{read}");
        }
    }
    drop(api);
    registry.drop_project(&project.name).await.unwrap();
}

#[tokio::test]
async fn a_creation_that_fails_leaves_nothing() {
    let registry = registry().await;
    let scratch = Scratch::new();
    scratch.write("supabase/migrations/1_good.sql", "create table a (id int);");
    scratch.write("supabase/migrations/2_bad.sql", "create table b (id int);\nselect 1/0;");
    let folder = MigrationFolder::open(scratch.path()).unwrap();
    let name = unique("atomic");
    let request = || CreateProject { folder: Some(&folder), ..CreateProject::named(&name) };
    let error = registry.create(request()).await.unwrap_err();
    assert!(full(&error).contains("2_bad.sql:2"), "{}", full(&error));
    assert_eq!(traces(&registry, &name).await, "");

    scratch.write("supabase/migrations/2_bad.sql", "create table b (id int);");
    let folder = MigrationFolder::open(scratch.path()).unwrap();
    let request = CreateProject { folder: Some(&folder), ..CreateProject::named(&name) };
    let project = registry.create(request).await.unwrap();
    assert_eq!(value(&as_owner(&registry, &project).await, "select count(*) from b").await, "0");
    registry.drop_project(&name).await.unwrap();
}

/// Not a test of its own: a process that is killed while it makes a project.
#[tokio::test]
#[ignore = "run by other tests"]
async fn create_slowly() {
    let Ok(url) = std::env::var("PLINTH_IT_URL") else { return };
    let registry =
        Registry::open(&Cluster::external(&url).await.unwrap(), &master_key()).await.unwrap();
    let folder =
        MigrationFolder::open(std::env::var_os("PLINTH_IT_FOLDER").unwrap().as_ref()).unwrap();
    let name = std::env::var("PLINTH_IT_NAME").unwrap();
    registry
        .create(CreateProject { folder: Some(&folder), ..CreateProject::named(&name) })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_creation_that_was_killed_leaves_nothing_after_the_next_start() {
    let registry = registry().await;
    let scratch = Scratch::new();
    scratch.write("migrations/1_slow.sql", "create table a (id int); select pg_sleep(600);");
    let cluster = registry.cluster();
    let url = cluster.url(&cluster.endpoint().admin, "postgres");
    let name = unique("killed");
    let mut plinth = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "projects::create_slowly", "--ignored", "--nocapture"])
        .env("PLINTH_IT_URL", url.expose())
        .env("PLINTH_IT_FOLDER", scratch.path())
        .env("PLINTH_IT_NAME", &name)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let control = cluster.connect("plinth").await.unwrap();
    let busy = "select count(*) from pg_stat_activity where query like 'select pg_sleep(600)%'
                  and datname like 'plinth\\_new\\_killed%'";
    let deadline = Instant::now() + Duration::from_secs(30);
    while value(&control, busy).await != "1" {
        assert!(Instant::now() < deadline, "the creation never came so far");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // While its maker lives nobody takes it away.
    Registry::open(cluster, &master_key()).await.unwrap();
    assert_ne!(traces(&registry, &name).await, "");
    plinth.kill().unwrap();
    plinth.wait().unwrap();
    // The server notices the end of the connection a moment later.
    let deadline = Instant::now() + Duration::from_secs(30);
    while !traces(&registry, &name).await.is_empty() {
        assert!(Instant::now() < deadline, "left: {}", traces(&registry, &name).await);
        Registry::open(cluster, &master_key()).await.unwrap();
    }
    let project = registry.create(CreateProject::named(&name)).await.unwrap();
    registry.drop_project(&project.name).await.unwrap();
}

#[tokio::test]
async fn the_same_name_is_made_once() {
    let registry = registry().await;
    let name = unique("race");
    let (one, two) = tokio::join!(
        registry.create(CreateProject::named(&name)),
        registry.create(CreateProject::named(&name))
    );
    let (winner, loser) = if one.is_ok() { (one, two) } else { (two, one) };
    winner.unwrap();
    assert!(matches!(loser, Err(RegistryError::Exists(_))));
    registry.drop_project(&name).await.unwrap();
}

#[tokio::test]
async fn a_reset_gives_a_new_database_or_leaves_the_old_one() {
    let registry = registry().await;
    let scratch = Scratch::new();
    scratch.write("migrations/1_a.sql", "create table a (id int);");
    scratch.write("seed.sql", "insert into a values (1), (2);");
    let folder = MigrationFolder::open(scratch.path()).unwrap();
    let name = unique("reset");
    let request =
        CreateProject { folder: Some(&folder), seed: true, ..CreateProject::named(&name) };
    let project = registry.create(request).await.unwrap();
    let owner = as_owner(&registry, &project).await;
    owner.batch_execute("insert into a values (3); create table extra (id int)").await.unwrap();

    scratch.write("migrations/2_bad.sql", "select nonsense;");
    let bad = MigrationFolder::open(scratch.path()).unwrap();
    registry.reset(&name, Some(&bad), true).await.unwrap_err();
    assert_eq!(value(&owner, "select count(*) from a").await, "3");
    as_owner(&registry, &project).await;

    let reset = registry.reset(&name, Some(&folder), true).await.unwrap();
    assert_eq!(reset.generation, project.generation + 1);
    assert_eq!(reset.keys, project.keys);
    // Sessions of the old database were ended.
    assert_ne!(code(&owner, "select 1").await, "");
    let owner = as_owner(&registry, &reset).await;
    assert_eq!(value(&owner, "select count(*) from a").await, "2");
    assert_eq!(value(&owner, "select to_regclass('extra') is null").await, "t");
    assert_eq!(registry.by_name(&name).await.unwrap().unwrap().generation, reset.generation);
    drop(owner);
    registry.drop_project(&name).await.unwrap();
    assert_eq!(traces(&registry, &name).await, "");
}

#[tokio::test]
async fn a_replication_slot_does_not_keep_a_project() {
    let registry = registry().await;
    let project = project(&registry).await;
    let admin = registry.cluster().connect(&project.database).await.unwrap();
    let slot = project.name.replace('-', "_");
    admin
        .batch_execute(&format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput')"))
        .await
        .unwrap();
    registry.drop_project(&project.name).await.unwrap();
    let control = registry.cluster().connect("plinth").await.unwrap();
    assert_eq!(
        value(
            &control,
            &format!("select count(*) from pg_replication_slots where slot_name = '{slot}'")
        )
        .await,
        "0"
    );
}

#[tokio::test]
async fn a_server_hears_of_projects_that_others_make() {
    let registry = registry().await;
    let mut changes = registry.changes();
    let wait = Duration::from_secs(20);
    let known = tokio::time::timeout(wait, changes.next()).await.unwrap().unwrap();
    let other = Registry::open(registry.cluster(), &master_key()).await.unwrap();
    let project = project(&other).await;
    let mut revision = known;
    while registry.list().await.unwrap().projects.iter().all(|found| found.name != project.name)
        || revision == known
    {
        revision = tokio::time::timeout(wait, changes.next()).await.unwrap().unwrap();
    }
    assert!(revision > known);

    // It goes on after its connection is lost.
    let control = registry.cluster().connect("plinth").await.unwrap();
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
               where datname = 'plinth' and pid <> pg_backend_pid() and query ilike '%listen%' or query like '%plinth.revision%' and pid <> pg_backend_pid()";
    value(&control, cut).await;
    other.drop_project(&project.name).await.unwrap();
    let goal = registry.list().await.unwrap().revision;
    let mut revision = 0;
    while revision < goal {
        revision = tokio::time::timeout(wait, changes.next()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn many_projects_cost_little_at_start() {
    let cluster = Cluster::managed(ManagedOptions::throwaway(binaries()).unwrap()).await.unwrap();
    let registry = Registry::open(&cluster, &master_key()).await.unwrap();
    registry.create(CreateProject::named("first")).await.unwrap();
    for number in 0..8 {
        let name = format!("copy-{number}");
        let request = CreateProject { template: Some("first"), ..CreateProject::named(&name) };
        registry.create(request).await.unwrap();
    }
    let before = Instant::now();
    let registry = Registry::open(&cluster, &master_key()).await.unwrap();
    assert!(registry.apply_platform().await.unwrap().is_empty());
    let known = before.elapsed();
    // Also when every database has to be asked, as after an update of Plinth.
    let control = cluster.connect("plinth").await.unwrap();
    control.batch_execute("update plinth.project set platform = null").await.unwrap();
    let before = Instant::now();
    assert!(registry.apply_platform().await.unwrap().is_empty());
    let asked = before.elapsed();
    assert!(
        known < Duration::from_secs(1) && asked < Duration::from_secs(5),
        "{known:?}, asked {asked:?}"
    );
}

#[tokio::test]
async fn a_role_that_a_project_grants_to_authenticator_serves_requests() {
    let registry = registry().await;
    let project = project(&registry).await;
    let owner = as_owner(&registry, &project).await;
    let role = project.name.replace('-', "_");
    let made = code(&owner, &format!("create role {role}")).await;
    // Before PostgreSQL 16 the owner role cannot create roles.
    if made.is_empty() {
        owner.batch_execute(&format!("grant {role} to authenticator")).await.unwrap();
        let api = open(&registry, &project.authenticator_login, &project.database).await.unwrap();
        assert_eq!(code(&api, &format!("set role {role}")).await, "");
        assert_eq!(value(&api, "select current_user").await, role);
        drop(api);
        owner.batch_execute(&format!("drop role {role}")).await.unwrap();
    }
    drop(owner);
    registry.drop_project(&project.name).await.unwrap();
}

#[tokio::test]
async fn the_data_apis_login_has_limits_that_the_owner_may_change() {
    let registry = registry().await;
    let project = project(&registry).await;
    let limits = async || {
        let api = open(&registry, &project.authenticator_login, &project.database).await.unwrap();
        let (statement, lock) = ("show statement_timeout", "show lock_timeout");
        (value(&api, statement).await, value(&api, lock).await)
    };
    assert_eq!(limits().await, ("8s".to_owned(), "8s".to_owned()));
    let owner = as_owner(&registry, &project).await;
    let set = "select plinth.set_setting('statement_timeout', '15s', 'authenticator'),
                      plinth.set_setting('lock_timeout', null, 'authenticator')";
    owner.batch_execute(set).await.unwrap();
    assert_eq!(limits().await, ("15s".to_owned(), "0".to_owned()));
    drop(owner);
    registry.drop_project(&project.name).await.unwrap();
}

#[tokio::test]
async fn grants_on_databases_that_were_lost_come_back_at_the_next_start() {
    // A cluster of its own: the grants are those of every project.
    let cluster = Cluster::managed(ManagedOptions::throwaway(binaries()).unwrap()).await.unwrap();
    let registry = Registry::open(&cluster, &master_key()).await.unwrap();
    let ours = registry.create(CreateProject::named("ours")).await.unwrap();
    let theirs = registry.create(CreateProject::named("theirs")).await.unwrap();
    let control = cluster.connect("plinth").await.unwrap();
    let grants = async || {
        value(
            &control,
            "select string_agg(concat_ws(' ', datname, grantee::regrole, privilege_type), ', '
               order by datname, grantee::regrole::text, privilege_type)
             from pg_database, aclexplode(datacl) where datname in ('ours', 'theirs')",
        )
        .await
    };
    let whole = grants().await;
    let owner = as_owner(&registry, &ours).await;
    owner.batch_execute("drop owned by anon, postgres").await.unwrap();
    assert_eq!(grants().await, whole, "an owner tidies up at home only");
    drop(owner);
    let admin = cluster.connect("ours").await.unwrap();
    let revoke = "drop owned by postgres, service_role, \"postgres.theirs\", \"auth.theirs\";
                  revoke authenticator from \"authenticator.theirs\";
                  revoke supabase_auth_admin from \"auth.theirs\"";
    admin.batch_execute(revoke).await.unwrap();
    assert!(!grants().await.contains("theirs postgres CREATE"));
    drop(admin);

    let registry = Registry::open(&cluster, &master_key()).await.unwrap();
    assert_eq!(grants().await, whole);
    let owner = as_owner(&registry, &theirs).await;
    assert_eq!(code(&owner, "create schema mine; create temporary table t (id int)").await, "");
    let api = open(&registry, &theirs.authenticator_login, "theirs").await.unwrap();
    assert_eq!(code(&api, "set role anon").await, "");
    let auth = open(&registry, &theirs.auth_login, "theirs").await.unwrap();
    assert_eq!(value(&auth, "select current_user").await, "supabase_auth_admin");
}
