//! Making a cluster that is either whole or not there.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use plinth_wire::Secret;

use super::account::Account;
use super::place::{Place, file_error};
use super::settings;
use super::{ClusterError, SUPERUSER};
use crate::keys;

/// Character classification and order of the databases, in order of preference: not every system has the first.
const LOCALES: [&str; 2] = ["C.UTF-8", "C"];

/// The superuser's password, made at the first start.
pub(crate) fn password(place: &Place) -> Result<Secret, ClusterError> {
    let path = place.password_file();
    match fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(Secret::new(text.trim())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(ClusterError::File { path, source }),
    }
    if place.pgdata.join("PG_VERSION").exists() {
        return Err(ClusterError::PasswordLost { path, pgdata: place.pgdata.clone() });
    }
    let password = keys::password().map_err(ClusterError::Key)?;
    write_private(&path, password.expose())?;
    Ok(password)
}

/// Makes the cluster unless it is there, and checks that it is one of these programs' version.
pub(crate) fn ensure(
    place: &Place,
    password: &Secret,
    throwaway: bool,
) -> Result<(), ClusterError> {
    let version_file = place.pgdata.join("PG_VERSION");
    if !version_file.exists() {
        return create(place, password, throwaway);
    }
    let found =
        fs::read_to_string(&version_file).map_err(file_error(&version_file))?.trim().to_owned();
    if found == place.binaries.major().to_string() {
        return Ok(());
    }
    Err(ClusterError::OtherMajor {
        pgdata: place.pgdata.clone(),
        found,
        programs: place.binaries.version().to_owned(),
    })
}

fn create(place: &Place, password: &Secret, throwaway: bool) -> Result<(), ClusterError> {
    // initdb works aside; only the rename makes it the cluster. A folder left by a kill half way is made anew.
    let aside = place.base.join("postgres.new");
    remove(&aside)?;
    fs::DirBuilder::new().mode(0o700).create(&aside).map_err(file_error(&aside))?;
    place.hand_over(&aside)?;
    let mut said = String::new();
    for locale in LOCALES {
        match run(place, &aside, password, locale, throwaway)? {
            Ok(()) => {
                let main = aside.join("postgresql.conf");
                let include = format!("\n# Plinth's settings.\ninclude = '{}'\n", settings::FILE);
                let mut file =
                    fs::OpenOptions::new().append(true).open(&main).map_err(file_error(&main))?;
                file.write_all(include.as_bytes()).map_err(file_error(&main))?;
                return fs::rename(&aside, &place.pgdata).map_err(file_error(&place.pgdata));
            }
            Err(output) => said = output,
        }
    }
    remove(&aside)?;
    Err(ClusterError::Initdb { output: said })
}

fn run(
    place: &Place,
    pgdata: &Path,
    password: &Secret,
    locale: &str,
    throwaway: bool,
) -> Result<Result<(), String>, ClusterError> {
    let password_file = place.base.join("initdb.password");
    write_private(&password_file, password.expose())?;
    place.hand_over(&password_file)?;
    let mut command = place.binaries.command("initdb");
    command
        .arg("--pgdata")
        .arg(pgdata)
        .arg("--pwfile")
        .arg(&password_file)
        .args([
            "--username",
            SUPERUSER,
            "--auth",
            "scram-sha-256",
            "--encoding",
            "UTF8",
            "--data-checksums",
        ])
        .args(["--locale", locale]);
    if throwaway {
        command.arg("--no-sync");
    }
    Account::apply(place.account.as_ref(), &mut command);
    let output = command.output();
    remove(&password_file)?;
    let output = output.map_err(|source| ClusterError::Spawn { program: "initdb", source })?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let text = [output.stdout, output.stderr].concat();
    Ok(Err(String::from_utf8_lossy(&text).trim().to_owned()))
}

/// Writes a file that only its owner may read, whole or not at all.
fn write_private(path: &Path, text: &str) -> Result<(), ClusterError> {
    let aside = path.with_extension("password.new");
    remove(&aside)?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&aside)
        .map_err(file_error(&aside))?;
    writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(file_error(&aside))?;
    fs::rename(&aside, path).map_err(file_error(path))
}

fn remove(path: &Path) -> Result<(), ClusterError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(ClusterError::File { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
