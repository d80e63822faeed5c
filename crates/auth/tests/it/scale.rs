//! Many users: whatever is asked about one of them is found by an index.
//!
//! The normal run has 20,000. `PLINTH_SCALE_USERS=1000000` makes a million, says how long each request took, and prints the
//! plans of the statements when `PLINTH_SCALE_PLANS=1` (see `docs/auth-scale.md`).
#![expect(clippy::print_stdout, reason = "figures and plans are for whoever runs it by hand")]

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, Site, with_configured_site};

const USUAL: u64 = 20_000;

/// Tables that have many rows.
const TABLES: &str = "'users', 'identities', 'sessions', 'mfa_amr_claims', 'mfa_factors', 'one_time_tokens', 'audit_log_entries'";

/// How long connections may take to end.
const GRACE: Duration = Duration::from_secs(10);

fn wanted() -> u64 {
    std::env::var("PLINTH_SCALE_USERS").ok().and_then(|text| text.parse().ok()).unwrap_or(USUAL)
}

/// Users `1..=count`: `user7@example.com`, `1555…7`, "Person 7", each with an identity and a session, some with more.
async fn load(site: &Site<'_>, count: u64) {
    site.sql(&format!(
        "set session_replication_role = replica; \
         create function pg_temp.id(kind text, n bigint) returns uuid language sql immutable \
           as $$ select md5(kind || n)::uuid $$; \
         insert into auth.users (instance_id, id, aud, role, email, phone, email_confirmed_at, phone_confirmed_at, \
           encrypted_password, raw_app_meta_data, raw_user_meta_data, created_at, updated_at, confirmation_token, \
           recovery_token, email_change_token_new, email_change) \
         select '00000000-0000-0000-0000-000000000000', pg_temp.id('u', n), 'authenticated', 'authenticated', \
           'user' || n || '@' || (array['example.com', 'mail.test', 'post.test'])[n % 3 + 1], (15550000000 + n)::text, now(), now(), \
           (select encrypted_password from auth.users limit 1), \
           '{{\"provider\": \"email\", \"providers\": [\"email\"]}}', jsonb_build_object('full_name', 'Person ' || to_hex(n * 2654435761 % 4294967296)), \
           now() - make_interval(secs => n), now(), '', '', '', '' from generate_series(1, {count}) n; \
         insert into auth.identities (user_id, provider, provider_id, identity_data, created_at, updated_at) \
         select pg_temp.id('u', n), 'email', pg_temp.id('u', n)::text, jsonb_build_object('email', 'user' || n || '@example.com'), \
           now(), now() from generate_series(1, {count}) n; \
         insert into auth.sessions (id, user_id, created_at, updated_at, aal, refresh_token_counter) \
         select pg_temp.id('s', n), pg_temp.id('u', n), now(), now(), 'aal1', 0 from generate_series(1, {count}) n; \
         insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method) \
         select pg_temp.id('a', n), pg_temp.id('s', n), now(), now(), 'password' from generate_series(1, {count}) n; \
         insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, created_at, updated_at) \
         select pg_temp.id('f', n), pg_temp.id('u', n), 'f' || n, 'totp', 'unverified', now(), now() from generate_series(1, {count}, 4) n; \
         insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to) \
         select pg_temp.id('o', n), pg_temp.id('u', n), 'recovery_token', md5('hash' || n), 'user' || n || '@example.com' \
         from generate_series(1, {count}) n; \
         insert into auth.audit_log_entries (id, payload, created_at) \
         select pg_temp.id('l', n), '{{}}', now() - make_interval(secs => n) from generate_series(1, {count}) n"
    ))
    .await;
    for table in [
        "users",
        "identities",
        "sessions",
        "mfa_amr_claims",
        "mfa_factors",
        "one_time_tokens",
        "audit_log_entries",
    ] {
        site.sql(&format!("vacuum (analyze) auth.{table}")).await;
    }
}

/// Asks, and says how long the answer took.
async fn timed(what: &str, answer: impl Future<Output = Answer>) -> Answer {
    let began = Instant::now();
    let answer = answer.await;
    println!("{what:<44} {:>8.2} ms", began.elapsed().as_secs_f64() * 1e3);
    assert!(!answer.status.is_server_error(), "{what}: {}", answer.body);
    answer
}

fn emails(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let users = answer.body["users"].as_array().unwrap();
    users.iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect()
}

async fn lists(site: &Site<'_>, count: u64) {
    let key = site.service_key();
    let list =
        async |query: &str| timed(query, site.get(&format!("/admin/users?{query}"), &key)).await;
    let first = list("page=1").await;
    assert_eq!(emails(&first).len(), 50);
    let total: u64 = first.headers["x-total-count"].to_str().unwrap().parse().unwrap();
    assert!(total.abs_diff(count) <= count / 20, "{total} of {count}");
    assert!(first.headers["link"].to_str().unwrap().contains("rel=\"next\""));

    let middle = count / 100;
    assert_eq!(emails(&list(&format!("page={middle}&per_page=50")).await).len(), 50);
    let last = list(&format!("page={}&per_page=50", (count + 1).div_ceil(50))).await;
    assert!(!last.headers["link"].to_str().unwrap().contains("rel=\"next\""));
    assert_eq!(last.headers["x-total-count"], (count + 1).to_string(), "known at the end");

    let some = count - 7;
    let user = emails(&list(&format!("filter=user{some}@")).await);
    assert_eq!(user.len(), 1, "{user:?}");
    assert_eq!(emails(&list(&format!("filter={}", 15_550_000_000 + some)).await).len(), 1);
    let name = format!("{:x}", some * 2_654_435_761 % 4_294_967_296);
    assert_eq!(emails(&list(&format!("filter=person%20{name}")).await), user);
    assert_eq!(emails(&list("filter=nobody-like-that").await).len(), 0);
    assert_eq!(emails(&list("filter=example.com").await).len(), 50);
    assert_eq!(emails(&list("filter=example.com&page=20").await).len(), 50);
    assert_eq!(emails(&list("filter=7").await).len(), 50);
    timed("audit log", site.get("/admin/audit", &key)).await;
}

async fn people(site: &Site<'_>, count: u64) {
    let some = count / 3 * 3 - 3;
    let email = format!("user{some}@example.com");
    let sign_in = |name: &str, value: &str| {
        let body = json!({name: value, "password": PASSWORD});
        async move { site.post("/token?grant_type=password", body).await }
    };
    let session = timed("sign-in by address", sign_in("email", &email)).await;
    assert_eq!(session.status, StatusCode::OK, "{}", session.body);
    let session = session.signed_in();
    let by_phone =
        timed("sign-in by number", sign_in("phone", &(15_550_000_000 + some).to_string())).await;
    assert_eq!(by_phone.body["user"]["id"], json!(session.id), "{}", by_phone.body);
    let unknown = timed("sign-in of nobody", sign_in("email", "nobody@example.com")).await;
    assert_eq!(unknown.error(), "invalid_credentials");
    assert_eq!(timed("refresh", site.refresh(&session.refresh)).await.status, StatusCode::OK);
    let user = timed("GET /user", site.get("/user", &session.token)).await;
    assert_eq!(user.body["email"], json!(email));
    let other = format!("user{}@example.com", some - 3);
    let asked = timed("asking for a link", site.post("/recover", json!({"email": other}))).await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.body);
    let token = site.mail_to(&other).await.parameter("token");
    let body = json!({"type": "recovery", "token_hash": token});
    let verified = timed("link of a mail", site.post("/verify", body)).await;
    assert_eq!(verified.status, StatusCode::OK, "{}", verified.body);
    let path = format!("/admin/users/{}", session.id);
    let key = site.service_key();
    timed("one user", site.get(&path, &key)).await;
    let body = json!({"user_metadata": {"full_name": "Somebody Else"}});
    timed("change of a user", site.send("PUT", &path, Some(&key), body)).await;
    let taken = timed(
        "sign-up of somebody there",
        site.post("/signup", json!({"email": email, "password": PASSWORD})),
    )
    .await;
    assert_eq!(taken.error(), "user_already_exists");
    timed(
        "sign-up",
        site.post("/signup", json!({"email": "new@example.com", "password": PASSWORD})),
    )
    .await;
    timed("sign-out", site.send("POST", "/logout", Some(&session.token), json!({}))).await;
    let gone = timed("deletion", site.send("DELETE", &path, Some(&key), json!({}))).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.body);
}

/// Has PostgreSQL write the plan of every statement of sign-in into its log.
async fn log_plans(site: &Site<'_>) {
    let database = site.database();
    for (name, value) in [
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_analyze", "on"),
        ("auto_explain.log_timing", "off"),
    ] {
        site.sql(&format!(
            "load 'auto_explain'; alter database \"{database}\" set {name} = '{value}'"
        ))
        .await;
    }
    site.reconnect();
}

async fn print_plans(site: &Site<'_>) {
    let folder = site.text("select setting from pg_settings where name = 'data_directory'").await;
    let log = std::path::Path::new(&folder).parent().unwrap().join("postgres.log");
    println!("{}", std::fs::read_to_string(log).unwrap());
}

/// Waits until sign-in has no connection; only then is all that they did counted.
async fn disconnected(site: &Site<'_>) {
    site.close();
    let deadline = Instant::now() + GRACE;
    let open = "select count(*)::text from pg_stat_activity where usename like 'auth.%' and datname = current_database()";
    while site.text(open).await != "0" {
        assert!(Instant::now() < deadline, "connections that do not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn nothing_that_is_asked_reads_a_whole_table() {
    let config = "[auth.sms]\nenable_signup = true\n";
    with_configured_site(config, async |site: &Site| {
        let count = wanted();
        site.sign_up("first@example.com").await;
        load(site, count).await;
        let plans = std::env::var_os("PLINTH_SCALE_PLANS").is_some();
        if plans {
            log_plans(site).await;
        }
        let sums = format!(
            "select json_object_agg(relname, seq_scan)::text from pg_stat_all_tables where schemaname = 'auth' and relname in ({TABLES})"
        );
        // What loading did is counted when its session goes idle or ends.
        site.sql("select pg_stat_force_next_flush()").await;
        let before: Value = serde_json::from_str(&site.text(&sums).await).unwrap();
        lists(site, count).await;
        people(site, count).await;
        disconnected(site).await;
        let after: Value = serde_json::from_str(&site.text(&sums).await).unwrap();
        if plans {
            print_plans(site).await;
        }
        assert_eq!(after, before, "sequential scans");
        let index = "select sum(idx_scan)::text from pg_stat_all_tables where schemaname = 'auth' and relname = 'users'";
        assert!(site.text(index).await.parse::<u64>().unwrap() > 20, "the scans were counted");
    });
}
