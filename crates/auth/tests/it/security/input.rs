//! Input that is too much, too deep, or means something elsewhere.

use bytes::Bytes;
use http::StatusCode;
use plinth_auth::{ROUTES, Route};
use serde_json::{Value, json};

use crate::support::{Ask, PASSWORD, Site, with_site};

const ID: &str = "6f1e9b2a-0d3c-4f6a-9c55-0a1b2c3d4e5f";

/// Fields that any endpoint reads.
const FIELDS: [&str; 16] = [
    "email",
    "phone",
    "password",
    "token",
    "token_hash",
    "type",
    "data",
    "code",
    "nonce",
    "auth_code",
    "code_verifier",
    "refresh_token",
    "friendly_name",
    "role",
    "ban_duration",
    "id",
];

/// A path of every route, with a query where one is wanted.
fn targets() -> impl Iterator<Item = (&'static str, String)> {
    // Browsers come to the callback, so it always answers with a redirect, which says what is wrong.
    let asked =
        |route: &&Route| !matches!(route.method, "GET" | "HEAD") && route.path != "/callback";
    ROUTES.iter().filter(asked).map(|route| {
        let fill = |part: &str| if part.starts_with('{') { ID.to_owned() } else { part.to_owned() };
        let path = route.path.split('/').map(fill).collect::<Vec<_>>().join("/");
        let query = if path == "/token" { "?grant_type=password" } else { "" };
        (route.method, format!("{path}{query}"))
    })
}

async fn ask(site: &Site<'_>, method: &str, target: &str, body: Bytes) -> (u16, String) {
    let token = if target.starts_with("/admin") { Some(site.service_key()) } else { None };
    let answer =
        site.ask(Ask { method, target, token: token.as_deref(), body, ..Ask::default() }).await;
    (answer.status.as_u16(), answer.body.to_string())
}

#[test]
fn a_nul_character_is_refused_wherever_it_stands() {
    with_site(async |site: &Site| {
        for (method, target) in targets() {
            for field in FIELDS {
                let body = json!({"email": "a@example.com", "password": PASSWORD, field: "a\0b"});
                let (status, said) =
                    ask(site, method, &target, Bytes::from(body.to_string())).await;
                assert!((400..500).contains(&status), "{method} {target} {field}: {status} {said}");
            }
            let body = Bytes::from_static(b"{\"data\": {\"a\\u0000b\": 1}}");
            let (status, said) = ask(site, method, &target, body).await;
            assert!((400..500).contains(&status), "{method} {target}: {status} {said}");
        }
        let user = site.sign_up("ada@example.com").await;
        let body = json!({"data": {"deep": [{"er": "\0"}]}});
        let answer = site.send("PUT", "/user", Some(&user.token), body).await;
        assert_eq!(answer.error(), "bad_json");
        for query in ["?filter=%00", "?filter=a%00b&page=1"] {
            let answer = site.get(&format!("/admin/users{query}"), &site.service_key()).await;
            assert_eq!(answer.status, StatusCode::OK, "{query}");
        }
        let answer = site.get("/verify?type=signup&token=%00&redirect_to=%00", "").await;
        assert!(!answer.status.is_server_error(), "{}", answer.body);
    });
}

#[test]
fn what_is_too_much_too_deep_or_no_object_is_refused() {
    with_site(async |site: &Site| {
        let deep =
            |depth: usize| format!("{{\"data\": {}1{}}}", "[".repeat(depth), "]".repeat(depth));
        let bodies = [
            deep(200),
            deep(400_000),
            format!(
                "{{\"email\": \"{}@example.com\", \"password\": \"{PASSWORD}\"}}",
                "a".repeat(1_000_000)
            ),
            format!("{{\"phone\": \"{}\", \"password\": \"{PASSWORD}\"}}", "1".repeat(1_000_000)),
            format!("{{\"email\": \"a@example.com\", \"password\": \"{}", "x".repeat(1_000_000)),
            "[\"a@example.com\", null, \"password\"]".to_owned(),
            "\"text\"".to_owned(),
            "{\"email\": \"a@example.com\", \"password\": \"\\ud800 lone\"}".to_owned(),
            "{\"email\": {\"a\": 1}}".to_owned(),
            "{".to_owned(),
        ];
        for (method, target) in targets() {
            // Those that read no body are not asked what was in it.
            if matches!(method, "DELETE")
                || target.ends_with("/options")
                || target.starts_with("/logout")
            {
                continue;
            }
            for body in &bodies {
                let (status, said) = ask(site, method, &target, Bytes::from(body.clone())).await;
                let start = &body[..body.len().min(40)];
                assert!((400..500).contains(&status), "{method} {target} {start}: {status} {said}");
            }
        }
        assert_eq!(site.count("auth.users").await, 0);
    });
}

#[test]
fn a_password_of_any_length_is_answered() {
    with_site(async |site: &Site| {
        site.sign_up("ada@example.com").await;
        let long = "x".repeat(100_000);
        let body = json!({"email": "ada@example.com", "password": long});
        let answer = site.post("/token?grant_type=password", body.clone()).await;
        assert_eq!(answer.error(), "invalid_credentials");
        let body = json!({"email": "bob@example.com", "password": long});
        assert_eq!(site.post("/signup", body).await.error(), "validation_failed");
        let body = json!({"email": "bob@example.com", "password": "ä".repeat(36)});
        assert_eq!(site.post("/signup", body).await.status, StatusCode::OK);
    });
}

#[test]
fn sql_in_a_text_is_a_text() {
    with_site(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let admin = site.service_key();
        for hostile in [
            "'; drop table auth.users; --",
            "' or '1'='1",
            "\\'; select 1; --",
            "$1",
            "%",
            "_",
            "{}",
            "\"",
            "a@b.c' or 1=1 --",
            "'||(select encrypted_password from auth.users limit 1)||'@x.org",
            "${jndi:x}",
            "\u{202e}",
            "\u{feff}",
        ] {
            for field in ["email", "phone"] {
                let body = json!({field: hostile, "password": hostile});
                for target in
                    ["/token?grant_type=password", "/signup", "/otp", "/recover", "/resend"]
                {
                    let answer = site.post(target, body.clone()).await;
                    assert!(answer.status.is_client_error(), "{target} {hostile}: {}", answer.body);
                }
            }
            let body = json!({"data": {"name": hostile, hostile: [hostile]}});
            let answer = site.send("PUT", "/user", Some(&ada.token), body).await;
            assert_eq!(answer.body["user_metadata"][hostile], json!([hostile]), "{hostile}");
            let body = json!({"type": "signup", "token_hash": hostile});
            assert_eq!(site.post("/verify", body).await.error(), "otp_expired", "{hostile}");
            let filter: String = url_encoded(hostile);
            let answer = site.get(&format!("/admin/users?filter={filter}"), &admin).await;
            assert_eq!(answer.status, StatusCode::OK, "{hostile}: {}", answer.body);
            let id = site.get(&format!("/admin/users/{filter}"), &admin).await;
            assert_eq!(id.status, StatusCode::NOT_FOUND, "{hostile}");
        }
        assert_eq!(site.count("auth.users").await, 1);
        let role: Value = ada.claims()["role"].clone();
        assert_eq!(role, "authenticated");
    });
}

fn url_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
