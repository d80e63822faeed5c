//! What `/proc` says of Plinth and of the PostgreSQL that it started.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};

/// Memory in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Resident set of Plinth.
    pub(crate) plinth_rss: u64,
    /// Proportional set of Plinth.
    pub(crate) plinth_pss: u64,
    /// Proportional sets of PostgreSQL's processes together.
    pub(crate) postgres_pss: u64,
}

/// Reads the memory of `process` and of all its descendants, which are PostgreSQL.
pub(crate) fn of_process_tree(process: u32) -> Result<Memory> {
    let mut memory = Memory {
        plinth_rss: field(process, "Rss:")?,
        plinth_pss: field(process, "Pss:")?,
        postgres_pss: 0,
    };
    for descendant in descendants(process)? {
        // A backend may have ended since the listing.
        memory.postgres_pss += field(descendant, "Pss:").unwrap_or(0);
    }
    Ok(memory)
}

/// The resident set of this process, in bytes.
pub(crate) fn of_this_process() -> Result<u64> {
    field(std::process::id(), "Rss:")
}

/// The folder of the socket that PostgreSQL, started by `process`, listens on: its option `-k`.
pub(crate) fn socket_folder(process: u32) -> Result<String> {
    for descendant in descendants(process)? {
        let command = fs::read_to_string(format!("/proc/{descendant}/cmdline")).unwrap_or_default();
        let mut arguments = command.split('\0').skip_while(|argument| *argument != "-k");
        if let Some(folder) = arguments.nth(1) {
            return Ok(folder.to_owned());
        }
    }
    anyhow::bail!("no PostgreSQL below process {process}")
}

fn field(process: u32, name: &str) -> Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let line = rollup.lines().find(|line| line.starts_with(name)).context("no such field")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no value")?.parse()?;
    Ok(kib * 1024)
}

/// Every process below `root`.
pub(crate) fn descendants(root: u32) -> Result<Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(parent) = parent_of(process) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(process) = open.pop() {
        let of_process = children.remove(&process).unwrap_or_default();
        open.extend(&of_process);
        found.extend(of_process);
    }
    Ok(found)
}

fn parent_of(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The command's name stands in parentheses and may hold anything.
    stat.rsplit_once(") ")?.1.split_whitespace().nth(1)?.parse().ok()
}
