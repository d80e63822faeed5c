//! The loopback port: the one of last time, so that a saved URL stays right, else the next that is free.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use super::ClusterError;

/// How many ports after the preferred one are tried.
const PORTS_TRIED: u16 = 100;

/// The port to try first: that of the last start with the same wish, else the wish itself.
pub(crate) fn preferred(data_dir: &Path, wanted: u16) -> u16 {
    let text = fs::read_to_string(file(data_dir)).unwrap_or_default();
    let numbers: Vec<u16> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
    match numbers[..] {
        [then, port] if then == wanted && port != 0 => port,
        _ => wanted,
    }
}

/// Remembers which port a wish led to.
pub(crate) fn remember(data_dir: &Path, wanted: u16, port: u16) {
    let path = file(data_dir);
    // Without the memory the next start may be on another port, which is no reason not to start now.
    if let Err(error) = fs::write(&path, format!("{wanted} {port}\n")) {
        tracing::warn!(file = %path.display(), error = %error, "cannot remember PostgreSQL's port");
    }
}

/// `preferred` if it is free, else the first free port from `wanted` on, or any when that is 0.
pub(crate) fn free(preferred: u16, wanted: u16) -> Result<u16, ClusterError> {
    if preferred != 0 && bind(preferred).is_some() {
        return Ok(preferred);
    }
    next_free(wanted, wanted)
}

/// The first free port from `from` on, or any when it is 0; `wanted` says how far to look.
pub(crate) fn next_free(from: u16, wanted: u16) -> Result<u16, ClusterError> {
    let last = wanted.saturating_add(PORTS_TRIED);
    let mut candidates = if from == 0 { 0..=0 } else { from..=last };
    candidates.find_map(bind).ok_or(ClusterError::NoPort(wanted, last))
}

fn bind(port: u16) -> Option<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    listener.local_addr().ok().map(|address| address.port())
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres.port")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_gives_the_next_free_one() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        if port < u16::MAX {
            assert!(free(port, port).unwrap() > port);
        }
        assert_ne!(free(0, 0).unwrap(), 0);
    }

    #[test]
    fn the_memory_is_of_one_wish_and_nonsense_is_none() {
        let folder = std::env::temp_dir().join(format!("plinth-port-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(preferred(&folder, 54322), 54322, "nothing is remembered yet");
        remember(&folder, 54322, 54325);
        assert_eq!(preferred(&folder, 54322), 54325);
        assert_eq!(preferred(&folder, 6000), 6000, "another port is wanted now");
        for text in ["", "54322", "54322 x", "54322 70000", "54322 0", "54322 1 2"] {
            fs::write(file(&folder), text).unwrap();
            assert_eq!(preferred(&folder, 54322), 54322, "{text}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
