//! A project's SQL on disk, in the layout of Supabase's CLI or of a blueprint.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::MigrateError;
use super::glob;
use crate::digest::sha256_hex;

/// Longest name of a new migration, in characters, below what file systems allow.
const NAME_MAX: usize = 120;

/// One SQL file, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SqlFile {
    pub(crate) path: PathBuf,
    pub(crate) sql: String,
}

/// One migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationFile {
    /// The digits that its name begins with.
    pub version: String,
    /// The rest of its name, without `.sql`.
    pub name: String,
    pub(crate) file: SqlFile,
}

impl MigrationFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Its text.
    pub fn sql(&self) -> &str {
        &self.file.sql
    }
}

/// One seed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedFile {
    /// The name it is recorded by, such as `supabase/seed.sql`.
    pub name: String,
    pub(crate) file: SqlFile,
}

impl SeedFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// SHA-256 of its content in hexadecimal.
    pub(crate) fn hash(&self) -> String {
        sha256_hex(&self.file.sql)
    }
}

/// Migrations and seeds of one project, read into memory.
#[derive(Clone, Debug)]
pub struct MigrationFolder {
    migrations: Vec<MigrationFile>,
    seeds: Vec<SeedFile>,
    settings: Vec<(&'static str, String)>,
    sign_in: Option<PathBuf>,
    notices: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    api: ApiConfig,
    #[serde(default)]
    db: DbConfig,
    auth: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct ApiConfig {
    schemas: Option<Vec<String>>,
    extra_search_path: Option<Vec<String>>,
    max_rows: Option<u64>,
}

impl ApiConfig {
    /// As settings of the database that the data API reads.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let names = |list: &Option<Vec<String>>| list.as_ref().map(|names| names.join(", "));
        [
            // The first is the default, so a list of none would be no answer.
            ("pgrst.db_schemas", names(&self.schemas).filter(|schemas| !schemas.is_empty())),
            ("pgrst.db_extra_search_path", names(&self.extra_search_path)),
            ("pgrst.db_max_rows", self.max_rows.map(|rows| rows.to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

#[derive(Default, Deserialize)]
struct DbConfig {
    #[serde(default)]
    migrations: Switch,
    #[serde(default)]
    seed: SeedConfig,
}

#[derive(Default, Deserialize)]
struct Switch {
    enabled: Option<bool>,
}

#[derive(Default, Deserialize)]
struct SeedConfig {
    enabled: Option<bool>,
    sql_paths: Option<Vec<String>>,
}

impl MigrationFolder {
    /// Reads the project at `path`: a folder with `supabase/`, the `supabase/` folder itself, a blueprint, or any folder
    /// with `migrations/`. Files that are no migrations are skipped with a notice.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] if there is no such folder, or something in it cannot be read or is ambiguous.
    pub fn open(path: &Path) -> Result<Self, MigrateError> {
        let root = find_root(path).ok_or_else(|| MigrateError::NoFolder(path.to_owned()))?;
        let config_file = root.join("config.toml");
        let config = read_config(&config_file)?;
        let mut folder = Self {
            migrations: Vec::new(),
            seeds: Vec::new(),
            settings: config.api.settings(),
            sign_in: config.auth.map(|_| config_file),
            notices: Vec::new(),
        };
        if config.db.migrations.enabled == Some(false) {
            folder.notices.push(
                "migrations are switched off in config.toml ([db.migrations] enabled = false)"
                    .to_owned(),
            );
        } else {
            folder.read_migrations(&root.join("migrations"))?;
        }
        folder.read_seeds(&root, &config.db.seed)?;
        if root.join("roles.sql").exists() {
            let why = "roles are shared by all projects of a cluster; create them by hand";
            folder.notices.push(format!("{} is skipped: {why}", root.join("roles.sql").display()));
        }
        Ok(folder)
    }

    /// The migrations, in the order of their file names.
    pub fn migrations(&self) -> &[MigrationFile] {
        &self.migrations
    }

    /// The seed files, in the order they are applied.
    pub fn seeds(&self) -> &[SeedFile] {
        &self.seeds
    }

    /// Names and values of settings of the database, from `[api]` in `config.toml`.
    pub(crate) fn settings(&self) -> &[(&'static str, String)] {
        &self.settings
    }

    /// The `config.toml` that has settings of sign-in: a migration does not change these.
    pub fn sign_in(&self) -> Option<&Path> {
        self.sign_in.as_deref()
    }

    /// What was skipped and why, for the operator.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    fn read_migrations(&mut self, folder: &Path) -> Result<(), MigrateError> {
        for path in list(folder)? {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            match parse_name(&name) {
                Some((version, name)) => {
                    let (version, name) = (version.to_owned(), name.to_owned());
                    self.migrations.push(MigrationFile { version, name, file: read(path)? });
                }
                None if name.ends_with(".sql") => {
                    let form = "a migration is named <timestamp>_<name>.sql";
                    self.notices.push(format!("{} is skipped: {form}", path.display()));
                }
                None => {}
            }
        }
        let mut versions: Vec<&MigrationFile> = self.migrations.iter().collect();
        versions.sort_by(|a, b| a.version.cmp(&b.version));
        for pair in versions.windows(2) {
            if pair[0].version == pair[1].version {
                let (one, other) = (pair[0].file.path.clone(), pair[1].file.path.clone());
                return Err(MigrateError::Twice { version: pair[0].version.clone(), one, other });
            }
        }
        Ok(())
    }

    fn read_seeds(&mut self, root: &Path, config: &SeedConfig) -> Result<(), MigrateError> {
        if config.enabled == Some(false) {
            return Ok(());
        }
        let usual = ["./seed.sql".to_owned()];
        for pattern in config.sql_paths.as_deref().unwrap_or(&usual) {
            let found = glob::find(root, pattern);
            if found.is_empty() && config.sql_paths.is_some() {
                self.notices.push(format!("no seed file matches `{pattern}` of config.toml"));
            }
            for path in found {
                let name = recorded_name(root, &path);
                if self.seeds.iter().all(|seed| seed.name != name) {
                    self.seeds.push(SeedFile { name, file: read(path)? });
                }
            }
        }
        Ok(())
    }
}

/// Makes an empty migration named `<now>_<name>.sql` in the project at `root`, and the folders around it.
///
/// # Errors
///
/// [`MigrateError`] if the name has no letter or digit, or the file cannot be made.
pub fn new_file(root: &Path, name: &str) -> Result<PathBuf, MigrateError> {
    let plain = plain_name(name).ok_or_else(|| MigrateError::Name(name.to_owned()))?;
    let folder = find_root(root).unwrap_or_else(|| root.to_owned()).join("migrations");
    let failed = |path: &Path, source| MigrateError::File { path: path.to_owned(), source };
    fs::create_dir_all(&folder).map_err(|source| failed(&folder, source))?;
    let mut second = Timestamp::now();
    loop {
        let version = second.strftime("%Y%m%d%H%M%S").to_string();
        let taken = list(&folder)?.iter().any(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&version))
        });
        if !taken {
            let path = folder.join(format!("{version}_{plain}.sql"));
            fs::File::create_new(&path).map_err(|source| failed(&path, source))?;
            return Ok(path);
        }
        second += jiff::SignedDuration::from_secs(1);
    }
}

/// The folder that holds `migrations/`, for any of the places that people name.
fn find_root(path: &Path) -> Option<PathBuf> {
    let is_root = |folder: &Path| {
        let marks = ["migrations", "config.toml", "blueprint.toml"];
        folder.is_dir() && marks.iter().any(|mark| folder.join(mark).exists())
    };
    let inside = path.join("supabase");
    if is_root(&inside) {
        return Some(inside);
    }
    if is_root(path) {
        return Some(path.to_owned());
    }
    let is_migrations = path.file_name().is_some_and(|name| name == "migrations") && path.is_dir();
    path.parent().filter(|_| is_migrations).map(Path::to_owned)
}

/// `^([0-9]+)_(.*)\.sql$`
fn parse_name(file: &str) -> Option<(&str, &str)> {
    let (version, name) = file.strip_suffix(".sql")?.split_once('_')?;
    let digits = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some((version, name))
}

fn plain_name(name: &str) -> Option<String> {
    let mut plain = String::new();
    for character in name.chars().flat_map(char::to_lowercase).take(NAME_MAX) {
        if character.is_alphanumeric() {
            plain.push(character);
        } else if !plain.is_empty() && !plain.ends_with('_') {
            plain.push('_');
        }
    }
    let plain = plain.trim_end_matches('_');
    (!plain.is_empty()).then(|| plain.to_owned())
}

/// The files of a folder by name; none when it is not there.
fn list(folder: &Path) -> Result<Vec<PathBuf>, MigrateError> {
    let failed = |source| MigrateError::File { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: PathBuf) -> Result<SqlFile, MigrateError> {
    match fs::read_to_string(&path) {
        Ok(sql) => {
            // A byte order mark is a habit of editors, and a syntax error to PostgreSQL.
            let sql = sql.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(sql);
            Ok(SqlFile { path, sql })
        }
        Err(source) => Err(MigrateError::File { path, source }),
    }
}

fn read_config(path: &Path) -> Result<Config, MigrateError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Config::default()),
        Err(source) => return Err(MigrateError::File { path: path.to_owned(), source }),
    };
    toml::from_str(&text)
        .map_err(|source| MigrateError::Config { path: path.to_owned(), source: Box::new(source) })
}

/// Relative to the folder that people run the CLI in, as Supabase's CLI records it.
fn recorded_name(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    if root.file_name().is_some_and(|name| name == "supabase") {
        format!("supabase/{inside}")
    } else {
        inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_is_named_by_digits_and_text() {
        assert_eq!(parse_name("20240101000000_init.sql"), Some(("20240101000000", "init")));
        assert_eq!(parse_name("1_.sql"), Some(("1", "")));
        for wrong in [
            "init.sql",
            "_init.sql",
            "20240101.sql",
            "2024a_x.sql",
            "20240101_x.sql.bak",
            "1_x.SQL",
        ] {
            assert_eq!(parse_name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_name_of_a_new_migration_is_reduced_to_a_file_name() {
        assert_eq!(plain_name("Add users / teams!").as_deref(), Some("add_users_teams"));
        assert_eq!(plain_name("../../etc/passwd").as_deref(), Some("etc_passwd"));
        assert_eq!(plain_name(" -- "), None);
    }
}
