//! Tokens that a project's key pairs sign, on the data API of an instance that hears of changes by itself.

use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use plinth_postgres::{NewSigningKey, Secret};
use plinth_testkit::api::Api;
use plinth_testkit::token::{sign, sign_with_header};
use plinth_testkit::{Template, with_database};
use serde_json::{Value, json};

use crate::support::{Instance, as_owner, config, gist, until};

const PUBLIC: &str = include_str!("../../src/gateway/jwt/testkeys/public.json");

fn public(name: &str) -> String {
    serde_json::from_str::<Value>(PUBLIC).unwrap()[name].to_string()
}

fn key(kid: &str, algorithm: &str, name: &str) -> NewSigningKey {
    NewSigningKey {
        kid: kid.to_owned(),
        algorithm: algorithm.to_owned(),
        sealed: Secret::new("sealed"),
        public_jwk: public(name),
    }
}

/// A user's token, signed by the key pair of that name.
fn token(algorithm: Algorithm, kid: &str, name: &str) -> String {
    let key = match name {
        "rsa" => {
            EncodingKey::from_rsa_pem(include_bytes!("../../src/gateway/jwt/testkeys/rsa.pem"))
        }
        _ => EncodingKey::from_ec_pem(include_bytes!("../../src/gateway/jwt/testkeys/p256.pem")),
    };
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, &claims(), &key.unwrap()).unwrap()
}

fn claims() -> Value {
    json!({"role": "authenticated", "sub": "a0000000-0000-4000-8000-000000000001"})
}

async fn status(api: &Api, token: &str) -> StatusCode {
    api.bearer(token).get("/rpc/who").await.unwrap().status
}

#[test]
fn tokens_of_key_pairs_count_until_their_key_is_revoked() {
    with_database(&Template::Platform, async |database| {
        let (project, cluster) = (database.project(), database.cluster());
        let registry = cluster.registry();
        let endpoint = cluster.cluster().endpoint();
        let who =
            "create function who() returns text language sql stable as 'select current_user::text'";
        as_owner(project, endpoint, who).await;
        let registered = registry.by_name(&project.name).await.unwrap().unwrap();
        let instance = Instance::start(endpoint, &[registered], config(|_| {})).await;
        let following = tokio::spawn(instance.projects.clone().follow(registry.clone()));
        let served = instance.projects.get(&project.name).unwrap();
        let api = instance.anon(project);
        let pool = served.auth_pool();

        let (one, two) =
            (token(Algorithm::ES256, "one", "p256"), token(Algorithm::RS256, "two", "rsa"));
        assert_eq!(status(&api, &one).await, StatusCode::UNAUTHORIZED, "nobody knows the key");
        registry.signing_key_add(&project.name, &key("one", "ES256", "p256")).await.unwrap();
        registry.signing_key_add(&project.name, &key("two", "RS256", "rsa")).await.unwrap();
        registry.signing_key_rotate(&project.name, "one").await.unwrap();
        until("the key in use counts", async || {
            (status(&api, &one).await == StatusCode::OK).then_some(())
        })
        .await;
        until("the one on standby is known", async || {
            (status(&api, &two).await == StatusCode::OK).then_some(())
        })
        .await;
        let answer = api.bearer(&one).get("/rpc/who").await.unwrap();
        assert_eq!(answer.json(), "authenticated");

        // Who knows what is public can sign nothing.
        let p256 = public("p256");
        let point = serde_json::from_str::<Value>(&p256).unwrap()["x"].as_str().unwrap().to_owned();
        for (what, forged) in [
            (
                "HS256 with the key's text",
                sign_with_header(&p256, &json!({"alg": "HS256", "kid": "one"}), &claims()),
            ),
            (
                "HS256 with a part of it",
                sign_with_header(&point, &json!({"alg": "HS256"}), &claims()),
            ),
            (
                "no signature",
                sign_with_header("", &json!({"alg": "none", "kid": "one"}), &claims()),
            ),
            (
                "an EC token that says HS256",
                sign_with_header(&p256, &json!({"alg": "ES256", "kid": "one"}), &claims()),
            ),
            ("the name of another key", token(Algorithm::ES256, "two", "p256")),
            ("the name of no key", token(Algorithm::ES256, "three", "p256")),
            (
                "the secret in a key's name",
                sign_with_header(
                    project.keys.jwt_secret.expose(),
                    &json!({"alg": "HS256", "kid": "one"}),
                    &claims(),
                ),
            ),
        ] {
            let answer = api.bearer(&forged).get("/rpc/who").await.unwrap();
            assert_eq!(gist(&answer), (401, "PGRST301".to_owned()), "{what}");
        }
        // A token of a key pair is no API key, and the secret goes on counting.
        let as_key = instance.rest(project).with("apikey", &one).get("/rpc/who").await.unwrap();
        assert_eq!(as_key.status, StatusCode::UNAUTHORIZED);
        let secret = sign(project.keys.jwt_secret.expose(), &claims());
        assert_eq!(status(&api, &secret).await, StatusCode::OK);

        registry.signing_key_rotate(&project.name, "two").await.unwrap();
        until("it has heard of the rotation", async || {
            let keys = served.signing_keys();
            (keys.iter().any(|key| key.key.kid == "two" && key.state.as_str() == "in_use"))
                .then_some(())
        })
        .await;
        assert_eq!(status(&api, &one).await, StatusCode::OK, "out of use is not refused");
        assert_eq!(status(&api, &two).await, StatusCode::OK);

        registry.signing_key_revoke(&project.name, "one").await.unwrap();
        until(
            "a revoked key's tokens are refused, however lately they were verified",
            async || (status(&api, &one).await == StatusCode::UNAUTHORIZED).then_some(()),
        )
        .await;
        assert_eq!(status(&api, &two).await, StatusCode::OK);
        assert_eq!(status(&api, &secret).await, StatusCode::OK);
        // None of this cost anybody a connection.
        assert!(served.auth_pool().is_some() && pool.is_some());
        assert!(std::sync::Arc::ptr_eq(&served, &instance.projects.get(&project.name).unwrap()));
        following.abort();
        let _ = following.await;
        instance.stop().await;
    });
}
