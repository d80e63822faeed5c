//! Users page by page.

use super::*;

/// The addresses on a page, the newest first.
fn emails(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let users = answer.body["users"].as_array().unwrap();
    users.iter().map(|user| user["email"].as_str().unwrap()).collect()
}

async fn page(site: &Site<'_>, query: &str) -> Answer {
    site.admin("GET", &format!("/admin/users{query}"), json!(null)).await
}

async fn five(site: &Site<'_>) {
    for number in 1..=5 {
        let name = format!("Person {number}");
        let phone = format!("1555010{number}");
        let email = format!("u{number}@example.com");
        site.created(json!({"email": email, "phone": phone, "user_metadata": {"full_name": name}}))
            .await;
    }
}

#[test]
fn pages_lead_from_the_newest_to_the_oldest() {
    with_site(async |site: &Site| {
        five(site).await;
        let first = page(site, "?page=&per_page=").await;
        assert_eq!(emails(&first).len(), 5);
        assert_eq!(first.body["aud"], "authenticated");
        assert_eq!(first.headers["x-total-count"], "5");
        for user in first.body["users"].as_array().unwrap() {
            assert!(user["user_metadata"].is_object() && user["app_metadata"].is_object());
            assert!(user["aud"].is_string() && user["created_at"].is_string());
        }

        let first = page(site, "?page=1&per_page=2").await;
        assert_eq!(emails(&first), ["u5@example.com", "u4@example.com"]);
        let url = format!("{}/admin/users", site.issuer());
        let link = format!(
            "<{url}?page=2&per_page=2>; rel=\"next\", <{url}?page=3&per_page=2>; rel=\"last\""
        );
        assert_eq!(first.headers["link"], link);
        assert_eq!(
            emails(&page(site, "?page=2&per_page=2").await),
            ["u3@example.com", "u2@example.com"]
        );
        let last = page(site, "?page=3&per_page=2").await;
        assert_eq!(emails(&last), ["u1@example.com"]);
        assert_eq!(last.headers["link"], format!("<{url}?page=3&per_page=2>; rel=\"last\""));
        assert_eq!(last.headers["x-total-count"], "5");
        let beyond = page(site, "?page=9&per_page=2").await;
        assert_eq!(emails(&beyond), [""; 0]);
        assert_eq!(beyond.headers["x-total-count"], "5");
    });
}

#[test]
fn a_page_that_is_no_number_is_refused() {
    with_site(async |site: &Site| {
        for query in
            ["?page=-1", "?page=one", "?per_page=-5", "?page=1.5", "?page=99999999999999999999"]
        {
            refused(&page(site, query).await, 400, "validation_failed");
        }
        assert_eq!(emails(&page(site, "?page=18446744073709551615&per_page=1000").await), [""; 0]);
    });
}

#[test]
fn a_filter_finds_parts_of_addresses_numbers_and_names() {
    with_site(async |site: &Site| {
        five(site).await;
        site.created(json!({"email": "100%_sure@example.com"})).await;
        for (filter, found) in [
            ("u3@", vec!["u3@example.com"]),
            ("U3@EXAMPLE", vec!["u3@example.com"]),
            ("person%204", vec!["u4@example.com"]),
            ("PERSON 5", vec!["u5@example.com"]),
            ("15550102", vec!["u2@example.com"]),
            ("u1", vec!["u1@example.com"]),
            ("%25_s", vec!["100%_sure@example.com"]),
            ("5%25_", vec![]),
            ("nobody", vec![]),
            ("';drop%20table%20auth.users;--", vec![]),
        ] {
            let query = format!("?filter={}", filter.replace(' ', "%20"));
            let answer = page(site, &query).await;
            assert_eq!(emails(&answer), found, "{filter}");
            assert_eq!(answer.headers["x-total-count"], found.len().to_string(), "{filter}");
        }
        assert_eq!(site.count("auth.users").await, 6);
    });
}

#[test]
fn the_next_page_of_a_filter_is_filtered_too() {
    with_site(async |site: &Site| {
        five(site).await;
        site.created(json!({"email": "zoe@elsewhere.org"})).await;
        let first = page(site, "?filter=u%2B&per_page=2").await;
        assert_eq!(emails(&first), [""; 0]);
        let first = page(site, "?per_page=2&filter=example.com").await;
        assert_eq!(emails(&first), ["u5@example.com", "u4@example.com"]);
        let link = first.headers["link"].to_str().unwrap();
        let next = link.split_once("?").unwrap().1.split_once('>').unwrap().0;
        assert_eq!(next, "page=2&per_page=2&filter=example.com");
        let second = page(site, &format!("?{next}")).await;
        assert_eq!(emails(&second), ["u3@example.com", "u2@example.com"]);
        assert_eq!(second.headers["x-total-count"], "5");
    });
}

#[test]
fn shells_are_listed_and_deleted_users_are_not() {
    with_site(async |site: &Site| {
        let ids = [
            site.created(json!({"email": "a@example.com"})).await,
            site.created(json!({"email": "b@example.com"})).await,
        ];
        let soft = json!({"should_soft_delete": true});
        site.admin("DELETE", &format!("/admin/users/{}", ids[0]), soft).await;
        site.admin("DELETE", &format!("/admin/users/{}", ids[1]), json!({})).await;
        let listed = page(site, "").await;
        let users = listed.body["users"].as_array().unwrap();
        assert_eq!(users.len(), 1);
        assert_eq!(users[0]["id"], json!(ids[0]));
        assert!(users[0]["deleted_at"].is_string());
    });
}

#[test]
fn the_audit_log_tells_what_administrators_did() {
    with_site(async |site: &Site| {
        let id = site.created(json!({"email": "a@example.com"})).await;
        let path = format!("/admin/users/{id}");
        site.admin("PUT", &path, json!({"role": "editor"})).await;
        site.admin("DELETE", &path, json!({})).await;
        let log = site.admin("GET", "/admin/audit?per_page=2", json!(null)).await;
        assert_eq!(log.headers["x-total-count"], "3");
        let actions = |log: &Answer| -> Vec<String> {
            let entries = log.body.as_array().unwrap();
            entries
                .iter()
                .map(|entry| entry["payload"]["action"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(actions(&log), ["user_deleted", "user_modified"]);
        assert_eq!(log.body[0]["payload"]["traits"]["user_id"], json!(id));
        let log = site.admin("GET", "/admin/audit?per_page=2&page=2", json!(null)).await;
        assert_eq!(actions(&log), ["user_signedup"]);
    });
}
