//! Key pairs of projects: one signs, others verify, and everybody hears of changes.

use plinth_postgres::{
    MAX_SIGNING_KEYS, NewSigningKey, Registry, RegistryError, Secret, SigningKeyState,
};

use crate::support::{project, registry};

fn key(kid: &str) -> NewSigningKey {
    NewSigningKey {
        kid: kid.to_owned(),
        algorithm: "ES256".to_owned(),
        sealed: Secret::new("sealed:hunter2"),
        public_jwk: "{\"kty\":\"EC\",\"crv\":\"P-256\"}".to_owned(),
    }
}

/// Names and states of the project's keys.
async fn states(registry: &Registry, name: &str) -> Vec<(String, SigningKeyState)> {
    let project = registry.by_name(name).await.unwrap().unwrap();
    project.signing_keys.into_iter().map(|found| (found.key.kid, found.state)).collect()
}

#[tokio::test]
async fn a_key_is_announced_then_signs_then_verifies_then_is_refused() {
    use SigningKeyState::{InUse, PreviouslyUsed, Revoked, Standby};
    let registry = registry().await;
    let project = project(&registry).await;
    let name = project.name.as_str();
    let is = async |wanted: &[(&str, SigningKeyState)]| {
        let found = states(&registry, name).await;
        let found: Vec<_> = found.iter().map(|(kid, state)| (kid.as_str(), *state)).collect();
        assert_eq!(found, wanted);
    };
    is(&[]).await;
    registry.signing_key_add(name, &key("a")).await.unwrap();
    let revision = registry.list().await.unwrap().revision;
    registry.signing_key_add(name, &key("b")).await.unwrap();
    assert!(registry.list().await.unwrap().revision > revision, "nobody would hear of it");
    is(&[("a", Standby), ("b", Standby)]).await;
    registry.signing_key_rotate(name, "a").await.unwrap();
    is(&[("a", InUse), ("b", Standby)]).await;
    let in_use = registry.signing_key_revoke(name, "a").await.unwrap_err();
    assert!(matches!(in_use, RegistryError::SigningKeyNotFound { .. }), "{in_use}");
    registry.signing_key_rotate(name, "b").await.unwrap();
    is(&[("a", PreviouslyUsed), ("b", InUse)]).await;
    registry.signing_key_revoke(name, "a").await.unwrap();
    is(&[("a", Revoked), ("b", InUse)]).await;
    // What cannot be leaves everything as it was.
    for kid in ["a", "b", "c"] {
        let refused = registry.signing_key_rotate(name, kid).await.unwrap_err();
        assert!(matches!(refused, RegistryError::SigningKeyNotFound { .. }), "{kid}: {refused}");
    }
    is(&[("a", Revoked), ("b", InUse)]).await;
    let listed = registry.by_name(name).await.unwrap().unwrap();
    assert_eq!(listed.signing_keys[1].key, key("b"));
    assert!(listed.signing_keys[0].changed_at > listed.signing_keys[0].created_at);
    assert!(!format!("{listed:?}").contains("hunter2"));
    registry.drop_project(name).await.unwrap();
}

#[tokio::test]
async fn keys_that_will_not_do_are_refused() {
    let registry = registry().await;
    let project = project(&registry).await;
    let name = project.name.as_str();
    registry.signing_key_add(name, &key("a")).await.unwrap();
    let twice = registry.signing_key_add(name, &key("a")).await.unwrap_err();
    assert!(matches!(twice, RegistryError::SigningKeyExists(_)), "{twice}");
    let nobody = registry.signing_key_add("no-such-project", &key("a")).await.unwrap_err();
    assert!(matches!(nobody, RegistryError::NotFound(_)), "{nobody}");
    // A private half or a secret in the open, or an algorithm that is none of ours.
    let private = "{\"kty\":\"EC\",\"d\":\"x\"}";
    for (algorithm, jwk) in [
        ("ES256", private),
        ("ES256", "{\"kty\":\"oct\",\"k\":\"x\"}"),
        ("HS256", "{\"kty\":\"EC\"}"),
    ] {
        let (algorithm, public_jwk) = (algorithm.to_owned(), jwk.to_owned());
        let key = NewSigningKey { algorithm, public_jwk, ..key("b") };
        assert!(registry.signing_key_add(name, &key).await.is_err(), "{key:?}");
    }
    for number in 1..MAX_SIGNING_KEYS {
        registry.signing_key_add(name, &key(&number.to_string())).await.unwrap();
    }
    let more = registry.signing_key_add(name, &key("one-more")).await.unwrap_err();
    assert!(matches!(more, RegistryError::TooManySigningKeys(_)), "{more}");
    registry.drop_project(name).await.unwrap();
}
