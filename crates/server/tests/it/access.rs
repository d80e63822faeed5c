//! Who is let in: keys, tokens, projects. Every route is tried by callers who must be refused.

use std::time::Duration;

use http::{Method, StatusCode};
use plinth_postgres::Project;
use plinth_server::gateway::{Guard, INSTANCE_PATHS, ROUTES, Service};
use plinth_testkit::api::Api;
use plinth_testkit::token::{seconds, sign, sign_with_header, user_token};
use plinth_testkit::{Template, TestDatabase};
use serde_json::{Value, json};

use crate::support::{Instance, as_owner, config, gist, with_blueprint, with_project};

const ADA: &str = "a0000000-0000-4000-8000-000000000001";
const EVE: &str = "e0000000-0000-4000-8000-000000000003";

/// One table that shows who asks.
const WHO: &str = "create function who() returns jsonb language sql stable as \
    $$ select jsonb_build_object('role', current_user, 'sub', auth.uid(), 'claimed', auth.role()) $$;";

fn secret(project: &Project) -> &str {
    project.keys.jwt_secret.expose()
}

/// Requests without a key of the project, by name: they must be answered 401 on every route that asks for a key.
fn without_key(api: &Api, project: &Project, other: &Project) -> Vec<(&'static str, Api)> {
    let key = |key: &str| api.with("apikey", key);
    let good = project.keys.publishable_key.expose();
    let theirs = &other.keys;
    let user = user_token(secret(project), ADA, "ada@example.com");
    vec![
        ("no key", api.clone()),
        ("no key and a good token", api.bearer(&user)),
        ("an empty key", key("")),
        ("an unknown key", key("sb_publishable_AAAAAAAAAAAAAAAAAAAAAA_AAAAAAAA")),
        ("a cut key", key(&good[..good.len() - 1])),
        ("a user's token as key", key(&user)),
        ("the other project's publishable key", key(theirs.publishable_key.expose())),
        ("the other project's secret key", key(theirs.secret_key.expose())),
        ("the other project's anon key", key(theirs.anon_key.expose())),
        ("the other project's service key", key(theirs.service_role_key.expose())),
    ]
}

/// Requests with a key of the project and a bad token, by name: they must be answered 401 on every route whose tokens the
/// gateway verifies.
fn without_token(api: &Api, project: &Project, other: &Project) -> Vec<(&'static str, Api)> {
    let key = |key: &str| api.with("apikey", key);
    let good = project.keys.publishable_key.expose();
    let user = user_token(secret(project), ADA, "ada@example.com");
    let foreign_user = user_token(secret(other), ADA, "ada@example.com");
    let with_token = |claims: Value| key(good).bearer(&sign(secret(project), &claims));
    let with_header = |header: Value| {
        let claims = json!({"role": "service_role", "exp": seconds(Duration::from_secs(60))});
        key(good).bearer(&sign_with_header(secret(project), &header, &claims))
    };
    let past = seconds(Duration::ZERO) - 3600;
    vec![
        ("the other project's user", key(good).bearer(&foreign_user)),
        ("an expired token", with_token(json!({"role": "authenticated", "exp": past}))),
        ("a token of the future", with_token(json!({"role": "authenticated", "nbf": past + 7200}))),
        ("a token without a role", with_token(json!({"sub": ADA}))),
        ("a tampered token", key(good).bearer(&format!("{}x", &user[..user.len() - 1]))),
        ("an unsigned token", with_header(json!({"alg": "none"}))),
        ("a token of another algorithm", with_header(json!({"alg": "RS256"}))),
        ("half a token", key(good).bearer("abc.def")),
        ("an empty token", key(good).bearer("")),
    ]
}

/// Two projects on one instance.
async fn two_projects(test: impl AsyncFnOnce(&Instance, &TestDatabase, &TestDatabase)) {
    let one = TestDatabase::create(&Template::Platform).await.unwrap();
    let two = TestDatabase::create(&Template::Platform).await.unwrap();
    let endpoint = one.cluster().cluster().endpoint();
    for (database, table) in [(&one, "first"), (&two, "second")] {
        let hook = crate::hooks::hook();
        let sql =
            format!("{WHO} {hook} create table {table} (id int); insert into {table} values (1)");
        as_owner(database.project(), endpoint, &sql).await;
    }
    let projects = [one.project().clone(), two.project().clone()];
    let instance = Instance::start(endpoint, &projects, config(|_| {})).await;
    test(&instance, &one, &two).await;
    instance.stop().await;
    for database in [one, two] {
        assert_eq!(database.finish().await.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_refuses_every_stranger() {
    two_projects(async |instance, one, two| {
        let base = instance.api().below(&format!("/p/{}", one.name()));
        for route in ROUTES {
            // A route of another kind needs strangers of its own here before this compiles.
            let mut strangers = without_key(&base, one.project(), two.project());
            match route.guard {
                Guard::ApiKey => {
                    strangers.extend(without_token(&base, one.project(), two.project()));
                }
                Guard::SignIn => {}
                Guard::Proof => {
                    refuses_deliveries(&base, &strangers).await;
                    continue;
                }
                Guard::Token => {
                    strangers.extend(without_token(&base, one.project(), two.project()));
                    refuses_messages(&strangers).await;
                    continue;
                }
            }
            for path in [route.prefix.to_owned(), format!("{}/rpc/who", route.prefix)] {
                for (stranger, api) in &strangers {
                    for method in [Method::GET, Method::POST, Method::HEAD, Method::DELETE] {
                        let answer = api.send(method.clone(), &path, "{}".into()).await.unwrap();
                        let what = format!("{method} {path} with {stranger}: {}", answer.text());
                        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}");
                        assert!(answer.header("www-authenticate").is_some(), "{what}");
                    }
                }
            }
        }
    })
    .await;
}

/// No key of any project stands for the proof that a hook asks for, and no answer says what was wrong.
async fn refuses_deliveries(base: &Api, strangers: &[(&str, Api)]) {
    let guess = ("a wrong proof", base.with("x-proof", "guess"));
    for (stranger, api) in strangers.iter().chain([&guess]) {
        let answer = api.send(Method::POST, "/hooks/v1/deploy", "{}".into()).await.unwrap();
        let what = format!("a delivery with {stranger}: {}", answer.text());
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}");
        assert_eq!(answer.json(), json!({"message": "not authorised"}), "{what}");
    }
}

/// Messages are for servers: no stranger, and no visitor with the project's public key, publishes or reads any.
async fn refuses_messages(strangers: &[(&str, Api)]) {
    for (stranger, api) in strangers {
        for (method, path) in
            [(Method::GET, "/v2/keys"), (Method::POST, "/v2/publish/https://example.com")]
        {
            let answer = api.send(method, &format!("/work{path}"), "{}".into()).await.unwrap();
            let what = format!("{path} with {stranger}: {}", answer.text());
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_lets_a_key_of_the_project_through() {
    two_projects(async |instance, one, _| {
        let api = instance.api().below(&format!("/p/{}", one.name()));
        let api = api.with("apikey", one.project().keys.publishable_key.expose());
        for route in ROUTES {
            let answer = api.get(&format!("{}/rpc/who", route.prefix)).await.unwrap();
            let wanted = match route.service {
                Service::Rest => StatusCode::OK,
                Service::Auth => StatusCode::NOT_FOUND,
                // No key opens a hook, and reading one is nothing that anybody may.
                Service::Hooks => StatusCode::METHOD_NOT_ALLOWED,
                Service::Messages => StatusCode::NOT_FOUND,
                Service::NotYet(_) => StatusCode::NOT_IMPLEMENTED,
            };
            assert_eq!(answer.status, wanted, "{}: {}", route.prefix, answer.text());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_in_judges_tokens_by_itself_and_opens_some_paths_to_everybody() {
    two_projects(async |instance, one, two| {
        let base = instance.api().below(&format!("/p/{}", one.name()));
        for (stranger, api) in without_token(&base, one.project(), two.project()) {
            let answer = api.get("/auth/v1/user").await.unwrap();
            let words = ["bad_jwt", "no_authorization", "user_not_found"];
            let code = answer.json()["error_code"].as_str().unwrap_or_default().to_owned();
            assert!(words.contains(&code.as_str()), "{stranger}: {}", answer.text());
        }
        for path in ["/verify?token=x&type=signup", "/callback", "/.well-known/jwks.json"] {
            for (stranger, api) in without_key(&base, one.project(), two.project()) {
                let answer = api.get(&format!("/auth/v1{path}")).await.unwrap();
                let refused = StatusCode::UNAUTHORIZED;
                assert_ne!(answer.status, refused, "{path} with {stranger}: {}", answer.text());
            }
        }
        let key = one.project().keys.publishable_key.expose();
        let answer = base.get(&format!("/auth/v1/health?apikey={key}")).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "a key in the query");
    })
    .await;
}

#[test]
fn sign_in_says_what_scripts_of_other_origins_may_do_and_bounds_bodies() {
    with_project(
        "",
        |_| {},
        async |instance, database| {
            let api = instance.api().below(&format!("/p/{}/auth/v1", database.name()));
            let browser = api.with("origin", "https://app.example");
            let asking = browser
                .with("access-control-request-method", "POST")
                .with("access-control-request-headers", "apikey,x-supabase-api-version");
            let answer = asking.send(Method::OPTIONS, "/token", "".into()).await.unwrap();
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(
                answer.header("access-control-allow-methods"),
                Some("GET, POST, PUT, PATCH, DELETE")
            );
            // Also where it is refused, or the browser could not tell why.
            let key = database.project().keys.publishable_key.expose();
            let long = bytes::Bytes::from(vec![b'x'; (1 << 20) + 1]);
            let refused = browser.get("/settings").await.unwrap();
            let too_long =
                browser.with("apikey", key).send(Method::POST, "/signup", long).await.unwrap();
            assert_eq!(gist(&refused).0, 401);
            assert_eq!(too_long.status, StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!(too_long.json()["error_code"], "request_entity_too_large");
            for answer in [refused, too_long] {
                assert_eq!(
                    answer.header("access-control-allow-origin"),
                    Some("https://app.example")
                );
                assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
                assert_eq!(
                    answer.header("access-control-expose-headers"),
                    Some("X-Total-Count, Link, X-Supabase-Api-Version")
                );
            }
        },
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_open_pages_tell_no_secret() {
    two_projects(async |instance, one, two| {
        for path in INSTANCE_PATHS {
            let answer = instance.api().get(path).await.unwrap();
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            for project in [one.project(), two.project()] {
                let keys = &project.keys;
                let login = &project.owner_login;
                for secret in [
                    &keys.jwt_secret,
                    &keys.anon_key,
                    &keys.service_role_key,
                    &keys.publishable_key,
                    &keys.secret_key,
                    login.password.as_ref().unwrap(),
                ] {
                    assert!(!answer.text().contains(secret.expose()), "{path} shows a secret");
                }
            }
            let post = instance.api().send(Method::POST, path, "".into()).await.unwrap();
            assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
        assert!(instance.api().get("/").await.unwrap().text().contains(one.name()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_sees_its_own_database_and_no_other() {
    two_projects(async |instance, one, two| {
        let (first, second) = (instance.service(one.project()), instance.service(two.project()));
        assert_eq!(first.get("/first").await.unwrap().json(), json!([{"id": 1}]));
        assert_eq!(gist(&first.get("/second").await.unwrap()), (404, "PGRST205".to_owned()));
        assert_eq!(second.get("/second").await.unwrap().json(), json!([{"id": 1}]));

        // A login of one database is of no use in the other, whatever the gateway does.
        let endpoint = one.cluster().cluster().endpoint();
        for login in [&one.project().authenticator_login, &one.project().owner_login] {
            let refused = endpoint.connect_as(login, &two.project().database).await.unwrap_err();
            assert_eq!(refused.sqlstate(), Some("42501"), "{refused}");
        }

        // A token that one project has verified and remembers is still foreign to the other.
        let token = user_token(secret(one.project()), ADA, "ada@example.com");
        let own = instance.anon(one.project()).bearer(&token);
        assert_eq!(own.get("/rpc/who").await.unwrap().status, StatusCode::OK);
        let foreign = instance.anon(two.project()).bearer(&token).get("/rpc/who").await.unwrap();
        assert_eq!(gist(&foreign), (401, "PGRST301".to_owned()));
    })
    .await;
}

#[test]
fn each_kind_of_key_stands_for_its_role() {
    with_project(
        WHO,
        |_| {},
        async |instance, database| {
            let project = database.project();
            let keys = &project.keys;
            for (key, role) in [
                (&keys.publishable_key, "anon"),
                (&keys.anon_key, "anon"),
                (&keys.secret_key, "service_role"),
                (&keys.service_role_key, "service_role"),
            ] {
                let rest = instance.rest(project);
                let by_header = rest.with("apikey", key.expose());
                let by_query =
                    rest.get(&format!("/rpc/who?apikey={}", key.expose())).await.unwrap();
                let repeated = by_header.bearer(key.expose());
                let repeated = repeated.get("/rpc/who").await.unwrap();
                for answer in [by_header.get("/rpc/who").await.unwrap(), by_query, repeated] {
                    assert_eq!(answer.json(), json!({"role": role, "sub": null, "claimed": role}));
                }
            }
        },
    );
}

#[test]
fn a_token_decides_who_it_is_whatever_the_key() {
    with_project(
        WHO,
        |_| {},
        async |instance, database| {
            let project = database.project();
            let token = user_token(secret(project), ADA, "ada@example.com");
            for api in [instance.anon(project), instance.service(project)] {
                let found = api.bearer(&token).get("/rpc/who").await.unwrap().json();
                assert_eq!(
                    found,
                    json!({"role": "authenticated", "sub": ADA, "claimed": "authenticated"})
                );
            }
            let lower = instance.anon(project).with("authorization", &format!("bearer {token}"));
            assert_eq!(lower.get("/rpc/who").await.unwrap().json()["sub"], ADA);
        },
    );
}

#[test]
fn a_role_that_does_not_exist_or_may_not_be_taken_is_refused_by_the_database() {
    with_project(
        WHO,
        |_| {},
        async |instance, database| {
            let project = database.project();
            let as_role = |role: &str| {
                let claims = json!({"role": role, "exp": seconds(Duration::from_secs(60))});
                instance.anon(project).bearer(&sign(secret(project), &claims))
            };
            let answer = as_role("no_such_role").get("/rpc/who").await.unwrap();
            assert_eq!(gist(&answer), (401, "22023".to_owned()), "{}", answer.text());
            for role in ["supabase_admin", "postgres"] {
                let answer = as_role(role).get("/rpc/who").await.unwrap();
                assert_eq!(gist(&answer), (403, "42501".to_owned()), "{role}: {}", answer.text());
            }
            for role in ["none", "", "anon\"; select 1"] {
                let answer = as_role(role).get("/rpc/who").await.unwrap();
                assert!(
                    answer.status.is_client_error(),
                    "{role}: {} {}",
                    answer.status,
                    answer.text()
                );
            }
        },
    );
}

#[test]
fn an_expired_token_is_forgotten_by_the_cache() {
    with_project(
        WHO,
        |_| {},
        async |instance, database| {
            let project = database.project();
            // 30 s of skew are allowed, so this one is good for about two more seconds.
            let claims = json!({"role": "authenticated", "exp": seconds(Duration::ZERO) - 28});
            let api = instance.anon(project).bearer(&sign(secret(project), &claims));
            assert_eq!(api.get("/rpc/who").await.unwrap().status, StatusCode::OK);
            crate::support::until("the token expires", async || {
                let answer = api.get("/rpc/who").await.unwrap();
                (gist(&answer) == (401, "PGRST303".to_owned())).then_some(())
            })
            .await;
        },
    );
}

#[test]
fn without_the_need_for_a_key_everybody_is_anon_until_they_say_more() {
    with_project(
        WHO,
        |config| config.keys.require_apikey = false,
        async |instance, database| {
            let project = database.project();
            let rest = instance.rest(project);
            let role = async |api: &Api| api.get("/rpc/who").await.unwrap().json()["role"].clone();
            assert_eq!(role(&rest).await, "anon");
            assert_eq!(role(&rest.bearer(project.keys.secret_key.expose())).await, "service_role");
            let token = user_token(secret(project), ADA, "ada@example.com");
            assert_eq!(role(&rest.bearer(&token)).await, "authenticated");
            let wrong = rest.with("apikey", "wrong").get("/rpc/who").await.unwrap();
            assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
        },
    );
}

#[test]
fn row_level_security_decides_what_each_user_sees() {
    with_blueprint("echelon", async |instance, database| {
        let project = database.project();
        let count = async |api: &Api| {
            let answer = api.get("/agents?select=id").await.unwrap();
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            answer.json().as_array().unwrap().len()
        };
        let user = |id: &str| {
            instance.anon(project).bearer(&user_token(secret(project), id, "x@example.com"))
        };
        assert!(count(&instance.service(project)).await > 0);
        assert!(count(&user(ADA)).await > 0);
        assert_eq!(count(&user(EVE)).await, 0);
    });
}

#[test]
fn sql_reads_the_request_with_the_rewritten_authorization() {
    let sql = "create function asked() returns jsonb language sql stable as $$ select jsonb_build_object(
        'headers', current_setting('request.headers')::jsonb, 'cookies', current_setting('request.cookies')::jsonb,
        'method', current_setting('request.method'), 'path', current_setting('request.path'),
        'claims', current_setting('request.jwt.claims')::jsonb) $$;";
    with_project(
        sql,
        |_| {},
        async |instance, database| {
            let project = database.project();
            let api = instance.anon(project).with("x-custom", "Über").with("cookie", "a=1; b=2");
            let found = api.get("/rpc/asked").await.unwrap().json();
            assert_eq!(found["method"], "GET");
            assert_eq!(found["path"], "/rpc/asked");
            assert_eq!(found["cookies"], json!({"a": "1", "b": "2"}));
            assert_eq!(found["headers"]["x-custom"], "Über");
            assert_eq!(found["headers"]["cookie"], Value::Null);
            let token = format!("Bearer {}", project.keys.anon_key.expose());
            assert_eq!(found["headers"]["authorization"], token.as_str());
            assert_eq!(found["claims"]["role"], "anon");
        },
    );
}
