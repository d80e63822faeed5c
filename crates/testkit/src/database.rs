//! A database for each test, cloned from a template.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use plinth_postgres::migrate::{MigrationFolder, UpOptions};
use plinth_postgres::{Cluster, ConnectError, Connection, CreateProject, Project, Secret};

use crate::blueprint::{Blueprint, install_helpers, load_fixture};
use crate::cluster::{TestCluster, block_on_kit_runtime, on_kit_runtime, test_cluster};
use crate::{KitError, clone_database, drop_database};

/// How long a session that was told to end may take.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

/// What a test's database has in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Template {
    /// Nothing: a database as PostgreSQL makes it. It is no project.
    Empty,
    /// The platform schema of a project.
    Platform,
    /// The platform schema and the helpers for SQL tests (schema `tests`).
    SqlTests,
    /// A blueprint's folder and some data.
    Blueprint(PathBuf, Data),
}

/// Which rows a database of a blueprint has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// None.
    Bare,
    /// `seed.sql`.
    Seed,
    /// `tests/fixture.sql`, and the helpers for SQL tests.
    Fixture,
    /// None, and the helpers for SQL tests.
    Helpers,
}

impl Template {
    /// The blueprint of that name in this repository.
    pub fn blueprint(name: &str, data: Data) -> Self {
        let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../blueprints"));
        Self::Blueprint(root.join(name), data)
    }
}

/// A database of a test's own. Dropping it drops the database with whatever is connected;
/// [`TestDatabase::finish`] also looks at what the test left behind.
#[derive(Debug)]
pub struct TestDatabase {
    cluster: &'static TestCluster,
    name: String,
    project: Option<Project>,
    finished: bool,
}

impl TestDatabase {
    /// Clones a database from `template`, which is made when it is asked for the first time.
    ///
    /// # Errors
    ///
    /// [`KitError`] when the cluster does not start or the template cannot be made.
    pub async fn create(template: &Template) -> Result<Self, KitError> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let cluster = test_cluster().await?;
        let source = cluster.template(template).await?;
        let name = format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let project = match template {
            Template::Empty => {
                let admin = cluster.admin().await?;
                clone_database(&admin, &source, &name).await?;
                admin.close().await;
                None
            }
            _ => {
                let template = Some(source.as_str());
                Some(
                    cluster
                        .create(CreateProject { template, ..CreateProject::named(&name) })
                        .await?,
                )
            }
        };
        Ok(Self { cluster, name, project, finished: false })
    }

    /// The cluster it is in.
    pub fn cluster(&self) -> &'static TestCluster {
        self.cluster
    }

    /// The name of the database, and of the project.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The project that it is.
    ///
    /// # Panics
    ///
    /// For [`Template::Empty`], which is none.
    #[track_caller]
    pub fn project(&self) -> &Project {
        self.project.as_ref().expect("a database from Template::Empty is no project")
    }

    /// A superuser's connection with the settings of the database, such as its search path.
    ///
    /// # Errors
    ///
    /// [`KitError::Setup`] when it cannot be opened.
    pub async fn connect(&self) -> Result<Connection, KitError> {
        let failed = KitError::setup("cannot connect to the test's database");
        connect_plainly(self.cluster.cluster(), &self.name).await.map_err(failed)
    }

    /// A superuser's URL, for other programs and other drivers.
    pub fn url(&self) -> Secret {
        let cluster = self.cluster.cluster();
        cluster.url(&cluster.endpoint().admin, &self.name)
    }

    /// Sessions and replication slots of this database that are still there after some grace for those that are ending,
    /// one readable line each.
    ///
    /// # Errors
    ///
    /// [`KitError`] when the cluster cannot be asked.
    pub async fn left_behind(&self) -> Result<Vec<String>, KitError> {
        const SQL: &str = include_str!("database/left_behind.sql");
        let admin = self.cluster.admin().await?;
        let deadline = Instant::now() + GRACE;
        let left = loop {
            let rows = admin.query(SQL, &[&self.name]).await?;
            let left: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            if left.is_empty() || Instant::now() > deadline {
                break left;
            }
            tokio::time::sleep(POLL).await;
        };
        admin.close().await;
        Ok(left)
    }

    /// Drops the database and gives what the test left behind in it.
    ///
    /// # Errors
    ///
    /// [`KitError`] when the database cannot be dropped.
    pub async fn finish(mut self) -> Result<Vec<String>, KitError> {
        let left = self.left_behind().await?;
        self.finished = true;
        self.drop_now().await?;
        Ok(left)
    }

    async fn drop_now(&self) -> Result<(), KitError> {
        let admin = self.cluster.admin().await?;
        let drop_slots = "select pg_terminate_backend(active_pid) from pg_replication_slots
                          where database = $1 and active";
        admin.execute(drop_slots, &[&self.name]).await?;
        let drop_slots = "select pg_drop_replication_slot(slot_name) from pg_replication_slots
                          where database = $1 and not active";
        admin.execute(drop_slots, &[&self.name]).await?;
        if self.project.is_some() {
            let failed = KitError::setup("cannot drop the test's project");
            self.cluster.registry().drop_project(&self.name).await.map_err(failed)?;
        } else {
            drop_database(&admin, &self.name).await?;
        }
        admin.close().await;
        Ok(())
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if !self.finished {
            // A failure here has no one to tell, and the whole cluster goes with the process anyway.
            drop(block_on_kit_runtime(self.drop_now()));
        }
    }
}

/// Runs a test on a database of its own, cloned from `template`, in a runtime of its own, and drops the database.
///
/// # Panics
///
/// When the test panics, when the database cannot be made, and when the test leaves a session or a replication slot of
/// the database behind: whoever opens something closes it.
#[track_caller]
pub fn with_database(template: &Template, test: impl AsyncFnOnce(&TestDatabase)) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime for the test");
    let database =
        runtime.block_on(TestDatabase::create(template)).unwrap_or_else(|error| panic!("{error}"));
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test(&database)))) {
        runtime.shutdown_timeout(GRACE);
        drop(database);
        resume_unwind(panic);
    }
    let left = runtime.block_on(database.finish()).unwrap_or_else(|error| panic!("{error}"));
    assert!(left.is_empty(), "the test left behind:\n  {}", left.join("\n  "));
}

impl TestCluster {
    /// The name of the template database, which is made if it is not there.
    async fn template(&'static self, template: &Template) -> Result<String, KitError> {
        let key = format!("{template:?}");
        let mut made = self.templates.lock().await;
        if let Some(name) = made.get(&key) {
            return Ok(name.clone());
        }
        let name = format!("template-{}", made.len() + 1);
        let (owned, what) = (name.clone(), template.clone());
        // A test that gives up while it waits must not leave half a template.
        on_kit_runtime(async move { self.make_template(&owned, &what).await }).await?;
        made.insert(key, name.clone());
        Ok(name)
    }

    async fn make_template(&self, name: &str, template: &Template) -> Result<(), KitError> {
        let mut request = CreateProject::named(name);
        match template {
            Template::Empty => {
                let admin = self.admin().await?;
                clone_database(&admin, "template0", name).await?;
                admin.close().await;
            }
            Template::Platform => drop(self.create(request).await?),
            Template::SqlTests => {
                let project = self.create(request).await?;
                let connection = self.connect_to(&project).await?;
                install_helpers(&connection, &project.owner_role).await?;
                connection.close().await;
            }
            Template::Blueprint(folder, data @ (Data::Bare | Data::Seed)) => {
                let folder = open_folder(folder)?;
                request.folder = Some(&folder);
                request.seed = *data == Data::Seed;
                self.create(request).await?;
            }
            Template::Blueprint(folder, data) => {
                let project = self.create(request).await?;
                self.fill(&project, folder, *data == Data::Fixture).await?;
            }
        }
        Ok(())
    }

    /// As the blueprint's author does it, but the migrations go through the product's own engine.
    async fn fill(&self, project: &Project, folder: &Path, fixture: bool) -> Result<(), KitError> {
        let connection = self.connect_to(project).await?;
        install_helpers(&connection, &project.owner_role).await?;
        let (migrator, folder_read) = (self.registry().migrator(project), open_folder(folder)?);
        let migrated = migrator.up(&folder_read, &UpOptions::default()).await;
        migrated.map_err(KitError::setup("cannot apply the blueprint"))?;
        if fixture {
            let blueprint = Blueprint::load(folder)?;
            load_fixture(&connection, &project.owner_role, &blueprint).await?;
        }
        connection.close().await;
        Ok(())
    }

    async fn create(&self, request: CreateProject<'_>) -> Result<Project, KitError> {
        let failed = KitError::setup("cannot make a project in the test cluster");
        self.registry().create(request).await.map_err(failed)
    }

    async fn connect_to(&self, project: &Project) -> Result<Connection, KitError> {
        let failed = KitError::setup("cannot connect to a template");
        connect_plainly(self.cluster(), &project.database).await.map_err(failed)
    }
}

/// Unlike an administrative connection of the product's, as a superuser's psql would: tests name things as people do.
async fn connect_plainly(cluster: &Cluster, database: &str) -> Result<Connection, ConnectError> {
    let endpoint = cluster.endpoint();
    endpoint.connect_as(&endpoint.admin, database).await
}

fn open_folder(folder: &Path) -> Result<MigrationFolder, KitError> {
    MigrationFolder::open(folder).map_err(KitError::setup("cannot read the blueprint"))
}
