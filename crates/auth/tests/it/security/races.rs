//! Everything at once: what holds for one request after the other holds for all of them together.

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;

use crate::support::{PASSWORD, Site, with_site};

const AT_ONCE: usize = 12;

#[test]
fn one_address_becomes_one_user() {
    with_site(async |site: &Site| {
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let answers = join_all((0..AT_ONCE).map(|_| site.post("/signup", body.clone()))).await;
        let made = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
        assert_eq!(made, 1);
        for answer in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
            assert_eq!(answer.error(), "user_already_exists", "{}", answer.body);
        }
        for table in ["users", "identities", "sessions"] {
            assert_eq!(site.count(&format!("auth.{table}")).await, 1, "{table}");
        }
    });
}

#[test]
fn one_address_by_administrators_too() {
    with_site(async |site: &Site| {
        let key = site.service_key();
        let create = |number: usize| {
            let (site, key) = (&site, &key);
            let body = json!({"email": "ada@example.com", "phone": format!("1555010{number}")});
            async move { site.send("POST", "/admin/users", Some(key), body).await }
        };
        let answers = join_all((0..AT_ONCE).map(create)).await;
        let made = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
        assert_eq!(made, 1);
        assert!(answers.iter().all(|answer| answer.status.as_u16() < 500));
        assert_eq!(site.count("auth.identities").await, 2);
    });
}

#[test]
fn sign_ins_refreshes_and_sign_outs_do_not_trip_each_other() {
    with_site(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let one = async |number: usize| match number % 4 {
            0 => site.post("/token?grant_type=password", body.clone()).await,
            1 => site.refresh(&ada.refresh).await,
            2 => site.get("/user", &ada.token).await,
            _ if number == 7 => {
                site.send("POST", "/logout?scope=local", Some(&ada.token), json!({})).await
            }
            _ => {
                let data = json!({"data": {"n": number}});
                site.send("PUT", "/user", Some(&ada.token), data).await
            }
        };
        for answer in join_all((0..3 * AT_ONCE).map(one)).await {
            assert!(answer.status.as_u16() < 500, "{} {}", answer.status, answer.body);
        }
        let after = site.refresh(&ada.refresh).await;
        assert_eq!(after.error(), "session_not_found", "signed out is signed out");
        assert_eq!(site.get("/user", &ada.token).await.error(), "session_not_found");
        let sessions = site.count("auth.sessions").await;
        assert_eq!(sessions, 9, "one for each sign-in");
    });
}

#[test]
fn a_user_who_is_deleted_meanwhile_is_gone() {
    with_site(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let key = site.service_key();
        let path = format!("/admin/users/{}", ada.id);
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let one = async |number: usize| match number % 3 {
            0 => site.post("/token?grant_type=password", body.clone()).await,
            1 => site.refresh(&ada.refresh).await,
            _ => site.send("DELETE", &path, Some(&key), json!({})).await,
        };
        let answers = join_all((0..AT_ONCE).map(one)).await;
        for answer in &answers {
            assert!(answer.status.as_u16() < 500, "{} {}", answer.status, answer.body);
        }
        for table in ["users", "identities", "sessions", "mfa_amr_claims"] {
            assert_eq!(site.count(&format!("auth.{table}")).await, 0, "{table}");
        }
    });
}
