//! Starting and ending the server process, and what its log says when that fails.

use std::fs;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use plinth_wire::Host;
use tokio::time::sleep;

use super::ClusterError;
use super::account::Account;
use super::place::{Place, file_error};
use super::postmaster::{self, PidFile, Postmaster};
use crate::connection::{Endpoint, Login};

/// How long the last processes of a killed server may take to leave its shared memory.
const ORPHANS_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a fast shutdown may take before it becomes an immediate one.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// A log larger than this is set aside at start; one older log is kept.
const LOG_MAX_BYTES: u64 = 16 << 20;
/// How much of the log an error quotes.
const LOG_TAIL_LINES: usize = 12;
/// How long a server may take to be ready; recovery after a crash is the long case.
pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long an immediate shutdown may take.
pub(crate) const QUIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a process is looked at that starts or ends.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// Starts the server, which must not run, and waits until it takes connections.
pub(crate) async fn launch(
    place: &Place,
    admin: &Login,
    port: u16,
) -> Result<Postmaster, ClusterError> {
    remove_remains(place, port)?;
    let orphans_deadline = Instant::now() + ORPHANS_TIMEOUT;
    loop {
        match launch_once(place, admin, port).await {
            // The processes of a server that was killed notice it one by one.
            Err(ClusterError::Start { tail, .. })
                if tail.contains("pre-existing shared memory block")
                    && Instant::now() < orphans_deadline =>
            {
                sleep(POLL * 10).await;
            }
            launched => return launched,
        }
    }
}

async fn launch_once(place: &Place, admin: &Login, port: u16) -> Result<Postmaster, ClusterError> {
    let log_from = rotate_log(place)?;
    let mut postmaster = spawn(place, port)?;
    let deadline = Instant::now() + START_TIMEOUT;
    let endpoint =
        Endpoint::of_this_machine(Host::Unix(place.socket_dir.clone()), port, admin.clone());
    loop {
        if !postmaster.is_alive() {
            return Err(ClusterError::Start {
                log: place.log.clone(),
                tail: log_tail(&place.log, log_from),
            });
        }
        let file = PidFile::read(&place.pgdata);
        if file.is_some_and(|file| file.pid == postmaster.pid() && file.ready) {
            match endpoint.connect("postgres").await {
                Ok(connection) => {
                    connection.close().await;
                    return Ok(postmaster);
                }
                Err(error) if error.is_transient() => {}
                Err(error) => {
                    let _ = stop(&mut postmaster).await;
                    return Err(error.into());
                }
            }
        }
        if Instant::now() > deadline {
            let _ = stop(&mut postmaster).await;
            return Err(not_ready(place, postmaster.pid()));
        }
        sleep(POLL).await;
    }
}

/// Removes the files by which a server that was killed would be taken for alive: PostgreSQL does not start beside a pid
/// file or a socket's lock file whose number is some process of its user now, be it a dead one that nobody waits for.
fn remove_remains(place: &Place, port: u16) -> Result<(), ClusterError> {
    let found = PidFile::read(&place.pgdata);
    if found.as_ref().is_some_and(|found| postmaster::serves(found.pid, &place.pgdata)) {
        return Ok(());
    }
    if let Some(found) = found {
        tracing::info!(postgres.pid = found.pid, "removing the pid file of a server that ended");
    }
    // Without a pid file too: a start that failed beside the socket's lock took the pid file along.
    let socket = place.socket_dir.join(format!(".s.PGSQL.{port}"));
    let lock = place.socket_dir.join(format!(".s.PGSQL.{port}.lock"));
    for path in [PidFile::path(&place.pgdata), lock, socket] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(file_error(&path))?,
        }
    }
    Ok(())
}

fn spawn(place: &Place, port: u16) -> Result<Postmaster, ClusterError> {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&place.log)
        .map_err(file_error(&place.log))?;
    let error_log = log.try_clone().map_err(file_error(&place.log))?;
    let mut command = place.binaries.command("postgres");
    command
        .arg("-D")
        .arg(&place.pgdata)
        .args(["-p", &port.to_string()])
        .arg("-k")
        .arg(&place.socket_dir)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(error_log)
        // Ctrl-C in the terminal is for Plinth, which stops the server in good order.
        .process_group(0);
    Account::apply(place.account.as_ref(), &mut command);
    let child =
        command.spawn().map_err(|source| ClusterError::Spawn { program: "postgres", source })?;
    Ok(Postmaster::started(child))
}

pub(crate) async fn stop(postmaster: &mut Postmaster) -> Result<(), ClusterError> {
    let failed = |_| ClusterError::WontStop(postmaster.pid());
    postmaster.stop_fast().map_err(failed)?;
    if ended(postmaster, STOP_TIMEOUT).await {
        return Ok(());
    }
    tracing::warn!(
        postgres.pid = postmaster.pid(),
        "PostgreSQL does not end in time; ending it at once"
    );
    let failed = |_| ClusterError::WontStop(postmaster.pid());
    postmaster.stop_immediately().map_err(failed)?;
    if ended(postmaster, QUIT_TIMEOUT).await {
        Ok(())
    } else {
        Err(ClusterError::WontStop(postmaster.pid()))
    }
}

async fn ended(postmaster: &mut Postmaster, wait: Duration) -> bool {
    let deadline = Instant::now() + wait;
    while postmaster.is_alive() {
        if Instant::now() > deadline {
            return false;
        }
        sleep(POLL).await;
    }
    true
}

/// Sets a large log aside; returns where the lines of the coming start begin.
fn rotate_log(place: &Place) -> Result<u64, ClusterError> {
    let length = fs::metadata(&place.log).map_or(0, |meta| meta.len());
    if length <= LOG_MAX_BYTES {
        return Ok(length);
    }
    let older = place.log.with_extension("log.1");
    fs::rename(&place.log, &older).map_err(file_error(&place.log)).map(|()| 0)
}

fn log_tail(log: &Path, from: u64) -> String {
    let read = || -> io::Result<String> {
        let mut file = fs::File::open(log)?;
        file.seek(io::SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(LOG_MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|error| format!("(not readable: {error})"));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}

pub(crate) fn not_ready(place: &Place, pid: i32) -> ClusterError {
    ClusterError::NotReady { pid, log: place.log.clone(), tail: log_tail(&place.log, 0) }
}
