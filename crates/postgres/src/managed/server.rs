//! Starting and ending the server process, and what its log says when that fails.

use std::fs;
use std::io::{self, Read as _, Seek as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use plinth_wire::Host;
use tokio::time::sleep;

use super::ClusterError;
use super::account::Account;
use super::place::{Place, file_error};
use super::postmaster::{PidFile, Postmaster};
use crate::connection::{Endpoint, Login};

/// How many ports after the preferred one are tried.
const PORTS_TRIED: u16 = 100;
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

/// Starts the server and waits until it takes connections.
pub(crate) async fn launch(
    place: &Place,
    admin: &Login,
    port: u16,
) -> Result<Postmaster, ClusterError> {
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
        Endpoint { host: Host::Unix(place.socket_dir.clone()), port, admin: admin.clone() };
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

/// The first free port from `from` on, or any when it is 0.
pub(crate) fn free_port(from: u16, wanted: u16) -> Result<u16, ClusterError> {
    let last = wanted.saturating_add(PORTS_TRIED);
    let bind = |port| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| listener.local_addr())
    };
    let mut candidates = if from == 0 { 0..=0 } else { from..=last };
    candidates
        .find_map(|port| bind(port).ok())
        .map(|address| address.port())
        .ok_or(ClusterError::NoPort(wanted, last))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_gives_the_next_free_one() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        if port < u16::MAX {
            assert!(free_port(port, port).unwrap() > port);
        }
        assert_ne!(free_port(0, 0).unwrap(), 0);
    }
}
