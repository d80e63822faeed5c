//! `plinth rest` under PostgREST's settings, wherever they come from.

use std::path::PathBuf;

use http::{Method, StatusCode};
use plinth_testkit::api::Api;
use plinth_testkit::token::sign;
use plinth_testkit::{Template, TestDatabase, with_database};
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::cli::{Child, plinth};
use crate::support::{gist, until};

const SECRET: &str = "reallyreallyreallyreallyverysafe";
const OTHER_SECRET: &str = "anothersecretthatisalsolongenough";

/// A database with a login and two roles, all named after it, and a folder for files.
struct Scene {
    login: String,
    url: String,
    folder: PathBuf,
}

impl Scene {
    async fn set(database: &TestDatabase) -> Self {
        let login = format!("rest_{}", database.name().replace('-', "_"));
        let admin = database.connect().await.unwrap();
        admin
            .batch_execute(&format!(
                "create schema api; create schema private; create table api.todo (id int primary key);
                 insert into api.todo select generate_series(1, 5);
                 create table private.hidden (id int);
                 create function api.setting(name text) returns text language sql stable as
                     $$ select current_setting(name, true) $$;
                 create view api.level as select current_setting('transaction_isolation') as level;
                 create function private.configure() returns void language sql as
                     $$ select set_config('pgrst.db_max_rows', '4', true), set_config('pgrst.db_tx_end', 'rollback', true) $$;
                 create role {login}_anon nologin; create role {login}_author nologin;
                 create role {login} login noinherit password 'pw'; grant {login}_anon, {login}_author to {login};
                 grant connect on database \"{0}\" to {login};
                 grant usage on schema api, private to {login}, {login}_anon, {login}_author;
                 grant select on all tables in schema api to {login}_anon, {login}_author;
                 grant insert on api.todo to {login}_author;
                 grant select on private.hidden to {login}_anon;
                 alter role {login}_author set default_transaction_isolation = 'serializable';
                 alter role {login}_author set statement_timeout = '7s';
                 alter role {login}_author set log_min_duration_sample = '12345ms';
                 alter role {login}_author set log_statement = 'none';
                 grant set on parameter log_min_duration_sample to {login};",
                database.name()
            ))
            .await
            .unwrap();
        admin.close().await;
        let port = database.cluster().cluster().endpoint().port;
        let url = format!("postgres://{login}:pw@127.0.0.1:{port}/{}", database.name());
        let folder = std::env::temp_dir().join(format!("plinth-{login}"));
        std::fs::create_dir_all(&folder).unwrap();
        Self { login, url, folder }
    }

    async fn strike(self, database: &TestDatabase) {
        let login = &self.login;
        let admin = database.connect().await.unwrap();
        let roles = format!("{login}, {login}_anon, {login}_author");
        let drop = format!("drop owned by {roles}; drop role {roles}");
        // Rights on parameters are the cluster's: another test may be changing the same row.
        until("the roles are gone", async || admin.batch_execute(&drop).await.ok()).await;
        admin.close().await;
        std::fs::remove_dir_all(self.folder).unwrap();
    }

    /// Writes a file, or puts another in its place: a process that reads it meanwhile sees the one or the other whole.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        let draft = path.with_extension("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(draft, &path).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn author(&self, api: &Api, secret: &str) -> Api {
        api.bearer(&sign(secret, &json!({"role": format!("{}_author", self.login)})))
    }
}

#[test]
fn a_file_the_environment_and_the_database_configure_the_api() {
    with_database(&Template::Empty, async |database| {
        let scene = Scene::set(database).await;
        let secret = scene.file("secret", &format!("{SECRET}\n"));
        let uri = scene.file("uri", &format!("{}\n", scene.url));
        let text = format!(
            "db-uri = \"@{uri}\"\ndb-schemas = \"api\" # one\ndb-anon-role = \"{}_anon\"\n\
             jwt-secret = \"@{secret}\"\nserver-host = \"127.0.0.1\"\nserver-port = 1\n\
             db-pre-config = \"private.configure\"\nserver-timing-enabled = true\n\
             app.settings.town = \"$(TOWN)\"\nno-such-setting = 1\n",
            scene.login
        );
        let file = scene.file("api.conf", &text);
        let environment = [
            ("PGRST_SERVER_PORT", "0"),
            ("PGRST_ADMIN_SERVER_PORT", "0"),
            ("PGRST_SERVER_TRACE_HEADER", "X-Trace"),
            ("PGRST_SERVER_CORS_ALLOWED_ORIGINS", "http://a.example"),
            ("PGRST_LOG_LEVEL", "crit"),
            ("TOWN", "Turin"),
        ];
        let child = Child::start(&["rest", &file], &environment);
        let admin = Api::new(child.wait_for_address());
        let api = Api::new(child.wait_for_address());

        let answer = api.with("x-trace", "abc").get("/todo").await.unwrap();
        assert_eq!(answer.json().as_array().unwrap().len(), 4, "the function's limit");
        assert_eq!(answer.header("x-trace"), Some("abc"));
        assert_eq!(answer.header("vary"), Some("Accept, Prefer, Range"));
        let timing = answer.header("server-timing").unwrap();
        assert!(timing.starts_with("jwt;dur=") && timing.contains("transaction;dur="), "{timing}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let friend = api.with("origin", "http://a.example").get("/todo").await.unwrap();
        assert_eq!(friend.header("access-control-allow-origin"), Some("http://a.example"));
        let town = api.get("/rpc/setting?name=app.settings.town").await.unwrap();
        assert_eq!(town.json(), json!("Turin"));

        // What a role carries, and what its login was given the right to.
        let author = scene.author(&api, SECRET);
        for (name, value) in [
            ("statement_timeout", "7s"),
            ("log_min_duration_sample", "12345ms"),
            ("transaction_isolation", "serializable"),
        ] {
            let answer = author.get(&format!("/rpc/setting?name={name}")).await.unwrap();
            assert_eq!(answer.json(), json!(value), "{name}");
        }
        assert_eq!(author.get("/level").await.unwrap().json(), json!([{"level": "serializable"}]));
        assert_eq!(api.get("/level").await.unwrap().json(), json!([{"level": "read committed"}]));
        assert_eq!(author.post("/todo", &json!({"id": 9})).await.unwrap().status, 201);
        let kept = api.get("/todo?id=eq.9").await.unwrap().json();
        assert_eq!(kept, json!([]), "the function's db-tx-end");

        // A role's own setting is stronger than the function, and counts from the next reload on.
        let owner = database.connect().await.unwrap();
        owner
            .batch_execute(&format!(
                "alter role {0} set pgrst.db_max_rows = '2'; alter role {0} set pgrst.db_schemas = 'api, private';
                 alter role {0} set pgrst.db_tx_end = 'nonsense'; notify pgrst, 'reload config'",
                scene.login
            ))
            .await
            .unwrap();
        until("the reload", async || {
            let rows = api.get("/todo").await.unwrap().json();
            (rows.as_array().unwrap().len() == 2).then_some(())
        })
        .await;
        let hidden = api.with("accept-profile", "private").get("/hidden").await.unwrap();
        assert_eq!(hidden.status, StatusCode::OK);

        // So does what the login carries into a session.
        owner
            .batch_execute(&format!(
                "alter role {} set work_mem = '1234kB'; notify pgrst, 'reload schema'",
                scene.login
            ))
            .await
            .unwrap();
        until("a new session", async || {
            let answer = api.get("/rpc/setting?name=work_mem").await.unwrap();
            (answer.json() == json!("1234kB")).then_some(())
        })
        .await;

        // Another secret ends the tokens of the first one, remembered or not.
        scene.file("secret", OTHER_SECRET);
        child.signal("USR1");
        assert_eq!(scene.author(&api, SECRET).get("/todo").await.unwrap().status, 200);
        child.signal("USR2");
        until("the new secret", async || {
            let answer = scene.author(&api, SECRET).get("/todo").await.unwrap();
            (gist(&answer) == (401, "PGRST301".to_owned())).then_some(())
        })
        .await;
        assert_eq!(scene.author(&api, OTHER_SECRET).get("/todo").await.unwrap().status, 200);

        // A file that is broken changes nothing.
        scene.file("api.conf", "db-schemas = \"private");
        child.signal("USR2");
        assert_eq!(api.get("/todo").await.unwrap().status, 200);
        scene.file("api.conf", &format!("{text}db-tx-end = \"never\"\n"));
        child.signal("USR2");
        // The schema is read all the same.
        let later = format!(
            "create table api.later (id int); grant select on api.later to {}_anon; notify pgrst, 'reload schema'",
            scene.login
        );
        owner.batch_execute(&later).await.unwrap();
        until("the new table", async || {
            (api.get("/later").await.unwrap().status == 200).then_some(())
        })
        .await;

        for (path, status) in [("/live", 200), ("/ready", 200), ("/schema_cache", 200), ("/x", 404)]
        {
            assert_eq!(admin.get(path).await.unwrap().status, status, "{path}");
        }
        let metrics = admin.get("/metrics").await.unwrap();
        assert_eq!(metrics.header("content-type"), Some("text/plain; charset=utf-8"));
        for name in [
            "pgrst_db_pool_max 10.0",
            "pgrst_schema_cache_loads_total{status=\"SUCCESS\"}",
            "pgrst_jwt_cache_hits_total",
            "# TYPE plinth_wire_connections_total counter",
            "plinth_wire_connections_total{event=\"failed\"} 0.0",
            "plinth_wire_batches_total{lane=\"shared\"}",
        ] {
            assert!(metrics.text().contains(name), "{name}: {}", metrics.text());
        }
        for secret in [SECRET, OTHER_SECRET, "Turin", ":pw@"] {
            assert!(!metrics.text().contains(secret));
            assert!(!admin.get("/schema_cache").await.unwrap().text().contains(secret));
        }
        for path in ["/live", "/ready", "/schema_cache", "/metrics"] {
            assert_ne!(api.get(path).await.unwrap().status, 200, "{path} is not for clients");
        }
        assert!(child.stop().success());
        owner.close().await;
        scene.strike(database).await;
    });
}

#[test]
fn without_db_config_the_database_has_no_say() {
    with_database(&Template::Empty, async |database| {
        let scene = Scene::set(database).await;
        let owner = database.connect().await.unwrap();
        let set = format!("alter role {} set pgrst.db_max_rows = '1'", scene.login);
        owner.batch_execute(&set).await.unwrap();
        let anon = format!("{}_anon", scene.login);
        let socket = scene.folder.join("api.sock");
        let environment = [
            ("PGRST_DB_URI", scene.url.as_str()),
            ("PGRST_DB_SCHEMAS", "api"),
            ("PGRST_DB_ANON_ROLE", &anon),
            ("PGRST_DB_CONFIG", "false"),
            ("PGRST_SERVER_HOST", "!4"),
            ("PGRST_SERVER_PORT", "0"),
            ("PGRST_CLIENT_ERROR_VERBOSITY", "minimal"),
        ];
        let child = Child::start(&["rest"], &environment);
        let api = Api::new(child.wait_for_address());
        assert_eq!(api.get("/todo").await.unwrap().json().as_array().unwrap().len(), 5);
        let refused = api.send(Method::POST, "/todo", "{\"id\":1}".into()).await.unwrap();
        let keys: Vec<String> = refused.json().as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["code", "message"]);
        // Without a secret, a token is our mistake, not the client's.
        let token = scene.author(&api, SECRET).get("/todo").await.unwrap();
        assert_eq!(gist(&token), (500, "PGRST300".to_owned()));
        assert!(child.stop().success());

        let path = socket.to_str().unwrap();
        let socket_only =
            [("PGRST_SERVER_UNIX_SOCKET", path), ("PGRST_SERVER_UNIX_SOCKET_MODE", "600")];
        let mut environment = environment.to_vec();
        environment.extend(socket_only);
        let child = Child::start(&["rest"], &environment);
        until("the socket", async || socket.exists().then_some(())).await;
        use std::os::unix::fs::{FileTypeExt, PermissionsExt};
        let metadata = std::fs::metadata(&socket).unwrap();
        assert!(metadata.file_type().is_socket());
        until("its mode", async || {
            let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
            (mode & 0o777 == 0o600).then_some(())
        })
        .await;
        // Nobody takes a socket from who listens at it, or a file from its owner.
        let refused = |environment: &[(&str, &str)], wanted: &str| {
            let output = plinth(&["rest"], environment).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success() && said.contains(wanted), "{said}");
        };
        refused(&environment, "another program listens there");
        let file = scene.file("precious", "data");
        environment.push(("PGRST_SERVER_UNIX_SOCKET", &file));
        refused(&environment, "it is no socket");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "data");
        assert!(child.stop().success());
        assert!(!socket.exists());
        owner.close().await;
        scene.strike(database).await;
    });
}

/// Passes on what comes to `listener` to PostgreSQL.
async fn forward(listener: TcpListener, port: u16) {
    while let Ok((mut client, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

#[test]
fn clients_are_told_to_come_back_until_the_database_is_there() {
    with_database(&Template::Empty, async |database| {
        let scene = Scene::set(database).await;
        let real = database.cluster().cluster().endpoint().port;
        let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = reserved.local_addr().unwrap();
        drop(reserved);
        let uri = scene.url.replace(&format!(":{real}/"), &format!(":{}/", place.port()));
        let anon = format!("{}_anon", scene.login);
        let environment = [
            ("PGRST_DB_URI", uri.as_str()),
            ("PGRST_DB_SCHEMAS", "api"),
            ("PGRST_DB_ANON_ROLE", &anon),
            ("PGRST_SERVER_HOST", "127.0.0.1"),
            ("PGRST_SERVER_PORT", "0"),
            ("PGRST_ADMIN_SERVER_PORT", "0"),
        ];
        let child = Child::start(&["rest"], &environment);
        let admin = Api::new(child.wait_for_address());
        let address = child.wait_for_address();
        let api = Api::new(address);
        let answer = api.get("/todo").await.unwrap();
        assert_eq!(gist(&answer), (503, "PGRST002".to_owned()));
        assert_eq!(answer.header("retry-after"), Some("1"));
        for (path, status) in [("/live", 200), ("/ready", 503), ("/schema_cache", 200)] {
            let answer = admin.get(path).await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.text()), (status, String::new()), "{path}");
        }
        // Nothing to reload yet, and no reason to end.
        child.signal("USR1");
        child.signal("USR2");
        let port = address.port().to_string();
        let mut second = environment.to_vec();
        second.push(("PGRST_SERVER_PORT", &port));
        let output = plinth(&["rest"], &second).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("is in use"), "{said}");

        let forwarding = tokio::spawn(forward(TcpListener::bind(place).await.unwrap(), real));
        until("the database", async || {
            (api.get("/todo").await.unwrap().status == 200).then_some(())
        })
        .await;
        assert_eq!(admin.get("/ready").await.unwrap().status, 200);
        assert!(child.stop().success());
        forwarding.abort();
        scene.strike(database).await;
    });
}

#[test]
fn without_prepared_statements_sessions_keep_none() {
    with_database(&Template::Empty, async |database| {
        let scene = Scene::set(database).await;
        let owner = database.connect().await.unwrap();
        let more = "create function api.kept() returns bigint language sql stable as
                        $$ select count(*) from pg_prepared_statements $$;
                    insert into api.todo values (6), (7)";
        owner.batch_execute(more).await.unwrap();
        let anon = format!("{}_anon", scene.login);
        let environment = [
            ("PGRST_DB_URI", scene.url.as_str()),
            ("PGRST_DB_SCHEMAS", "api"),
            ("PGRST_DB_ANON_ROLE", &anon),
            ("PGRST_DB_PREPARED_STATEMENTS", "false"),
            ("PGRST_SERVER_HOST", "!4"),
            ("PGRST_SERVER_PORT", "0"),
        ];
        let child = Child::start(&["rest"], &environment);
        let api = Api::new(child.wait_for_address());
        for _ in 0..3 {
            let rows = api.get("/todo?id=gt.5&order=id").await.unwrap();
            assert_eq!(rows.json(), json!([{"id": 6}, {"id": 7}]));
            assert_eq!(api.get("/todo?id=eq.x").await.unwrap().status, StatusCode::BAD_REQUEST);
            assert_eq!(api.get("/rpc/kept").await.unwrap().json(), json!(0));
        }
        assert!(child.stop().success());
        owner.close().await;
        scene.strike(database).await;
    });
}

#[test]
fn settings_are_printed_and_nonsense_is_refused() {
    let run = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = plinth(arguments, environment).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let (done, example, _) = run(&["rest", "--example"], &[]);
    assert!(done && example.contains("\n# db-schemas = \"public\"\n"), "{example}");
    let no_database = ("PGRST_DB_CONFIG", "false");
    let (done, dumped, _) = run(
        &["rest", "--dump-config"],
        &[no_database, ("PGRST_DB_MAX_ROWS", "3"), ("PGRST_JWT_SECRET", SECRET)],
    );
    assert!(done && dumped.contains("db-max-rows = 3\n"), "{dumped}");
    assert!(!dumped.contains(SECRET), "{dumped}");
    for (variable, value, wanted) in [
        ("PGRST_JWT_SECRET", "short", "The JWT secret must be at least 32 characters long."),
        ("PGRST_LOG_LEVEL", "never", "Invalid logging level. Check your configuration."),
        (
            "PGRST_JWT_ROLE_CLAIM_KEY",
            "role.other",
            "failed to parse role-claim-key value (role.other)",
        ),
    ] {
        let (done, _, said) = run(&["rest", "--dump-config"], &[no_database, (variable, value)]);
        assert!(!done && said.contains(wanted), "{said}");
    }
    let (_, _, said) = run(&["rest", "--dump-config"], &[no_database, ("PGRST_DB_MAXROWS", "1")]);
    assert!(said.contains("PGRST_DB_MAXROWS is no setting"), "{said}");
    assert!(!run(&["rest", "/no/such/file"], &[]).0);
    let (done, _, said) = run(&["rest", "--ready"], &[]);
    assert!(!done && said.contains("Admin server is not running"), "{said}");
    let nobody = [("PGRST_ADMIN_SERVER_PORT", "1"), ("PGRST_SERVER_HOST", "127.0.0.1")];
    let (done, _, said) = run(&["rest", "--ready"], &nobody);
    assert!(
        !done && said.contains("ERROR: connection refused to http://127.0.0.1:1/ready"),
        "{said}"
    );
}
