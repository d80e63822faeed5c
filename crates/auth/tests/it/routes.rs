//! Every route refuses who may not ask.

use http::StatusCode;
use plinth_auth::{Guard, ROUTES};
use serde_json::json;

use crate::support::{Site, with_site};

/// A path of the route, with something for its parameters.
fn path_of(pattern: &str) -> String {
    let id = "6f1e9b2a-0d3c-4f6a-9c55-0a1b2c3d4e5f";
    pattern
        .split('/')
        .map(|part| if part.starts_with('{') { id } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

#[test]
fn nobody_gets_through_without_a_token() {
    with_site(async |site: &Site| {
        for route in ROUTES.iter().filter(|route| route.guard != Guard::Anyone) {
            let name = format!("{} {}", route.method, route.path);
            let answer = site.send(route.method, &path_of(route.path), None, json!({})).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name}");
            assert_eq!(answer.error(), "no_authorization", "{name}");
            assert_eq!(answer.headers["x-sb-error-code"], "no_authorization", "{name}");
            let forged =
                site.send(route.method, &path_of(route.path), Some("a.b.c"), json!({})).await;
            assert_eq!(
                (forged.status, forged.error()),
                (StatusCode::FORBIDDEN, "bad_jwt".to_owned()),
                "{name}"
            );
        }
    });
}

#[test]
fn a_user_is_no_admin_and_an_api_key_is_no_user() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        for route in ROUTES {
            let name = format!("{} {}", route.method, route.path);
            let path = path_of(route.path);
            match route.guard {
                Guard::Anyone => {}
                Guard::Admin => {
                    let answer = site.send(route.method, &path, Some(&user.token), json!({})).await;
                    let refusal = (StatusCode::FORBIDDEN, "not_admin".to_owned());
                    assert_eq!((answer.status, answer.error()), refusal, "{name}");
                }
                Guard::User | Guard::UserOrApp => {
                    for key in [site.anon_key(), site.service_key()] {
                        let answer = site.send(route.method, &path, Some(&key), json!({})).await;
                        let refusal = (StatusCode::FORBIDDEN, "bad_jwt".to_owned());
                        assert_eq!((answer.status, answer.error()), refusal, "{name}");
                    }
                }
            }
        }
    });
}

#[test]
fn unknown_paths_and_methods_are_told_apart() {
    with_site(async |site: &Site| {
        let answer = site.send("GET", "/nothing", None, json!({})).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        let answer = site.send("PATCH", "/user", None, json!({})).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    });
}
