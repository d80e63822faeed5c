//! A PostgreSQL of the run's own that keeps what it says it keeps, with one project in it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use plinth_postgres::{
    Binaries, Cluster, ConnectError, Connection, CreateProject, Endpoint, Login, ManagedOptions,
    Project, Registry,
};
use plinth_testkit::master_key;
use plinth_wire::Host;
use plinth_work::install::install_triggers;

use crate::bindings::{self, KINDS};
use crate::patience::Patience;
use crate::report::say;

/// How long between two looks.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) struct Server {
    cluster: Cluster,
    pub(crate) project: Project,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let explicit = std::env::var_os("PLINTH_PG_BIN").map(PathBuf::from);
        let binaries = Binaries::find(explicit.as_deref()).unwrap();
        let mut options = ManagedOptions::throwaway(binaries).unwrap();
        for name in ["fsync", "full_page_writes", "synchronous_commit"] {
            options.settings.insert(name.to_owned(), "on".to_owned());
        }
        let cluster = Cluster::managed(options).await.unwrap();
        let registry = Registry::open(&cluster, &master_key()).await.unwrap();
        let project = registry.create(CreateProject::named("chaos")).await.unwrap();
        let server = Self { cluster, project };
        server.install().await;
        server
    }

    async fn install(&self) {
        let mut owner = self.owner().await.unwrap();
        owner.batch_execute(include_str!("setup.sql")).await.unwrap();
        for (kind, number) in KINDS.iter().zip(1..) {
            let insert = "insert into plinth.binding (name, kind, spec) values ($1, 'row', '{}') returning id";
            let id: i32 = owner.query_one(insert, &[kind]).await.unwrap().get(0);
            assert_eq!(id, number, "the bindings of a new project");
            let transaction = owner.client_mut().transaction().await.unwrap();
            install_triggers(&transaction, &bindings::row_binding(id)).await.unwrap();
            transaction.commit().await.unwrap();
        }
        let admin = self.admin().await.unwrap();
        admin.batch_execute(include_str!("watch.sql")).await.unwrap();
        admin.close().await;
        let spec = serde_json::to_string(&bindings::schedule()).unwrap();
        let insert = "insert into plinth.binding (name, kind, spec) values ('tick', 'schedule', $1::text::jsonb)";
        owner.execute(insert, &[&spec]).await.unwrap();
        owner.close().await;
    }

    pub(crate) fn port(&self) -> u16 {
        self.cluster.report().unwrap().port
    }

    /// The owner's way through a proxy on that port.
    pub(crate) fn owner_url(&self, port: u16) -> String {
        let host = Host::Tcp("127.0.0.1".to_owned());
        let endpoint = Endpoint { host, port, ..self.cluster.endpoint().clone() };
        endpoint.url(&self.project.owner_login, &self.project.database).expose().to_owned()
    }

    /// The direct way of its users.
    pub(crate) fn way(&self) -> (Endpoint, Login) {
        (self.cluster.endpoint().clone(), self.project.owner_login.clone())
    }

    pub(crate) async fn owner(&self) -> Result<Connection, ConnectError> {
        let endpoint = self.cluster.endpoint();
        endpoint.connect_as(&self.project.owner_login, &self.project.database).await
    }

    pub(crate) async fn admin(&self) -> Result<Connection, ConnectError> {
        self.cluster.connect(&self.project.database).await
    }

    /// Ends it in good order, though nobody is waited for, and starts it.
    pub(crate) async fn restart_fast(&self) {
        self.cluster.as_managed().unwrap().restart().await.unwrap();
    }

    /// Ends it as a loss of power would, and starts it.
    pub(crate) async fn restart_immediately(&self) {
        let managed = self.cluster.as_managed().unwrap();
        let pid = managed.pid().await.to_string();
        assert!(Command::new("kill").args(["-QUIT", &pid]).status().unwrap().success());
        while !managed.ensure_running().await.unwrap() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends some sessions of the project's owner, writers' and instances' alike.
    pub(crate) async fn terminate(&self, share: u64) {
        let Ok(admin) = self.admin().await else { return };
        let login = &self.project.owner_login.role;
        let terminate = format!(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where usename = $1 and random() * 100 < {share}"
        );
        // It may go away in the middle of that.
        let _gone = admin.query(&terminate, &[login]).await;
        admin.close().await;
    }

    /// Waits until a job ends.
    pub(crate) async fn until_moving(&self) {
        let count = "select count(*) from plinth.job_done";
        let admin = self.admin().await.unwrap();
        let before: i64 = admin.query_one(count, &[]).await.unwrap().get(0);
        let mut patience = Patience::new();
        while admin.query_one(count, &[]).await.unwrap().get::<_, i64>(0) == before {
            assert!(!patience.is_over(String::new()), "no job ends");
            tokio::time::sleep(LOOK).await;
        }
        admin.close().await;
    }

    /// Waits until the schedule has come to the present, and ends it there.
    pub(crate) async fn end_schedules(&self) {
        let admin = self.admin().await.unwrap();
        let stands = "select coalesce(min(next_at)::text, ''), coalesce(min(next_at) > clock_timestamp(), false) from plinth.schedule";
        let mut patience = Patience::new();
        loop {
            let row = admin.query_one(stands, &[]).await.unwrap();
            if row.get(1) {
                break;
            }
            assert!(!patience.is_over(row.get(0)), "the schedule does not come to the present");
            tokio::time::sleep(LOOK).await;
        }
        // The lock waits for a tick that is being written, and keeps the next one from its look at the binding.
        let end = "begin; lock table plinth.schedule in exclusive mode;
            update plinth.binding set state = 'paused' where kind = 'schedule'; commit";
        admin.batch_execute(end).await.unwrap();
        admin.close().await;
    }

    /// Waits until every job has ended; says what is left from time to time.
    pub(crate) async fn until_quiet(&self) {
        let left = "select count(*), (select count(*) from public.claim) from plinth.job where state <> 'd'";
        let (mut said, mut patience) = (Instant::now(), Patience::new());
        let admin = self.admin().await.unwrap();
        loop {
            let row = admin.query_one(left, &[]).await.unwrap();
            let (count, claims): (i64, i64) = (row.get(0), row.get(1));
            if count == 0 {
                break;
            }
            let over = patience.is_over(format!("{count} {claims}"));
            if over || said.elapsed() > Duration::from_secs(5) {
                said = Instant::now();
                let what = "select coalesce(string_agg(line, e'\n'), '') from (
                    select to_jsonb(job)::text as line from plinth.job where state <> 'd' order by id limit 5) as l";
                let what: String = admin.query_one(what, &[]).await.unwrap().get(0);
                say(&format!("{count} jobs are left, among them\n{what}"));
            }
            assert!(!over, "{count} jobs neither end nor are taken");
            tokio::time::sleep(LOOK).await;
        }
        admin.close().await;
    }
}
