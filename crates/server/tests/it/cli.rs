//! The binary as people and scripts use it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use http::StatusCode;
use plinth_testkit::api::Api;
use serde_json::{Value, json};

/// How long the binary may take for anything that these tests ask of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, with an environment of its own.
pub(crate) fn plinth(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plinth"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if (name.starts_with("PLINTH_") && name != "PLINTH_PG_BIN") || name.starts_with("PGRST_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).envs(environment.iter().copied());
    command
}

/// A binary that runs until it is told to stop. It does not outlive its test.
pub(crate) struct Child {
    child: std::process::Child,
    stdout: mpsc::Receiver<String>,
    stderr: mpsc::Receiver<String>,
}

fn lines(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Child {
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = plinth(arguments, environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = lines(child.stdout.take().expect("piped"));
        let stderr = lines(child.stderr.take().expect("piped"));
        Self { child, stdout, stderr }
    }

    /// The first line of standard output, as JSON.
    pub(crate) fn ready(&self) -> Value {
        match self.stdout.recv_timeout(PATIENCE) {
            Ok(line) => serde_json::from_str(&line).expect("one line of JSON"),
            Err(_) => panic!("never ready:\n{}", self.said()),
        }
    }

    /// The address in the progress line of `plinth rest`.
    pub(crate) fn wait_for_address(&self) -> SocketAddr {
        let mut said = String::new();
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) =
            self.stderr.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            if let Some((_, address)) = line.split_once("at http://") {
                return address.trim().parse().expect("an address");
            }
            said.push_str(&line);
        }
        panic!("no address: {said}");
    }

    /// Waits until a line of standard error has this in it.
    pub(crate) fn wait_for(&self, part: &str) {
        let deadline = Instant::now() + PATIENCE;
        let line = || self.stderr.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        while !line().unwrap_or_else(|_| panic!("never said: {part}")).contains(part) {}
    }

    fn said(&self) -> String {
        self.stderr.try_iter().collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn signal(&self, name: &str) {
        let killed =
            Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(killed.expect("kill runs").success());
    }

    /// Tells it to stop in good order and waits.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end:\n{}", self.said());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A data folder that goes with its test, and the PostgreSQL that may still run in it.
pub(crate) struct DataDir(pub(crate) PathBuf);

impl DataDir {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("plinth-cli-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn text(&self) -> &str {
        self.0.to_str().expect("an ordinary path")
    }

    pub(crate) fn up<'a>(&'a self, more: &[&'a str]) -> Child {
        let mut arguments = vec![
            "up",
            "--data-dir",
            self.text(),
            "--listen",
            "127.0.0.1:0",
            "--pg-port",
            "0",
            "--json",
        ];
        arguments.extend(more);
        Child::start(&arguments, &[])
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        // Before the command, since after `--` it would be for psql.
        let arguments = [&["--data-dir", self.text()], arguments].concat();
        plinth(&arguments, &[]).stdin(Stdio::null()).output().expect("the binary runs")
    }

    /// What a command that must succeed prints.
    pub(crate) fn stdout(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command that must fail says.
    pub(crate) fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(self.0.join("postgres/postmaster.pid")).ok();
        if let Some(pid) = pid.as_deref().and_then(|text| text.lines().next()) {
            let _ = Command::new("kill").args(["-QUIT", pid]).status();
            std::thread::sleep(Duration::from_millis(500));
        }
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn address(ready: &Value) -> SocketAddr {
    let url = ready["api"].as_str().expect("a URL");
    url.trim_start_matches("http://").parse().expect("an address")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_project_from_nothing_to_the_end() {
    let data = DataDir::new();
    assert!(data.refusal(&["status"]).contains("plinth up"), "status says how to start");
    let up = data.up(&["--empty", "--default-project", "shop"]);
    let ready = up.ready();
    assert_eq!(ready["default"], "shop");
    let facts = ready["projects"]["shop"].clone();
    let api = Api::new(address(&ready));
    assert_eq!(api.get("/ready").await.unwrap().status, StatusCode::OK);

    // Commands beside it.
    let status: Value = serde_json::from_str(&data.stdout(&["status", "-o", "json"])).unwrap();
    assert_eq!(status, json!({"default": "shop", "projects": {"shop": facts}}));
    let one: Value =
        serde_json::from_str(&data.stdout(&["status", "--project", "shop", "-o", "json"])).unwrap();
    assert_eq!(one, facts);
    let env = data.stdout(&["status", "--project", "shop", "-o", "env"]);
    for name in [
        "API_URL",
        "REST_URL",
        "DB_URL",
        "JWT_SECRET",
        "ANON_KEY",
        "SERVICE_ROLE_KEY",
        "PUBLISHABLE_KEY",
        "SECRET_KEY",
    ] {
        let line = format!("{name}=\"{}\"\n", facts[name].as_str().unwrap());
        assert!(env.contains(&line), "{name} in {env}");
    }

    // A project that is created beside it is served, and its owner is no superuser.
    let folder = data.0.join("mine");
    std::fs::create_dir_all(folder.join("supabase/migrations")).unwrap();
    let sql = "create table task (id int primary key); insert into task values (1);
               insert into auth.users (id, email) values ('a0000000-0000-4000-8000-000000000001', 'ada@example.com');";
    std::fs::write(folder.join("supabase/migrations/20240101000000_task.sql"), sql).unwrap();
    std::fs::write(folder.join("supabase/config.toml"), "[auth]\nenabled = true").unwrap();
    let from = folder.to_str().unwrap();
    let created = data.run(&["project", "create", "mine", "--from", from, "-o", "json"]);
    let warned = String::from_utf8(created.stderr).unwrap();
    assert!(warned.contains("[auth] of ") && warned.contains("[project.mine.auth]"), "{warned}");
    let mine: Value = serde_json::from_slice(&created.stdout).unwrap();
    let rest = api.below("/p/mine/rest/v1").with("apikey", mine["SECRET_KEY"].as_str().unwrap());
    crate::support::until("the new project is served", async || {
        let answer = rest.get("/task").await.unwrap();
        (answer.status == StatusCode::OK).then(|| assert_eq!(answer.json(), json!([{"id": 1}])))
    })
    .await;
    assert!(data.refusal(&["project", "create", "mine"]).contains("exists already"));
    assert!(data.refusal(&["project", "create", "No Good"]).contains("name"));
    let list: Value =
        serde_json::from_str(&data.stdout(&["project", "list", "-o", "json"])).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 2);

    // Migrations, psql, tokens, types.
    let second = folder.join("supabase/migrations/20240102000000_more.sql");
    std::fs::write(&second, "alter table task add column title text;\n\nselect nonsense;").unwrap();
    let migrate = |verb: &'static str| ["migrate", verb, "--project", "mine", "--dir", from];
    let refusal = data.refusal(&migrate("up"));
    assert!(
        refusal.contains("20240102000000_more.sql:3") && refusal.contains("nonsense"),
        "{refusal}"
    );
    std::fs::write(&second, "alter table task add column title text;").unwrap();
    assert!(data.stdout(&migrate("status")).contains("pending"));
    let dry = [&migrate("up")[..], &["--dry-run"]].concat();
    assert!(data.stdout(&dry).contains("would apply"));
    assert!(data.stdout(&migrate("up")).contains("applied 20240102000000_more.sql"));
    assert!(data.stdout(&migrate("up")).contains("up to date"));
    let who = data.stdout(&[
        "psql",
        "mine",
        "--",
        "-Atc",
        "select rolname, rolsuper from pg_roles where rolname = current_user",
    ]);
    assert_eq!(who.trim(), "postgres|f");
    let types = data.stdout(&["gen", "types", "--lang", "typescript", "--project", "mine"]);
    assert!(types.contains("title: string | null"), "{types}");
    assert!(
        data.refusal(&["gen", "types", "--project", "mine", "--schema", "nope"])
            .contains("no schema `nope`")
    );
    let token = data.stdout(&["token", "--project", "mine", "--email", "ADA@example.com"]);
    crate::support::until("the new column is served", async || {
        let answer = rest.bearer(token.trim()).get("/task?select=title").await.unwrap();
        (answer.status == StatusCode::OK).then_some(())
    })
    .await;
    assert!(
        data.refusal(&["token", "--project", "mine", "--email", "x@y"]).contains("no user x@y")
    );

    // Another instance on the same folder is refused, and says who has it.
    let second = data.run(&["up", "--empty", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("another Plinth"), "{said}");

    assert!(data.refusal(&["project", "drop", "mine"]).contains("--yes"));
    data.stdout(&["project", "drop", "mine", "--yes"]);
    crate::support::until("the dropped project is gone", async || {
        (rest.get("/task").await.unwrap().status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    assert!(up.stop().success());
    assert!(!data.0.join("postgres/postmaster.pid").exists(), "PostgreSQL was stopped too");
    assert!(data.refusal(&["status"]).contains("plinth up"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refusal = data.refusal(&["up", "--empty", "--listen", &address]);
    assert!(refusal.contains(&address) && refusal.contains("--listen"), "{refusal}");

    // Without a running instance, the cluster is started for the command and stopped again.
    assert!(data.stdout(&["project", "list"]).contains("shop"));
    assert!(!data.0.join("postgres/postmaster.pid").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_alone_makes_a_blueprint_and_survives_being_killed() {
    let data = DataDir::new();
    let mut up = data.up(&["--only", "echelon"]);
    let ready = up.ready();
    assert_eq!(ready["default"], "echelon");
    let key = ready["projects"]["echelon"]["SECRET_KEY"].as_str().unwrap().to_owned();
    let agents = async |ready: &Value| {
        let api = Api::new(address(ready)).with("apikey", &key);
        let answer = api.get("/rest/v1/agents?select=id").await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.json().as_array().unwrap().len()
    };
    let seeded = agents(&ready).await;
    assert!(seeded > 0);
    up.signal("KILL");
    up.wait();

    // PostgreSQL goes on; the note of the dead is not believed blindly, and the next start adopts it.
    let config = data.0.join("plinth.toml");
    std::fs::write(&config, "[project.nobody.auth]\njwt_expiry = 60").unwrap();
    let begun = Instant::now();
    let up = data.up(&["--only", "echelon", "--config", config.to_str().unwrap()]);
    let ready = up.ready();
    assert!(begun.elapsed() < Duration::from_secs(10), "the second start is quick");
    up.wait_for("[project.nobody.auth]");
    assert_eq!(agents(&ready).await, seeded);

    // A folder of migrations that is not the project's is not passed over without a word.
    std::fs::create_dir(data.0.join("migrations")).unwrap();
    let status = ["--data-dir", data.text(), "migrate", "status", "--project", "echelon"];
    let status = plinth(&status, &[]).current_dir(&data.0).output().unwrap();
    assert!(String::from_utf8(status.stderr).unwrap().contains("--dir ."), "it says what it reads");

    // PostgreSQL itself dies: it is started again.
    let pid = std::fs::read_to_string(data.0.join("postgres/postmaster.pid")).unwrap();
    let pid = pid.lines().next().unwrap().to_owned();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    let api = Api::new(address(&ready)).with("apikey", &key);
    crate::support::until("requests fail", async || {
        (api.get("/rest/v1/agents?select=id").await.unwrap().status == 503).then_some(())
    })
    .await;
    crate::support::until("requests work again", async || {
        (api.get("/rest/v1/agents?select=id").await.unwrap().status == 200).then_some(())
    })
    .await;
    assert!(up.stop().success());
}

#[test]
fn the_effective_configuration_is_printed_without_secrets() {
    let folder = DataDir::new();
    let file = folder.0.join("plinth.toml");
    std::fs::write(&file, "listen = '127.0.0.1:7777'\n[http]\nbody_size = '1MiB'\n").unwrap();
    let print = |path: &Path, environment: &[(&str, &str)]| {
        let output =
            plinth(&["config", "-o", "json", "--config", path.to_str().unwrap()], environment)
                .output()
                .unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (_, printed, _) = print(
        &file,
        &[("PLINTH_DATABASE_URL", "postgres://me:hunter2@db/x"), ("PLINTH_HTTP_BODY_SIZE", "2MiB")],
    );
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["listen"], "127.0.0.1:7777");
    assert_eq!(printed["http"]["body_size"], "2MiB");
    assert_eq!(printed["database_url"], "postgres://me:***@db/x");

    std::fs::write(&file, "lisen = 'x'").unwrap();
    let (accepted, _, said) = print(&file, &[]);
    assert!(!accepted && said.contains("lisen"), "{said}");
    std::fs::write(&file, "").unwrap();
    let (accepted, _, said) = print(&file, &[("PLINTH_BODY_SIZE", "1MiB")]);
    assert!(accepted && said.contains("PLINTH_HTTP_BODY_SIZE"), "{said}");
}

#[test]
fn help_has_examples_and_mistakes_have_hints() {
    for command in [
        &["--help"][..],
        &["up", "--help"],
        &["serve", "--help"],
        &["project", "--help"],
        &["project", "create", "--help"],
        &["status", "--help"],
        &["migrate", "--help"],
        &["psql", "--help"],
        &["token", "--help"],
        &["keys", "--help"],
        &["keys", "add", "--help"],
        &["keys", "rotate", "--help"],
        &["keys", "revoke", "--help"],
        &["config", "--help"],
        &["gen", "--help"],
        &["rest", "--help"],
    ] {
        let output = plinth(command, &[]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("Example"), "{command:?}: {text}");
    }
    let folder = DataDir::new();
    for (arguments, hint) in [
        (&["up", "--only", "nonsense"][..], "paradyze"),
        (&["up", "--blueprint", "./nonsense"], "no blueprint"),
        (&["up", "--empty", "--default-project", "No"], "default_project"),
        (&["rest"], "PGRST_DB_URI"),
        (&["migrate", "new", "///"], "name"),
        (&["up", "--listen", "nonsense"], "127.0.0.1:5400"),
    ] {
        let said = folder.refusal(arguments);
        assert!(said.contains(hint), "{arguments:?}: {said}");
    }
}
