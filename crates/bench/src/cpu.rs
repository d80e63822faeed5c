//! Processor time of the three parties, from `/proc`.

use std::fs;
use std::ops::Sub;
use std::path::Path;

use anyhow::{Context, Result};

use crate::memory::descendants;

/// Microseconds of a clock tick: `/proc` counts in `USER_HZ`, which is 100 on every Linux.
const TICK_MICROS: u64 = 10_000;

/// Processor time in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    /// Of this process and of those it started and saw end: whoever makes the load.
    pub(crate) load: u64,
    /// Of Plinth, or of the peer that was measured in its place.
    pub(crate) plinth: u64,
    /// Of the threads of Plinth that hash passwords, which is part of `plinth`.
    pub(crate) hashing: u64,
    /// Of PostgreSQL's processes together, those that ended included.
    pub(crate) postgres: u64,
}

impl Cpu {
    /// What was used since the processes began; `plinth` and its descendants, which are PostgreSQL.
    pub(crate) fn so_far(plinth: u32) -> Result<Self> {
        let own = times(std::process::id())?;
        let mut cpu = Self {
            load: own.own + own.ended,
            plinth: times(plinth)?.own,
            hashing: hashing(plinth)?,
            postgres: 0,
        };
        for descendant in descendants(plinth)? {
            // A backend that ended since the listing is counted with its parent the next time.
            let of_process = times(descendant).unwrap_or_default();
            cpu.postgres += of_process.own + of_process.ended;
        }
        Ok(cpu)
    }

    /// The same with the processes of a peer in Plinth's place.
    pub(crate) fn with_peer(plinth: u32, peer: u32) -> Result<Self> {
        let mut cpu = Self { plinth: times(peer)?.own, ..Self::so_far(plinth)? };
        for worker in descendants(peer)? {
            cpu.plinth += times(worker)?.own;
        }
        Ok(cpu)
    }

    /// Of this process and of a PostgreSQL that it does not count among its own, by the process id of its postmaster.
    pub(crate) fn of_server(postmaster: u32) -> Result<Self> {
        let own = times(std::process::id())?;
        let mut cpu = Self { load: own.own + own.ended, ..Self::default() };
        for process in std::iter::once(postmaster).chain(descendants(postmaster)?) {
            // A backend that ended since the listing is counted with its parent the next time.
            let of_process = times(process).unwrap_or_default();
            cpu.postgres += of_process.own + of_process.ended;
        }
        Ok(cpu)
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.load += more.load;
        self.plinth += more.plinth;
        self.hashing += more.hashing;
        self.postgres += more.postgres;
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            load: self.load.saturating_sub(earlier.load),
            plinth: self.plinth.saturating_sub(earlier.plinth),
            hashing: self.hashing.saturating_sub(earlier.hashing),
            postgres: self.postgres.saturating_sub(earlier.postgres),
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Times {
    own: u64,
    /// Of children that ended and were waited for.
    ended: u64,
}

/// Of the threads that hash passwords: their names say so.
fn hashing(process: u32) -> Result<u64> {
    let mut micros = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let path = thread?.path();
        // A thread may have ended since the listing.
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
        if name.starts_with("password-") {
            micros += times_in(&path).unwrap_or_default().own;
        }
    }
    Ok(micros)
}

fn times(process: u32) -> Result<Times> {
    times_in(Path::new(&format!("/proc/{process}")))
}

/// Of a process or a thread, by its folder.
fn times_in(folder: &Path) -> Result<Times> {
    let stat = fs::read_to_string(folder.join("stat"))?;
    // The command's name stands in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(") ").context("no command name")?;
    // utime, stime, cutime, cstime: fields 14 to 17 of proc(5), the third being the first here.
    let ticks: Vec<u64> =
        fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    let [user, system, ended_user, ended_system] = ticks[..] else {
        anyhow::bail!("no times in {}", folder.display())
    };
    Ok(Times {
        own: (user + system) * TICK_MICROS,
        ended: (ended_user + ended_system) * TICK_MICROS,
    })
}
