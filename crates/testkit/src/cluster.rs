//! The throw-away cluster that all tests of a process share.

use std::collections::HashMap;
use std::future::Future;
use std::sync::LazyLock;

use plinth_postgres::seal::KeyPlace;
use plinth_postgres::{Binaries, Cluster, Connection, ManagedOptions, Registry, Secret};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, OnceCell};

use crate::KitError;

/// Database from which the others are administered.
pub(crate) const MAINTENANCE: &str = "postgres";

/// Each test has a runtime of its own that ends with it; what lasts longer runs here.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let builder = builder.worker_threads(1).thread_name("testkit").enable_all();
    builder.build().expect("a runtime for the test cluster")
});

/// The master key of all throw-away clusters, in hexadecimal.
pub const MASTER_KEY: &str = "6b8f0b6c1d7f4c0e9b0a5f8f7c1d2e3f405162738495a6b7c8d9eafb0c1d2e3f";

/// Where [`MASTER_KEY`] is, for who opens a registry.
pub fn master_key() -> KeyPlace {
    KeyPlace::Given(Secret::new(MASTER_KEY))
}

static CLUSTER: OnceCell<TestCluster> = OnceCell::const_new();

/// A cluster without `fsync` in a temporary folder. It ends, and the folder goes, with this process, also when that is
/// killed: the cluster crate leaves a shell behind that waits for it.
#[derive(Debug)]
pub struct TestCluster {
    cluster: Cluster,
    registry: Registry,
    /// Names of the template databases that are made, by what is in them. The lock is held while one is being made.
    pub(crate) templates: Mutex<HashMap<String, String>>,
}

/// The cluster of this process; started by the first call, in about a second.
///
/// PostgreSQL comes from `PLINTH_PG_BIN`, else from `.postgres/bin`.
///
/// # Errors
///
/// [`KitError::Setup`] when there is no PostgreSQL or it does not start.
pub async fn test_cluster() -> Result<&'static TestCluster, KitError> {
    CLUSTER.get_or_try_init(|| on_kit_runtime(TestCluster::start())).await
}

impl TestCluster {
    async fn start() -> Result<Self, KitError> {
        let explicit = std::env::var_os("PLINTH_PG_BIN").map(std::path::PathBuf::from);
        let failed = "cannot start the test cluster";
        let binaries = Binaries::find(explicit.as_deref()).map_err(KitError::setup(failed))?;
        let options = ManagedOptions::throwaway(binaries).map_err(KitError::setup(failed))?;
        let cluster = Cluster::managed(options).await.map_err(KitError::setup(failed))?;
        let registry =
            Registry::open(&cluster, &master_key()).await.map_err(KitError::setup(failed))?;
        Ok(Self { cluster, registry, templates: Mutex::default() })
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Its projects; every test database with the platform schema is one.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A superuser's connection for statements that concern other databases.
    pub(crate) async fn admin(&self) -> Result<Connection, KitError> {
        let failed = KitError::setup("cannot connect to the test cluster");
        self.cluster.connect(MAINTENANCE).await.map_err(failed)
    }
}

/// Runs `work` where it outlives the test that asks for it.
pub(crate) async fn on_kit_runtime<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    match RUNTIME.spawn(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Runs `work` to its end from a thread that may belong to a runtime itself, such as the one that drops a value.
pub(crate) fn block_on_kit_runtime<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(|| RUNTIME.block_on(work)).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
