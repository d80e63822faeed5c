//! Secrets at rest: the control database alone gives nobody a key, and the master key is never replaced by accident.

use std::collections::BTreeMap;

use plinth_postgres::seal::KeyPlace;
use plinth_postgres::{
    Cluster, Connection, CreateProject, ManagedOptions, Project, Registry, RegistryError, Secret,
};

use crate::support::{Scratch, binaries, full, make_plain, master_key, secrets, value};

async fn cluster() -> Cluster {
    Cluster::managed(ManagedOptions::throwaway(binaries()).unwrap()).await.unwrap()
}

fn given(keys: &str) -> KeyPlace {
    KeyPlace::Given(Secret::new(keys))
}

async fn create(registry: &Registry, name: &str) -> Project {
    registry.create(CreateProject::named(name)).await.unwrap()
}

/// Everything in the control database.
async fn dump(control: &Connection) -> String {
    let tables =
        "select string_agg(format('select t::text from plinth.%I as t', tablename), ' union all ')
                  from pg_tables where schemaname = 'plinth'";
    let rows = value(control, tables).await;
    value(control, &format!("select string_agg(t, ' ') from ({rows}) as all_rows (t)")).await
}

/// What of `projects` is secret and occurs in `text`.
fn found<'a>(projects: &'a [&Project], text: &str) -> Vec<&'a str> {
    let named =
        |project: &&'a Project| secrets(project).map(|secret| (project.name.as_str(), secret));
    let all = projects.iter().flat_map(named);
    all.filter(|(_, secret)| text.contains(secret)).map(|(name, _)| name).collect()
}

async fn all(registry: &Registry) -> BTreeMap<String, [String; 6]> {
    let projects = registry.list().await.unwrap().projects;
    projects.iter().map(|project| (project.name.clone(), secrets(project))).collect()
}

#[tokio::test]
async fn a_dump_gives_nobody_a_key() {
    let cluster = cluster().await;
    let registry = Registry::open(&cluster, &master_key()).await.unwrap();
    let (one, two) = (create(&registry, "one").await, create(&registry, "two").await);
    let control = cluster.connect("plinth").await.unwrap();
    let dumped = dump(&control).await;
    assert!(dumped.contains(one.keys.anon_key.expose()), "this is the registry");
    assert_eq!(found(&[&one, &two], &dumped), [""; 0]);
    assert_eq!(secrets(&registry.by_name("one").await.unwrap().unwrap()), secrets(&one));
    assert!(!format!("{registry:?}").contains("5c5c5c"));

    // What was sealed for one project is no other's.
    let moved = "update plinth.project set secrets = (select secrets from plinth.project where name = 'two')
                 where name = 'one'";
    control.batch_execute(moved).await.unwrap();
    let refused = registry.by_name("one").await.unwrap_err();
    assert!(matches!(&refused, RegistryError::Sealed { project, .. } if project == "one"));
    assert_eq!(secrets(&registry.by_name("two").await.unwrap().unwrap()), secrets(&two));
    // It can be dropped all the same.
    registry.drop_project("one").await.unwrap();
    assert_eq!(all(&registry).await.len(), 1);
    let plain = "update plinth.project set secrets = 'plain'";
    assert!(control.batch_execute(plain).await.is_err());
}

#[tokio::test]
async fn what_was_plain_is_sealed_at_the_next_start() {
    let cluster = cluster().await;
    let registry = Registry::open(&cluster, &master_key()).await.unwrap();
    let (one, two) = (create(&registry, "one").await, create(&registry, "two").await);
    let kept = all(&registry).await;
    let control = cluster.connect("plinth").await.unwrap();
    make_plain(&cluster, &[&one, &two]).await;
    assert_eq!(found(&[&one, &two], &dump(&control).await).len(), 12);

    let key = master_key();
    let (first, second) =
        tokio::join!(Registry::open(&cluster, &key), Registry::open(&cluster, &key));
    assert_eq!(all(&first.unwrap()).await, kept);
    assert_eq!(all(&second.unwrap()).await, kept);
    assert_eq!(found(&[&one, &two], &dump(&control).await), [""; 0]);
    // Nor are they in the table's file, where deleted rows stay until their place is used again.
    control.batch_execute("checkpoint").await.unwrap();
    for (present, secret) in
        [(true, one.keys.anon_key.expose()), (false, one.keys.jwt_secret.expose())]
    {
        let search = format!(
            "select position('{secret}'::bytea in pg_read_binary_file(pg_relation_filepath('plinth.project'))) > 0"
        );
        assert_eq!(value(&control, &search).await == "t", present);
    }

    // A start that was killed after the first of them.
    let interrupted =
        format!("insert into plinth.plain_secret values ('two', '{}')", secrets(&two).join("', '"));
    control.batch_execute(&interrupted).await.unwrap();
    control
        .batch_execute("update plinth.project set secrets = null where name = 'two'")
        .await
        .unwrap();
    let again = Registry::open(&cluster, &key).await.unwrap();
    assert_eq!(all(&again).await, kept);
    assert_eq!(found(&[&one, &two], &dump(&control).await), [""; 0]);
}

#[tokio::test]
async fn a_lost_master_key_is_never_replaced() {
    let cluster = cluster().await;
    let scratch = Scratch::new();
    let file = scratch.path().join("new/master.key");
    let place = KeyPlace::File(file.clone());
    let (one, two) =
        tokio::join!(Registry::open(&cluster, &place), Registry::open(&cluster, &place));
    let registry = one.unwrap();
    two.unwrap();
    // Even before there is a project: another instance must not choose another key.
    let refused = Registry::open(&cluster, &master_key()).await.unwrap_err();
    assert!(matches!(refused, RegistryError::MasterKeyWrong { .. }), "{}", full(&refused));
    let kept = create(&registry, "kept").await;

    let key = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let refused = Registry::open(&cluster, &place).await.unwrap_err();
    assert!(matches!(refused, RegistryError::MasterKeyLost { .. }), "{}", full(&refused));
    assert!(full(&refused).contains(file.to_str().unwrap()), "{}", full(&refused));
    assert!(!file.exists(), "a new key was made");

    let refused = Registry::open(&cluster, &given(&"ab".repeat(32))).await.unwrap_err();
    let RegistryError::MasterKeyWrong { wanted, found, .. } = &refused else {
        panic!("{}", full(&refused))
    };
    assert!(registry.sealer().names().eq([wanted.as_str()]) && wanted != found);
    assert!(!full(&refused).contains("abab"), "{}", full(&refused));

    let again = Registry::open(&cluster, &given(&key)).await.unwrap();
    assert_eq!(secrets(&again.by_name("kept").await.unwrap().unwrap()), secrets(&kept));
}

#[tokio::test]
async fn a_master_key_can_be_replaced() {
    let cluster = cluster().await;
    let (old, new) = ("0a".repeat(32), "0b".repeat(32));
    let registry = Registry::open(&cluster, &given(&old)).await.unwrap();
    create(&registry, "one").await;
    let kept = all(&registry).await;
    let both = Registry::open(&cluster, &given(&format!("{new} {old}"))).await.unwrap();
    assert_eq!(all(&both).await, kept);
    let only = Registry::open(&cluster, &given(&new)).await.unwrap();
    assert_eq!(all(&only).await, kept);
    let refused = Registry::open(&cluster, &given(&old)).await.unwrap_err();
    assert!(matches!(refused, RegistryError::MasterKeyWrong { .. }), "{}", full(&refused));
    // Who runs on with the old one alone says which project it cannot open.
    let refused = registry.list().await.unwrap_err();
    assert!(full(&refused).contains("`one`"), "{}", full(&refused));
}
