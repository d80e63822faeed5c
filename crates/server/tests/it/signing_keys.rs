//! Tokens that a project's key pairs sign, on the data API of an instance that hears of changes by itself.

use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use plinth_postgres::{NewSigningKey, Secret};
use plinth_server::config::{Config, RawConfig};
use plinth_testkit::api::Api;
use plinth_testkit::token::{sign, sign_with_header};
use plinth_testkit::{Template, TestDatabase, with_database};
use serde_json::{Value, json};

use crate::cli::plinth;
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

/// What `plinth keys …` prints, beside the instance of the test.
fn keys(database: &TestDatabase, arguments: &[&str]) -> Result<Value, String> {
    let endpoint = database.cluster().cluster().endpoint();
    let url = endpoint.url(&endpoint.admin, "postgres");
    let at = ["--database-url", url.expose()];
    let whose = ["--project", &database.project().name, "-o", "json"];
    let arguments = [&at[..], &["keys"], arguments, &whose].concat();
    let done =
        plinth(&arguments, &[("PLINTH_MASTER_KEY", plinth_testkit::MASTER_KEY)]).output().unwrap();
    if !done.status.success() {
        return Err(String::from_utf8(done.stderr).unwrap());
    }
    Ok(serde_json::from_slice(&done.stdout).unwrap())
}

fn header(token: &str) -> Value {
    let header = jsonwebtoken::decode_header(token).unwrap();
    json!({"alg": format!("{:?}", header.alg), "kid": header.kid})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_changes_its_key_while_somebody_is_signed_in() {
    let database = TestDatabase::create(&Template::Platform).await.unwrap();
    let (project, cluster) = (database.project(), database.cluster());
    let registry = cluster.registry();
    let endpoint = cluster.cluster().endpoint();
    as_owner(
        project,
        endpoint,
        "create function who() returns text language sql stable as 'select auth.uid()::text'",
    )
    .await;
    let registered = registry.by_name(&project.name).await.unwrap().unwrap();
    let instance = Instance::start(endpoint, &[registered], config(|_| {})).await;
    let following = tokio::spawn(instance.projects.clone().follow(registry.clone()));
    let key = project.keys.publishable_key.expose();
    let auth = instance.api().below(&format!("/p/{}/auth/v1", project.name)).with("apikey", key);
    let rest = instance.anon(project);
    let who = async |token: &str| {
        let answer = rest.bearer(token).get("/rpc/who").await.unwrap();
        (answer.status == StatusCode::OK).then(|| answer.json().as_str().unwrap().to_owned())
    };
    let jwks = async || auth.get("/.well-known/jwks.json").await.unwrap().json();
    let user = async |token: &str| auth.bearer(token).get("/user").await.unwrap().status;
    let refreshed = async |token: &Value| {
        let body = json!({"refresh_token": token});
        let answer = auth.post("/token?grant_type=refresh_token", &body).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.json()
    };

    let body = json!({"email": "ada@example.com", "password": "correct horse"});
    let signed_in = auth.post("/signup", &body).await.unwrap().json();
    let old = signed_in["access_token"].as_str().unwrap().to_owned();
    let id = signed_in["user"]["id"].as_str().unwrap().to_owned();
    assert_eq!(header(&old), json!({"alg": "HS256", "kid": null}));
    assert_eq!(jwks().await, json!({"keys": []}));
    assert_eq!(keys(&database, &["list"]), Ok(json!([])));
    assert!(keys(&database, &["rotate"]).unwrap_err().contains("plinth keys add"));

    // On standby it is published, and signs nothing.
    let added = keys(&database, &["add"]).unwrap();
    let kid = added["kid"].as_str().unwrap().to_owned();
    assert_eq!((&added["state"], &added["algorithm"]), (&json!("standby"), &json!("ES256")));
    assert_eq!(added["public_jwk"].get("d"), None, "the private half is nobody's business");
    until("it is published", async || (jwks().await["keys"][0]["kid"] == kid).then_some(())).await;
    let still = refreshed(&signed_in["refresh_token"]).await;
    assert_eq!(header(still["access_token"].as_str().unwrap())["alg"], "HS256");

    assert_eq!(keys(&database, &["rotate"]).unwrap()["state"], "in_use");
    let mut session = still;
    let new = until("it signs", async || {
        session = refreshed(&session["refresh_token"]).await;
        let token = session["access_token"].as_str().unwrap().to_owned();
        (header(&token) == json!({"alg": "ES256", "kid": kid})).then_some(token)
    })
    .await;
    for token in [&old, &new] {
        assert_eq!(user(token).await, StatusCode::OK);
        assert_eq!(who(token).await.as_ref(), Some(&id));
    }
    assert_eq!(jwks().await["keys"][0]["kid"], kid);
    assert!(keys(&database, &["revoke", &kid]).is_err(), "the one in use");

    // The next one, of another kind; then the tokens of the first end.
    keys(&database, &["add", "--algorithm", "eddsa"]).unwrap();
    keys(&database, &["rotate"]).unwrap();
    assert_eq!(keys(&database, &["revoke", &kid]).unwrap()["state"], "revoked");
    until("its tokens are refused", async || who(&new).await.is_none().then_some(())).await;
    assert_eq!(user(&new).await, StatusCode::FORBIDDEN);
    let session = refreshed(&session["refresh_token"]).await;
    let newest = session["access_token"].as_str().unwrap();
    assert_eq!(header(newest)["alg"], "EdDSA");
    for token in [old.as_str(), newest] {
        assert_eq!(user(token).await, StatusCode::OK);
        assert_eq!(who(token).await.as_ref(), Some(&id));
    }
    let states = keys(&database, &["list"]).unwrap();
    let states = states.as_array().unwrap().iter().map(|key| key["state"].clone());
    assert_eq!(states.collect::<Vec<_>>(), [json!("revoked"), json!("in_use")]);
    assert_eq!(jwks().await["keys"].as_array().unwrap().len(), 1);

    following.abort();
    let _ = following.await;
    instance.stop().await;
    database.finish().await.unwrap();
}

#[test]
fn a_key_pair_of_the_settings_signs_and_the_data_api_takes_its_tokens() {
    let pair = plinth_auth::token::generate(plinth_auth::token::Algorithm::Es256).unwrap();
    with_database(&Template::Platform, async |database| {
        let (project, endpoint) = (database.project(), database.cluster().cluster().endpoint());
        let who =
            "create function who() returns text language sql stable as 'select auth.uid()::text'";
        as_owner(project, endpoint, who).await;
        let settings = format!(
            "[project.{}.auth]\nsigning_keys = '''[{}]'''",
            project.name,
            pair.to_json().expose()
        );
        let given = Config::try_from(toml::from_str::<RawConfig>(&settings).unwrap()).unwrap();
        let config = config(|config| config.auth = given.auth);
        let instance = Instance::start(endpoint, std::slice::from_ref(project), config).await;
        let key = project.keys.publishable_key.expose();
        let auth =
            instance.api().below(&format!("/p/{}/auth/v1", project.name)).with("apikey", key);
        let body = json!({"email": "ada@example.com", "password": "correct horse"});
        let session = auth.post("/signup", &body).await.unwrap().json();
        let token = session["access_token"].as_str().unwrap();
        assert_eq!(header(token), json!({"alg": "ES256", "kid": pair.kid()}));
        let jwks = auth.get("/.well-known/jwks.json").await.unwrap().json();
        assert_eq!(jwks["keys"][0]["kid"], json!(pair.kid()));
        let answer = instance.anon(project).bearer(token).get("/rpc/who").await.unwrap();
        assert_eq!(answer.json(), session["user"]["id"], "{}", answer.text());
        instance.stop().await;
    });
}
