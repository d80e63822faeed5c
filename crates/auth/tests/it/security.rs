//! Forged tokens, telling times, hostile input, and everything at once.

mod input;
mod races;
mod tokens;

use std::sync::Arc;

use http::StatusCode;
use plinth_auth::password::{Cost, Hasher, HasherSettings};
use serde_json::json;

use crate::support::{PASSWORD, Setup, Site, with_setup};

/// The time of a sign-in is that of its hash; so what is counted is hashes.
#[test]
fn whether_a_user_exists_takes_the_same_work() {
    let cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
    let hasher = Arc::new(Hasher::start(HasherSettings { threads: 1, queue: 8, cost }).unwrap());
    let adjust = |parts: &mut plinth_auth::Parts| parts.hasher = hasher.clone();
    let config = "[auth.email]\nenable_confirmations = true\nmax_frequency = \"0s\"\n";
    with_setup(Setup { config, adjust: &adjust, ..Setup::default() }, async |site: &Site| {
        let admin = site.service_key();
        for (email, password) in
            [("known@example.com", json!(PASSWORD)), ("none@example.com", json!(null))]
        {
            let body = json!({"email": email, "password": password, "email_confirm": true});
            let made = site.send("POST", "/admin/users", Some(&admin), body).await;
            assert_eq!(made.status, StatusCode::OK, "{}", made.body);
        }
        site.sql(
            "update auth.users set encrypted_password = 'no hash at all' where email = 'none@example.com'; \
             update auth.users set banned_until = 'infinity' where email = 'known@example.com'",
        )
        .await;
        for email in ["known@example.com", "none@example.com", "unknown@example.com"] {
            let before = hasher.taken();
            let body = json!({"email": email, "password": "wrong password"});
            let answer = site.post("/token?grant_type=password", body).await;
            assert_eq!(answer.error(), "invalid_credentials", "{email}");
            assert_eq!(hasher.taken() - before, 1, "{email}");
        }
        for (email, password) in [
            ("known@example.com", "another password"),
            ("fresh@example.com", "another password"),
            // Not confirmed: the same once more, then a different one, by which the first is forgotten.
            ("fresh@example.com", "another password"),
            ("fresh@example.com", "a third password"),
            ("fresh@example.com", "a third password"),
        ] {
            let before = hasher.taken();
            let body = json!({"email": email, "password": password});
            let answer = site.post("/signup", body).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            assert_eq!(hasher.taken() - before, 1, "{email}");
        }
    });
}
