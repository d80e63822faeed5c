//! Values that the database seals and cannot open: its side is pgcrypto, ours reads what it made.

use plinth_postgres::{
    Connection, Project, Registry, RegistryError, SEALED, SealingError, SealingKey, Secret,
    sealing_key_name,
};

use crate::support::{as_owner, code, full, project, registry, value};

/// The project's key, in its database.
async fn prepared(registry: &Registry, project: &Project) -> (SealingKey, Connection) {
    let key = registry.sealing_key(&project.name).await.unwrap();
    let owner = as_owner(registry, project).await;
    let set = "update plinth.sealing set name = $1, public = $2";
    owner.execute(set, &[&key.public().name, &key.public().packet]).await.unwrap();
    (key, owner)
}

async fn seal(owner: &Connection, plain: &str) -> String {
    owner.query_one("select plinth.seal_value($1)", &[&plain]).await.unwrap().get(0)
}

#[tokio::test]
async fn what_the_database_seals_only_the_key_pair_opens() {
    let registry = registry().await;
    let project = project(&registry).await;
    let (key, owner) = prepared(&registry, &project).await;
    // Up to lengths that pgcrypto writes in parts.
    let long = "0123456789abcdef".repeat(5_000);
    for plain in ["a", "hunter2", "zwölf Boxkämpfer 🥊\r\n", &long, &long[..16_383], "sealed.v1.x"]
    {
        let sealed = seal(&owner, plain).await;
        assert!(sealed.starts_with(SEALED) && !sealed.contains('\n'), "{sealed}");
        assert_eq!(sealing_key_name(&sealed), Some(key.public().name.as_str()));
        assert_eq!(key.open(&sealed).unwrap().expose(), plain);
        assert_eq!(value(&owner, &format!("select plinth.is_sealed('{sealed}')")).await, "t");
    }
    for nothing in ["", "null"] {
        let sql = format!(
            "select plinth.seal_value(nullif('{nothing}', 'null')) is not distinct from nullif('{nothing}', 'null')"
        );
        assert_eq!(value(&owner, &sql).await, "t");
    }
    let (one, two) = (seal(&owner, "same").await, seal(&owner, "same").await);
    assert_ne!(one, two);
    // Whatever is changed of it is noticed.
    let at = one.rfind('.').unwrap() + 1;
    for n in (at..one.len() - 2).step_by(7) {
        let other = if &one[n..=n] == "A" { "B" } else { "A" };
        let mut changed = one.clone();
        changed.replace_range(n..=n, other);
        let refused = key.open(&changed).map(|secret| secret.expose().to_owned());
        assert!(refused.is_err() || n < at + 16, "byte {} of the message", n - at);
    }
    assert_eq!(key.open(&one[..one.len() - 8]).unwrap_err(), SealingError::Damaged);
    let other = SealingKey::read(&SealingKey::generate().unwrap()).unwrap();
    assert!(matches!(other.open(&one).unwrap_err(), SealingError::OtherKey { .. }));
    owner.close().await;
    registry.drop_project(&project.name).await.unwrap();
}

#[tokio::test]
async fn only_what_a_transaction_sealed_itself_stays_as_it_is() {
    let registry = registry().await;
    let project = project(&registry).await;
    let (key, owner) = prepared(&registry, &project).await;
    let again = "with once as materialized (select plinth.seal_value('a') as text)
                 select plinth.seal_value(text) = text from once";
    assert_eq!(value(&owner, again).await, "t");
    let earlier = seal(&owner, "a").await;
    let twice = seal(&owner, &earlier).await;
    assert_eq!(key.open(&twice).unwrap().expose(), earlier);
    let found = owner.query_one("select plinth.seal_found($1)", &[&earlier]).await.unwrap();
    assert_eq!(found.get::<_, &str>(0), earlier);
    owner.close().await;
    registry.drop_project(&project.name).await.unwrap();
}

#[tokio::test]
async fn a_project_has_one_key_pair_that_every_instance_finds() {
    let registry = registry().await;
    let project = project(&registry).await;
    let name = project.name.as_str();
    assert!(registry.by_name(name).await.unwrap().unwrap().sealing_key.is_none());
    let revision = registry.list().await.unwrap().revision;
    let (one, two) = tokio::join!(registry.sealing_key(name), registry.sealing_key(name));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.public(), two.public());
    assert!(registry.list().await.unwrap().revision > revision, "nobody would hear of it");
    let found = registry.by_name(name).await.unwrap().unwrap();
    let kept = SealingKey::read(&found.sealing_key.clone().unwrap()).unwrap();
    assert_eq!(kept.public(), one.public());
    assert!(!format!("{found:?}").contains("MII"));
    assert_eq!(found.keys, project.keys);
    let missing = registry.sealing_key("no-such-project").await.unwrap_err();
    assert!(matches!(missing, RegistryError::NotFound(_)), "{}", full(&missing));
    // A reset keeps it: what was sealed before and is kept elsewhere still opens.
    let reset = registry.reset(name, None, false).await.unwrap();
    assert_eq!(
        reset.sealing_key.as_ref().map(Secret::expose),
        found.sealing_key.as_ref().map(Secret::expose)
    );
    let owner = as_owner(&registry, &reset).await;
    assert_eq!(code(&owner, "select plinth.seal_value('a')").await, "P0001");
    owner.close().await;
    registry.drop_project(name).await.unwrap();
}
