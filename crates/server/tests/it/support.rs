//! An instance inside the test's process, and short ways to ask it things.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plinth_postgres::seal::Sealer;
use plinth_postgres::{Endpoint, Project};
use plinth_server::config::{Config, RawConfig};
use plinth_server::gateway::{Gateway, Server, Site};
use plinth_server::runtime::Projects;
use plinth_testkit::api::{Answer, Api};
use plinth_testkit::{Data, Template, TestDatabase};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a test waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// A gateway that serves some projects.
pub(crate) struct Instance {
    pub(crate) address: SocketAddr,
    pub(crate) projects: Arc<Projects>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    sweeping: JoinHandle<()>,
}

/// The defaults on any free port, changed by `change`.
pub(crate) fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::try_from(RawConfig::default()).expect("the defaults are valid");
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    change(&mut config);
    config
}

/// What the secrets of test clusters are sealed with.
fn sealer() -> Arc<Sealer> {
    Arc::new(plinth_testkit::master_key().load_or_create().expect("the key is right"))
}

impl Instance {
    /// Serves the given projects of the cluster at `endpoint`.
    pub(crate) async fn start(endpoint: &Endpoint, projects: &[Project], config: Config) -> Self {
        let server = Server::bind(config.listen, false).await.expect("a free port");
        let config = Config { listen: server.address(), ..config };
        let served = Projects::new(endpoint.clone(), config.clone(), sealer(), None);
        served.sync(projects);
        served.set_migrated();
        Self::serve(server, served, config).await
    }

    async fn serve(server: Server, projects: Arc<Projects>, config: Config) -> Self {
        let address = server.address();
        let gateway = Gateway::new(Site::Projects(projects.clone()), config.http);
        let (stop, stopped) = watch::channel(false);
        let sweeping = tokio::spawn(projects.clone().sweep());
        let serving = tokio::spawn(async move {
            server.run(Arc::new(gateway), stopped).await.expect("threads to serve with");
        });
        Self { address, projects, stop, serving, sweeping }
    }

    /// Requests without any credentials.
    pub(crate) fn api(&self) -> Api {
        Api::new(self.address)
    }

    /// The data API of a project, with its publishable key.
    pub(crate) fn anon(&self, project: &Project) -> Api {
        self.rest(project).with("apikey", project.keys.publishable_key.expose())
    }

    /// The data API of a project, with its secret key.
    pub(crate) fn service(&self, project: &Project) -> Api {
        self.rest(project).with("apikey", project.keys.secret_key.expose())
    }

    /// The data API of a project, without credentials.
    pub(crate) fn rest(&self, project: &Project) -> Api {
        self.api().below(&format!("/p/{}/rest/v1", project.name))
    }

    /// Begins to stop, and gives what ends when everything has ended.
    pub(crate) fn begin_stop(self) -> impl Future<Output = ()> {
        self.stop.send_replace(true);
        async move {
            self.serving.await.expect("the server ends well");
            self.sweeping.abort();
            self.projects.close();
        }
    }

    /// Stops and closes everything.
    pub(crate) async fn stop(self) {
        self.begin_stop().await;
    }
}

/// Runs a test against a project made from the given SQL, served with the configuration.
#[track_caller]
pub(crate) fn with_project(
    sql: &str,
    change: impl FnOnce(&mut Config),
    test: impl AsyncFnOnce(&Instance, &TestDatabase),
) {
    plinth_testkit::with_database(&Template::Platform, async |database| {
        run(database, sql, change, test).await;
    });
}

/// As [`with_project`], with a blueprint and its seed data.
#[track_caller]
pub(crate) fn with_blueprint(name: &str, test: impl AsyncFnOnce(&Instance, &TestDatabase)) {
    plinth_testkit::with_database(&Template::blueprint(name, Data::Seed), async |database| {
        run(database, "", |_| {}, test).await;
    });
}

async fn run(
    database: &TestDatabase,
    sql: &str,
    change: impl FnOnce(&mut Config),
    test: impl AsyncFnOnce(&Instance, &TestDatabase),
) {
    as_owner(database.project(), database.cluster().cluster().endpoint(), sql).await;
    let endpoint = database.cluster().cluster().endpoint();
    let instance =
        Instance::start(endpoint, std::slice::from_ref(database.project()), config(change)).await;
    test(&instance, database).await;
    instance.stop().await;
}

/// Runs SQL as the project's owner, as people's migrations run.
pub(crate) async fn as_owner(project: &Project, endpoint: &Endpoint, sql: &str) {
    let connection = endpoint
        .connect_as(&project.owner_login, &project.database)
        .await
        .expect("the owner may connect");
    connection.batch_execute(sql).await.expect("the test's SQL runs");
    connection.close().await;
}

/// Asks again and again until the answer is as wanted.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "it never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Status and `code` (or `message`) of an answer, for short assertions.
pub(crate) fn gist(answer: &Answer) -> (u16, String) {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = body["code"].as_str().or(body["message"].as_str()).unwrap_or_default().to_owned();
    (answer.status.as_u16(), text)
}
