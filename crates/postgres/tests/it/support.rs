//! Clusters and folders that are gone when their test is, however it ends.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use plinth_postgres::seal::KeyPlace;
use plinth_postgres::{
    Binaries, Cluster, ConnectError, Connection, CreateProject, Login, ManagedOptions, Project,
    Registry, Secret,
};
use tokio::sync::OnceCell;

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The PostgreSQL to test with.
pub(crate) fn binaries() -> Binaries {
    let explicit = std::env::var_os("PLINTH_PG_BIN").map(PathBuf::from);
    Binaries::find(explicit.as_deref()).expect("PostgreSQL for the tests")
}

/// Where the tests' master key is.
pub(crate) fn master_key() -> KeyPlace {
    KeyPlace::Given(Secret::new("5c".repeat(32)))
}

/// A registry on a cluster that the tests of this process share.
pub(crate) async fn registry() -> Registry {
    let start = || async {
        let options = ManagedOptions::throwaway(binaries()).unwrap();
        Cluster::managed(options).await.expect("the shared cluster")
    };
    let cluster = CLUSTER.get_or_init(start).await;
    Registry::open(cluster, &master_key()).await.expect("the registry")
}

/// A name that no other test uses.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A new project with a name of its own.
pub(crate) async fn project(registry: &Registry) -> Project {
    registry.create(CreateProject::named(&unique("it"))).await.expect("a project")
}

/// Makes the registry as it was before secrets were sealed, with those of `projects` in plain.
pub(crate) async fn make_plain(cluster: &Cluster, projects: &[&Project]) {
    let control = cluster.connect("plinth").await.unwrap();
    let undo = "drop table plinth.plain_secret;
        alter table plinth.project
          drop column secrets cascade, add column owner_password text,
          add column authenticator_password text, add column auth_password text,
          add column jwt_secret text, add column service_role_key text, add column secret_key text;
        create trigger project_auth_login_changed after update of auth_password on plinth.project
          for each statement execute function plinth.project_changed();
        delete from plinth.setting where name = 'master_key';
        delete from plinth.migration where name = 'sealed_secrets'";
    control.batch_execute(undo).await.unwrap();
    for project in projects {
        let set = "update plinth.project set owner_password = $2, authenticator_password = $3, auth_password = $4,
                   jwt_secret = $5, service_role_key = $6, secret_key = $7 where name = $1";
        let secrets = secrets(project);
        let [owner, authenticator, auth, jwt, service, secret] = &secrets;
        control
            .execute(set, &[&project.name, owner, authenticator, auth, jwt, service, secret])
            .await
            .unwrap();
    }
}

/// Passwords of the owner, the data API and sign-in; JWT secret, `service_role` key and secret key.
pub(crate) fn secrets(project: &Project) -> [String; 6] {
    let password = |login: &Login| login.password.as_ref().unwrap().expose().to_owned();
    [
        password(&project.owner_login),
        password(&project.authenticator_login),
        password(&project.auth_login),
        project.keys.jwt_secret.expose().to_owned(),
        project.keys.service_role_key.expose().to_owned(),
        project.keys.secret_key.expose().to_owned(),
    ]
}

/// A connection to the project's database as its owner.
pub(crate) async fn as_owner(registry: &Registry, project: &Project) -> Connection {
    open(registry, &project.owner_login, &project.database)
        .await
        .expect("a connection as the owner")
}

/// A connection with the given login.
pub(crate) async fn open(
    registry: &Registry,
    login: &Login,
    database: &str,
) -> Result<Connection, ConnectError> {
    registry.cluster().endpoint().connect_as(login, database).await
}

/// The single value that `sql` returns, as text.
pub(crate) async fn value(connection: &Connection, sql: &str) -> String {
    use tokio_postgres::SimpleQueryMessage;
    let messages = connection
        .simple_query(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {}", full(&error)));
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    row.and_then(|row| row.get(0)).unwrap_or("").to_owned()
}

/// SQLSTATE of the failure of `sql`; `""` when it succeeds.
pub(crate) async fn code(connection: &Connection, sql: &str) -> String {
    match connection.batch_execute(sql).await {
        Ok(()) => String::new(),
        Err(error) => {
            error.code().map(|code| code.code().to_owned()).unwrap_or_else(|| error.to_string())
        }
    }
}

/// An error with its causes.
pub(crate) fn full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// A folder for one test. A shell removes it, and stops a cluster in it, when the test lets go or its process ends.
pub(crate) struct Scratch {
    path: PathBuf,
    shell: Child,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let name =
            format!("plinth-it-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = Path::new("/tmp").join(name);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let script = "while read -r _; do :; done
            for file in \"$0\"/*/postgres/postmaster.pid; do
                [ -f \"$file\" ] && kill -QUIT \"$(head -n 1 \"$file\")\" 2>/dev/null && sleep 0.3
            done
            rm -rf \"$0\"";
        let shell = Command::new("/bin/sh")
            .args(["-c", script])
            .arg(&path)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        Self { path, shell }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file with its folders, and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    }

    /// Options of a lasting cluster in this folder that does not wait for the disk.
    pub(crate) fn cluster(&self) -> ManagedOptions {
        let mut options = ManagedOptions::new(self.path.join("data"), binaries());
        options.port = 0;
        options.settings.insert("fsync".to_owned(), "off".to_owned());
        options
    }
}

/// A folder outside of the scratch folder that goes when the test does.
pub(crate) struct Elsewhere(pub(crate) PathBuf);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // A test that failed has left its server running.
        if let Ok(text) = fs::read_to_string(self.0.join("postgres/postmaster.pid")) {
            let pid = text.lines().next().unwrap_or_default();
            let _ = Command::new("kill").args(["-QUIT", pid]).status();
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
