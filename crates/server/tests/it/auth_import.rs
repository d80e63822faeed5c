//! Users of another system, imported by the binary, sign in.

use std::io::Write as _;
use std::process::Stdio;

use plinth_testkit::{Template, TestDatabase, with_database};
use serde_json::{Value, json};

use crate::cli::plinth;
use crate::support::with_project;

const ADA: &str = "a0000000-0000-4000-8000-000000000001";
const BOB: &str = "a0000000-0000-4000-8000-000000000002";

/// What `plinth auth import` says about a file that is its standard input.
struct Said {
    success: bool,
    result: String,
    error: String,
}

impl Said {
    #[track_caller]
    fn summary(&self) -> Value {
        assert!(self.success, "{}", self.error);
        serde_json::from_str(&self.result).unwrap()
    }
}

fn import(database: &TestDatabase, file: &str, flags: &[&str]) -> Said {
    let cluster = database.cluster().cluster();
    let url = cluster.url(&cluster.endpoint().admin, "postgres");
    let name = &database.project().name;
    let arguments = ["auth", "import", "-", "--project", name, "-o", "json"];
    let arguments = [&arguments[..], flags].concat();
    let environment =
        [("PLINTH_DATABASE_URL", url.expose()), ("PLINTH_MASTER_KEY", plinth_testkit::MASTER_KEY)];
    let mut child = plinth(&arguments, &environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A file that is refused early is not read to its end.
    let _ = child.stdin.take().unwrap().write_all(file.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said {
        success: output.status.success(),
        result: text(output.stdout),
        error: text(output.stderr),
    }
}

async fn text(database: &TestDatabase, query: &str) -> String {
    let connection = database.connect().await.unwrap();
    let row = connection.query_one(query, &[]).await.unwrap();
    let text = row.get::<_, Option<String>>(0).unwrap_or_default();
    connection.close().await;
    text
}

async fn run(database: &TestDatabase, sql: &str) {
    let connection = database.connect().await.unwrap();
    connection.batch_execute(sql).await.unwrap();
    connection.close().await;
}

/// A dump as `pg_dump --data-only` writes it, with a hash of "correct horse" that `pgcrypto` made.
async fn dump(database: &TestDatabase) -> String {
    let hash = "select extensions.crypt('correct horse', extensions.gen_salt('bf', 6))";
    let hash = text(database, hash).await;
    format!(
        "SET session_replication_role = replica;\n\
         COPY auth.audit_log_entries (id) FROM stdin;\n{BOB}\n\\.\n\
         COPY auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, confirmation_token, \
         raw_app_meta_data, raw_user_meta_data, created_at, phone, confirmed_at, is_sso_user, a_column_of_tomorrow) FROM stdin;\n\
         00000000-0000-0000-0000-000000000000\t{ADA}\tauthenticated\tauthenticated\tAda@Example.com\t{hash}\t2024-01-01 00:00:00+00\t\
         \\N\t{{\"provider\": \"email\", \"providers\": [\"email\"]}}\t{{\"name\": \"Ada \\\\\"L\\\\\"\"}}\t2023-01-01 00:00:00+00\t\\N\t2024-01-01 00:00:00+00\tf\t1\n\
         \\N\t{BOB}\t\\N\t\\N\tbob@example.com\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\tf\t\\N\n\\.\n\
         COPY auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at, email, id) FROM stdin;\n\
         4711\t{BOB}\t{{\"sub\": \"4711\", \"email\": \"bob@example.com\"}}\tgithub\t\\N\t2024-01-01\t2024-01-01\tbob@example.com\t{ADA}\n\
         815\tb0000000-0000-4000-8000-000000000009\t{{}}\tgithub\t\\N\t\\N\t\\N\t\\N\t{BOB}\n\\.\n"
    )
}

#[test]
fn a_dump_becomes_users_who_sign_in_with_their_passwords() {
    with_project(
        "",
        |_| {},
        async |instance, database| {
            let dump = dump(database).await;
            let summary = import(database, &dump, &["--dry-run"]).summary();
            assert_eq!(summary["users"]["inserted"], 2);
            assert_eq!(text(database, "select count(*)::text from auth.users").await, "0");

            let summary = import(database, &dump, &[]).summary();
            assert_eq!(summary["identities"], json!({"read": 2, "inserted": 1, "created": 1}));
            assert_eq!(summary["passwords"]["bcrypt"], 1);
            assert_eq!(summary["passwords"]["none"], 1);
            assert_eq!(summary["other_tables"], json!({"auth.audit_log_entries": 1}));
            let found = "select string_agg(concat_ws(' ', u.email, i.provider, i.provider_id = u.id::text, i.email, u.aud, \
                     u.confirmation_token = '', u.confirmed_at is not null, u.raw_user_meta_data ->> 'name'), '; ' order by u.email) \
                     from auth.users u join auth.identities i on i.user_id = u.id";
            assert_eq!(
                text(database, found).await,
                "ada@example.com email t ada@example.com authenticated t t Ada \"L\"; \
             bob@example.com github f bob@example.com authenticated t f"
            );

            let auth = instance.api().below(&format!("/p/{}/auth/v1", database.project().name));
            let auth = auth.with("apikey", database.project().keys.publishable_key.expose());
            let sign_in = json!({"email": "ada@example.com", "password": "correct horse"});
            let answer = auth.post("/token?grant_type=password", &sign_in).await.unwrap();
            assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
            assert_eq!(answer.json()["user"]["id"], ADA);
            assert_eq!(answer.json()["user"]["identities"][0]["provider"], "email");
            let wrong = json!({"email": "bob@example.com", "password": "correct horse"});
            let answer = auth.post("/token?grant_type=password", &wrong).await.unwrap();
            assert_eq!(answer.status.as_u16(), 400, "Bob has no password");
        },
    );
}

#[test]
fn users_who_are_there_already_are_refused_kept_or_overwritten() {
    with_database(&Template::Platform, async |database| {
        let rows =
            format!("id,email,phone\n{ADA},ada@example.com,\n{BOB},bob@example.com,+15550100\n");
        assert_eq!(import(database, &rows, &[]).summary()["users"]["inserted"], 2);
        let next = format!(
            "id,email\n{ADA},lovelace@example.com\n,BOB@example.com\n,new@example.com\n,New@example.com\n"
        );

        let said = import(database, &next, &[]);
        assert!(!said.success);
        assert!(
            said.error.contains("3 of the users") && said.error.contains("--on-conflict"),
            "{}",
            said.error
        );

        let summary = import(database, &next, &["--on-conflict", "skip", "--dry-run"]).summary();
        let expected =
            json!({"read": 4, "inserted": 1, "same_id": 1, "address_taken": 1, "duplicates": 1});
        assert_eq!(summary["users"], expected);
        let emails = "select string_agg(email, ' ' order by email) from auth.users";
        assert_eq!(text(database, emails).await, "ada@example.com bob@example.com");

        let summary = import(database, &next, &["--on-conflict", "update"]).summary();
        assert_eq!(summary["users"], expected);
        assert_eq!(
            text(database, emails).await,
            "bob@example.com lovelace@example.com new@example.com"
        );
    });
}

#[test]
fn a_file_that_is_broken_in_its_last_line_changes_nothing() {
    with_database(&Template::Platform, async |database| {
        let dump = dump(database).await;
        for (file, why) in [
            (dump.trim_end_matches("\\.\n").to_owned(), "ends within a block"),
            (format!("{dump}insert into auth.users (id) values (f());"), "line 13: only constants"),
            (format!("id,created_at\n{ADA},yesterday or so\n"), "yesterday or so"),
            ("[{\"email\": \"a@example.com\"}, {\"id\": 1}]".to_owned(), "line 2"),
        ] {
            let said = import(database, &file, &[]);
            assert!(!said.success && said.error.contains(why), "{why}: {}", said.error);
            assert_eq!(text(database, "select count(*)::text from auth.users").await, "0");
        }
    });
}

#[test]
fn triggers_run_when_they_are_asked_to() {
    with_database(&Template::Platform, async |database| {
        run(
            database,
            "create table public.profiles (id uuid); \
             create function public.welcome() returns trigger language plpgsql security definer as \
             $$ begin insert into public.profiles values (new.id); return new; end $$; \
             create trigger welcome after insert on auth.users for each row execute function public.welcome();",
        )
        .await;
        let count = "select count(*)::text from public.profiles";
        let list =
            |email: &str| format!("{{\"users\": [{{\"email\": \"{email}\"}}], \"aud\": \"x\"}}");
        import(database, &list("a@example.com"), &[]).summary();
        assert_eq!(text(database, count).await, "0");
        import(database, &list("b@example.com"), &["--run-triggers"]).summary();
        assert_eq!(text(database, count).await, "1");
    });
}
