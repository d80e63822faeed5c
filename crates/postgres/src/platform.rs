//! The schema that every project has: roles, `auth`, `storage`, `realtime`, grants. The SQL is in `platform/`.

use crate::numbered::File;

/// Roles of the whole cluster; applied at every start, and written to change nothing when nothing has to.
pub(crate) const CLUSTER: &str = include_str!("platform/cluster.sql");

macro_rules! files {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(File { file: concat!($name, ".sql"), sql: include_str!(concat!($folder, "/", $name, ".sql")) }),*]
    };
}
pub(crate) use files;

/// The files of a project's database, in order.
pub(crate) const FILES: &[File] = files!["platform":
    "0001_schemas",
    "0002_extensions",
    "0003_auth",
    "0004_storage",
    "0005_realtime",
    "0006_catalog_events",
    "0007_guard",
    "0008_settings",
    "0009_storage_listing",
    "0010_login_settings",
    "0011_auth_schemas",
    "0012_auth_lists",
    "0013_auth_totp",
    "0014_provider_tokens",
    "0015_work",
    "0016_hooks",
    "0017_messages",
    "0018_steps",
    "0019_sealed",
    "0020_limits",
    "0021_runs",
    "0022_messages",
    "0023_moddatetime",
    "0024_looks",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Databases remember what they were made with: one that has a file of another text cannot be brought up to date.
    #[test]
    fn no_file_that_databases_have_was_changed() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        for (folder, files) in [("platform", FILES), ("control", crate::registry::CONTROL_FILES)] {
            let sums = std::fs::read_to_string(format!("{source}/{folder}/SHA256SUMS")).unwrap();
            let now: String = files.iter().map(File::sum).collect();
            assert_eq!(
                now, sums,
                "write a new file in {folder}/ and add its line: see platform/README.md"
            );
        }
    }

    #[test]
    fn every_file_in_the_folder_is_in_the_binary_and_in_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/platform");
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".sql") && name != "cluster.sql")
            .collect();
        found.sort();
        assert_eq!(FILES.iter().map(|file| file.file).collect::<Vec<_>>(), found);
    }
}
