//! The cluster's configuration: our defaults below the operator's wishes, in one file that is rewritten at each start.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::ClusterError;

/// Name of our configuration file in the data folder; `postgresql.conf` includes it.
pub(crate) const FILE: &str = "plinth.conf";
/// Name of our access rules in the data folder.
pub(crate) const HBA_FILE: &str = "plinth_hba.conf";
/// Passwords everywhere, on the socket too. `listen_addresses` says who can come at all.
pub(crate) const HBA: &str = "# Written by Plinth. Setting `hba_file` takes another file instead.\n\
    local all all scram-sha-256\n\
    host all all all scram-sha-256\n\
    local replication all scram-sha-256\n\
    host replication all all scram-sha-256\n";

/// What a laptop can spare and Plinth needs.
const DEFAULTS: [(&str, &str); 30] = [
    // Access.
    ("listen_addresses", "127.0.0.1"),
    ("password_encryption", "scram-sha-256"),
    ("unix_socket_permissions", "0700"),
    // Replication: realtime and work read the log, with one slot per instance and project that has realtime or much work.
    ("max_replication_slots", "64"),
    ("max_slot_wal_keep_size", "4GB"),
    ("max_wal_senders", "32"),
    ("wal_level", "logical"),
    // Memory. Buffers cost what is read, not what is allowed.
    ("effective_cache_size", "1GB"),
    ("maintenance_work_mem", "64MB"),
    ("max_connections", "100"),
    ("shared_buffers", "64MB"),
    ("shared_preload_libraries", "pg_stat_statements"),
    ("work_mem", "4MB"),
    // Work in the background.
    ("autovacuum_max_workers", "2"),
    ("autovacuum_vacuum_scale_factor", "0.1"),
    ("checkpoint_timeout", "15min"),
    ("max_parallel_workers", "2"),
    ("max_worker_processes", "4"),
    ("max_wal_size", "1GB"),
    // Planning: short queries on fast disks.
    ("jit", "off"),
    ("random_page_cost", "1.1"),
    // The log tells of the server's own affairs. Errors of statements go to who sent them: they may quote rows.
    ("log_checkpoints", "off"),
    ("log_destination", "stderr"),
    ("log_line_prefix", "%m [%p] %q%u@%d "),
    ("log_min_error_statement", "panic"),
    ("log_min_messages", "log"),
    ("log_parameter_max_length", "0"),
    ("log_timezone", "UTC"),
    ("timezone", "UTC"),
    ("cluster_name", "plinth"),
];

/// For clusters that nobody will miss.
const THROWAWAY: [(&str, &str); 4] = [
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("synchronous_commit", "off"),
    ("max_wal_size", "4GB"),
];

/// Settings that Plinth itself decides at each start.
const RESERVED: [&str; 5] =
    ["port", "unix_socket_directories", "data_directory", "config_file", "external_pid_file"];

/// The text of [`FILE`].
///
/// # Errors
///
/// [`ClusterError::Setting`] if `wishes` names a reserved setting or something that is no name.
pub(crate) fn render(
    wishes: &BTreeMap<String, String>,
    throwaway: bool,
    pgdata: &Path,
) -> Result<String, ClusterError> {
    // Not relative: the server would look for it where it was started.
    let hba_file = pgdata.join(HBA_FILE);
    let hba_file = hba_file.to_string_lossy();
    let mut all: BTreeMap<&str, &str> = DEFAULTS.into_iter().collect();
    all.insert("hba_file", &hba_file);
    if throwaway {
        all.extend(THROWAWAY);
    }
    for (name, value) in wishes {
        if RESERVED.contains(&name.as_str()) {
            return Err(ClusterError::Setting { name: name.clone(), why: "Plinth decides it" });
        }
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        if name.is_empty() || !name.chars().all(word) {
            return Err(ClusterError::Setting {
                name: name.clone(),
                why: "that is no name of a setting",
            });
        }
        if value.contains(['\n', '\r', '\0']) {
            return Err(ClusterError::Setting {
                name: name.clone(),
                why: "its value has more than one line",
            });
        }
        all.insert(name, value);
    }
    let mut text = String::from(
        "# Written by Plinth at each start. Change settings in Plinth's configuration.\n",
    );
    for (name, value) in all {
        let quoted = value.replace('\\', "\\\\").replace('\'', "''");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} = '{quoted}'");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(name: &str, value: &str) -> Result<String, ClusterError> {
        render(&BTreeMap::from([(name.to_owned(), value.to_owned())]), false, Path::new("/data"))
    }

    #[test]
    fn wishes_override_defaults() {
        let text = wish("shared_buffers", "2GB").unwrap();
        assert!(text.contains("shared_buffers = '2GB'"));
        assert_eq!(text.matches("shared_buffers").count(), 1);
        assert!(text.contains("wal_level = 'logical'"));
    }

    #[test]
    fn values_cannot_leave_their_line_or_quotes() {
        assert!(wish("work_mem", "1MB'\nfsync = off").is_err());
        assert!(wish("search_path", "it's \\").unwrap().contains("search_path = 'it''s \\\\'"));
    }

    #[test]
    fn what_plinth_decides_cannot_be_wished() {
        for name in ["port", "unix_socket_directories", "", "a b", "x='1'"] {
            assert!(wish(name, "1").is_err(), "{name}");
        }
    }

    #[test]
    fn throwaway_clusters_do_not_wait_for_the_disk() {
        assert!(
            render(&BTreeMap::new(), true, Path::new("/data")).unwrap().contains("fsync = 'off'")
        );
        assert!(!render(&BTreeMap::new(), false, Path::new("/data")).unwrap().contains("fsync"));
    }
}
