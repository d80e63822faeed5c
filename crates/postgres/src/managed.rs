//! A private PostgreSQL cluster below Plinth's data folder.
//!
//! One Plinth at a time manages a data folder ([`lock`]). The server is no child that dies with Plinth: when Plinth is
//! killed it goes on, and the next start adopts it. Who starts it is in [`account`], where its files are in [`place`].

mod account;
mod binaries;
mod error;
mod initdb;
mod leash;
mod lock;
mod place;
mod port;
mod postmaster;
mod server;
mod settings;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use plinth_wire::{Host, Secret};
use tokio::sync::Mutex;
use tokio::time::sleep;

pub use self::binaries::{Binaries, BinariesError, OLDEST_MAJOR};
pub use self::error::ClusterError;
use self::leash::Leash;
use self::lock::DataLock;
use self::place::Place;
use self::postmaster::{PidFile, Postmaster};
use self::server::{POLL, QUIT_TIMEOUT, START_TIMEOUT, launch, not_ready, stop};
use crate::connection::{Connection, Endpoint, Login};
use crate::keys;
use crate::sqlstate;

/// The bootstrap superuser of a managed cluster.
pub(crate) const SUPERUSER: &str = "supabase_admin";
/// Port that a managed cluster prefers.
pub const DEFAULT_PORT: u16 = 54322;

/// How to run a managed cluster.
#[derive(Clone, Debug)]
pub struct ManagedOptions {
    /// Plinth's data folder; made if it is not there.
    pub data_dir: PathBuf,
    /// The programs.
    pub binaries: Binaries,
    /// Port on the loopback address; the next free one is taken when it is not free, and 0 means any. A cluster that had
    /// to take another one prefers that from then on, as long as this stays the same.
    pub port: u16,
    /// PostgreSQL settings above Plinth's own.
    pub settings: BTreeMap<String, String>,
    /// Operating system's user for the cluster when Plinth is root (`PLINTH_PG_USER`).
    pub run_as: Option<String>,
    throwaway: bool,
}

impl ManagedOptions {
    /// A lasting cluster below `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>, binaries: Binaries) -> Self {
        let data_dir = data_dir.into();
        Self {
            data_dir,
            binaries,
            port: DEFAULT_PORT,
            settings: BTreeMap::new(),
            run_as: None,
            throwaway: false,
        }
    }

    /// A cluster for tests in a new folder below the system's temporary folder, on any port, that does not wait for the
    /// disk. It ends, and the folder goes, when it is dropped or when this process ends, however it ends.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Key`] if there is no random name to be had.
    pub fn throwaway(binaries: Binaries) -> Result<Self, ClusterError> {
        let name = keys::password().map_err(ClusterError::Key)?;
        let folder = format!("plinth-test-{}", &name.expose()[..12]);
        // A temporary folder of root's own would be closed to the user who runs the cluster.
        let parent = if nix::unistd::geteuid().is_root() {
            PathBuf::from("/tmp")
        } else {
            std::env::temp_dir()
        };
        let data_dir = parent.join(folder);
        Ok(Self { port: 0, throwaway: true, ..Self::new(data_dir, binaries) })
    }
}

/// What happened at the start of a managed cluster, for the operator.
#[derive(Clone, Debug)]
pub struct ManagedReport {
    /// A server that an earlier Plinth left running was taken over.
    pub adopted: bool,
    /// The cluster was made just now.
    pub created: bool,
    /// Version of the programs.
    pub version: String,
    /// The unprivileged user that the cluster runs as, when Plinth is root.
    pub user: Option<String>,
    /// PostgreSQL's data folder.
    pub pgdata: PathBuf,
    /// The data folder is not below `data_dir`, since the cluster's user cannot go there.
    pub data_moved: bool,
    /// Folder of a copy of the programs, made since the cluster's user cannot reach the originals.
    pub copied_binaries: Option<PathBuf>,
    /// PostgreSQL's log.
    pub log: PathBuf,
    /// Port it listens on.
    pub port: u16,
    /// The port that it prefers was taken.
    pub port_was_taken: bool,
}

/// A running cluster that this process manages.
///
/// Dropping it leaves a lasting cluster running, for the next start to adopt; [`ManagedCluster::stop`] stops it.
#[derive(Debug)]
pub struct ManagedCluster {
    place: Place,
    endpoint: Endpoint,
    report: ManagedReport,
    postmaster: Mutex<Postmaster>,
    throwaway: bool,
    leash: Option<Leash>,
    _lock: DataLock,
}

impl ManagedCluster {
    /// Makes the cluster if need be, starts or adopts its server, and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// [`ClusterError`], each with what to do about it.
    pub async fn start(options: ManagedOptions) -> Result<Self, ClusterError> {
        let blocking = options.clone();
        let prepared = tokio::task::spawn_blocking(move || Prepared::new(&blocking));
        let prepared = prepared.await.map_err(|_| ClusterError::Interrupted)??;
        let created = prepared.created;
        let mut leash = None;
        if options.throwaway {
            let tied = Leash::tie(&prepared.place.data_dir, &prepared.place.pgdata);
            leash = Some(tied.map_err(|source| ClusterError::Spawn { program: "sh", source })?);
        }
        let running = prepared.run(options.port).await?;
        let report = report(&prepared.place, &options, &running, created);
        tracing::info!(
            postgres.port = report.port,
            postgres.adopted = report.adopted,
            postgres.created = created,
            postgres.version = report.version,
            "PostgreSQL is ready"
        );
        let admin = prepared.admin();
        let host = Host::Unix(running.socket_dir);
        Ok(Self {
            endpoint: Endpoint::of_this_machine(host, running.port, admin),
            place: prepared.place,
            report,
            postmaster: Mutex::new(running.postmaster),
            throwaway: options.throwaway,
            leash,
            _lock: prepared.lock,
        })
    }

    /// Where the server listens for Plinth: its unix socket, as the superuser.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What happened at the start.
    pub fn report(&self) -> &ManagedReport {
        &self.report
    }

    /// The programs that run it, for `psql` and `pg_dump`.
    pub fn binaries(&self) -> &Binaries {
        &self.place.binaries
    }

    /// Process id of the server.
    pub async fn pid(&self) -> i32 {
        self.postmaster.lock().await.pid()
    }

    /// Starts the server again if it has ended, on the same port. Returns whether that was needed.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] if it does not come back.
    pub async fn ensure_running(&self) -> Result<bool, ClusterError> {
        let mut postmaster = self.postmaster.lock().await;
        if postmaster.is_alive() {
            return Ok(false);
        }
        tracing::warn!(postgres.pid = postmaster.pid(), "PostgreSQL has ended; starting it again");
        *postmaster = launch(&self.place, &self.endpoint.admin, self.endpoint.port).await?;
        Ok(true)
    }

    /// Stops the server and starts it again on the same port.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] if it does not end or does not come back.
    pub async fn restart(&self) -> Result<(), ClusterError> {
        let mut postmaster = self.postmaster.lock().await;
        stop(&mut postmaster).await?;
        *postmaster = launch(&self.place, &self.endpoint.admin, self.endpoint.port).await?;
        Ok(())
    }

    /// Stops the server: connections are cut and everything is written. Bounded; a server that does not end in time is
    /// ended at once, which costs a recovery at the next start.
    ///
    /// # Errors
    ///
    /// [`ClusterError::WontStop`] if even that does not help.
    pub async fn stop(&self) -> Result<(), ClusterError> {
        stop(&mut *self.postmaster.lock().await).await
    }
}

impl Drop for ManagedCluster {
    fn drop(&mut self) {
        if !self.throwaway {
            return;
        }
        let postmaster = self.postmaster.get_mut();
        let deadline = Instant::now() + QUIT_TIMEOUT;
        // A throw-away cluster is ended at once: there is nothing to keep.
        let _ = postmaster.stop_immediately();
        while postmaster.is_alive() && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        if let Some(leash) = &mut self.leash {
            leash.release();
        }
    }
}

/// Everything that blocks: folders, lock, password, `initdb`, configuration.
struct Prepared {
    place: Place,
    password: Secret,
    lock: DataLock,
    created: bool,
    /// The configuration on disk differs from the one that a running server read.
    changed: bool,
}

/// A server that takes connections.
struct Running {
    postmaster: Postmaster,
    port: u16,
    socket_dir: PathBuf,
    adopted: bool,
    port_was_taken: bool,
}

impl Prepared {
    fn new(options: &ManagedOptions) -> Result<Self, ClusterError> {
        let data_dir = place::make_data_dir(&options.data_dir)?;
        // Before anything else is touched: the rest belongs to whoever holds the lock.
        let lock = DataLock::take(&data_dir)?;
        let place = Place::prepare(options, data_dir)?;
        let conf = settings::render(&options.settings, options.throwaway, &place.pgdata)?;
        let password = initdb::password(&place)?;
        let created = !place.pgdata.join("PG_VERSION").exists();
        initdb::ensure(&place, &password, options.throwaway)?;
        let changed = write_if_changed(&place, settings::FILE, &conf)?;
        let changed = write_if_changed(&place, settings::HBA_FILE, settings::HBA)? || changed;
        // A server that runs as another user than the wanted one must not go on.
        let changed = changed || place.belongs_to_another()?;
        Ok(Self { place, password, lock, created, changed })
    }

    fn admin(&self) -> Login {
        Login { role: SUPERUSER.to_owned(), password: Some(self.password.clone()) }
    }

    async fn run(&self, wanted_port: u16) -> Result<Running, ClusterError> {
        if let Some(running) = self.adopt().await? {
            return Ok(running);
        }
        if self.place.belongs_to_another()? {
            self.place.hand_over_all(&self.place.pgdata)?;
        }
        let data_dir = &self.place.data_dir;
        let preferred = port::preferred(data_dir, wanted_port);
        let mut port = port::free(preferred, wanted_port)?;
        loop {
            match launch(&self.place, &self.admin(), port).await {
                Ok(postmaster) => {
                    port::remember(data_dir, wanted_port, port);
                    return Ok(Running {
                        postmaster,
                        port,
                        socket_dir: self.place.socket_dir.clone(),
                        adopted: false,
                        port_was_taken: preferred != 0 && preferred != port,
                    });
                }
                // Someone was faster than our look at the port.
                Err(ClusterError::Start { tail, .. })
                    if tail.contains("could not create any TCP/IP sockets") =>
                {
                    let remembered = port == preferred && port != wanted_port;
                    let next = if remembered { wanted_port } else { port.saturating_add(1) };
                    port = port::next_free(if wanted_port == 0 { 0 } else { next }, wanted_port)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes over the server that runs in the data folder, if one does and it has our configuration; else ends it.
    async fn adopt(&self) -> Result<Option<Running>, ClusterError> {
        let pgdata = &self.place.pgdata;
        let Some(found) = PidFile::read(pgdata) else { return Ok(None) };
        if !postmaster::serves(found.pid, pgdata) {
            return Ok(None);
        }
        let mut postmaster = Postmaster::adopted(found.pid, pgdata);
        if self.changed {
            tracing::info!(
                postgres.pid = found.pid,
                "the configuration has changed; restarting PostgreSQL"
            );
            return stop(&mut postmaster).await.map(|()| None);
        }
        let Some((connection, found)) = self.greet(&mut postmaster).await? else { return Ok(None) };
        let row =
            connection.query_one("show data_directory", &[]).await.map_err(ClusterError::Query)?;
        connection.close().await;
        if Path::new(row.get::<_, &str>(0)) != pgdata {
            return Err(self.stranger(found.pid));
        }
        Ok(Some(Running {
            postmaster,
            port: found.port,
            socket_dir: found.socket_dir,
            adopted: true,
            port_was_taken: false,
        }))
    }

    /// Connects to the found server, which may be starting or ending; `None` when it has ended.
    async fn greet(
        &self,
        postmaster: &mut Postmaster,
    ) -> Result<Option<(Connection, PidFile)>, ClusterError> {
        let deadline = Instant::now() + START_TIMEOUT;
        while postmaster.is_alive() && Instant::now() < deadline {
            if let Some(found) = PidFile::read(&self.place.pgdata).filter(|found| found.ready) {
                let host = Host::Unix(found.socket_dir.clone());
                let endpoint = Endpoint::of_this_machine(host, found.port, self.admin());
                match endpoint.connect("postgres").await {
                    Ok(connection) => return Ok(Some((connection, found))),
                    Err(error) if error.sqlstate() == Some(sqlstate::INVALID_PASSWORD) => {
                        return Err(self.stranger(found.pid));
                    }
                    Err(error) if error.is_transient() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            sleep(POLL).await;
        }
        if postmaster.is_alive() {
            return Err(not_ready(&self.place, postmaster.pid()));
        }
        Ok(None)
    }

    fn stranger(&self, pid: i32) -> ClusterError {
        ClusterError::Stranger {
            pid,
            pgdata: self.place.pgdata.clone(),
            file: self.place.password_file(),
        }
    }
}

fn write_if_changed(place: &Place, name: &str, text: &str) -> Result<bool, ClusterError> {
    let path = place.pgdata.join(name);
    if fs::read_to_string(&path).is_ok_and(|found| found == text) {
        return Ok(false);
    }
    place.write(&path, text).map(|()| true)
}

fn report(
    place: &Place,
    options: &ManagedOptions,
    running: &Running,
    created: bool,
) -> ManagedReport {
    let copied = place.binaries.bin() != options.binaries.bin();
    ManagedReport {
        adopted: running.adopted,
        created,
        version: place.binaries.version().to_owned(),
        user: place.account.as_ref().map(|account| account.name.clone()),
        pgdata: place.pgdata.clone(),
        data_moved: place.base != place.data_dir,
        copied_binaries: copied.then(|| place.binaries.bin().to_owned()),
        log: place.log.clone(),
        port: running.port,
        port_was_taken: running.port_was_taken,
    }
}
