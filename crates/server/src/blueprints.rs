//! Blueprints: folders of SQL that a project is made from. Those of the product are also inside the
//! binary, so that the binary alone can make them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;

/// Blueprints that the binary was built with: name, then files with their text.
const EMBEDDED: &[(&str, &[(&str, &str)])] = include!(concat!(env!("OUT_DIR"), "/blueprints.rs"));

/// Where blueprints are looked for before the binary's own.
const FOLDER: &str = "blueprints";

/// The product's own blueprints in the order in which they are made; the first one answers at the
/// root. Others follow in alphabetical order.
const ORDER: [&str; 5] = ["paradyze", "echelon", "chatbot", "domo", "aethercrown"];

/// Why a blueprint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BlueprintError {
    /// Neither a built-in name nor a folder.
    #[error("there is no blueprint `{0}`; the built-in ones are {names}", names = built_in_names().join(", "))]
    Unknown(String),
    /// The folder has no SQL.
    #[error("{} is no blueprint: it has no folder `migrations`", .0.display())]
    NoMigrations(PathBuf),
    /// `blueprint.toml` cannot be understood.
    #[error("{}", .path.display())]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: toml::de::Error,
    },
    /// A file cannot be read or written.
    #[error("{}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Something to make a project from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blueprint {
    /// Its name, which is also the usual name of its project.
    pub name: String,
    /// One line about it.
    pub title: String,
    manifest: String,
    source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Folder(PathBuf),
    Embedded(&'static [(&'static str, &'static str)]),
}

/// The part of `blueprint.toml` that is used here; the rest belongs to other readers.
#[derive(Deserialize)]
struct Manifest {
    name: Option<String>,
    #[serde(default)]
    title: String,
}

impl Blueprint {
    /// The blueprint of that name, or the one in that folder. A text with a slash in it is a folder.
    ///
    /// # Errors
    ///
    /// [`BlueprintError`] when there is none or it cannot be read.
    pub fn find(name_or_path: &str) -> Result<Self, BlueprintError> {
        let looks_like_path = name_or_path.contains(['/', '.']);
        if !looks_like_path && let Some(found) = Self::built_in(name_or_path)? {
            return Ok(found);
        }
        let path = Path::new(name_or_path);
        if path.is_dir() {
            Self::folder(path)
        } else {
            Err(BlueprintError::Unknown(name_or_path.to_owned()))
        }
    }

    /// The product's blueprints, in their order.
    ///
    /// # Errors
    ///
    /// [`BlueprintError`] when one of them cannot be read.
    pub fn all() -> Result<Vec<Self>, BlueprintError> {
        built_in_names().iter().filter_map(|name| Self::built_in(name).transpose()).collect()
    }

    fn built_in(name: &str) -> Result<Option<Self>, BlueprintError> {
        let folder = Path::new(FOLDER).join(name);
        if folder.join("migrations").is_dir() {
            return Self::folder(&folder).map(Some);
        }
        let Some((name, files)) = EMBEDDED.iter().find(|(known, _)| *known == name) else {
            return Ok(None);
        };
        let manifest =
            files.iter().find(|(path, _)| *path == "blueprint.toml").map(|(_, text)| *text);
        Self::new(name, manifest.unwrap_or_default(), Path::new(name), Source::Embedded(files))
            .map(Some)
    }

    fn folder(path: &Path) -> Result<Self, BlueprintError> {
        if !path.join("migrations").is_dir() {
            return Err(BlueprintError::NoMigrations(path.to_owned()));
        }
        let absolute = path.canonicalize().map_err(file_error(path))?;
        let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let manifest = absolute.join("blueprint.toml");
        let text = match fs::read_to_string(&manifest) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(file_error(&manifest)(error)),
        };
        Self::new(&name, &text, &manifest, Source::Folder(absolute))
    }

    /// What its `blueprint.toml` says; empty without one.
    pub fn manifest(&self) -> &str {
        &self.manifest
    }

    /// Where its manifest is, for people.
    pub fn manifest_place(&self) -> String {
        match &self.source {
            Source::Folder(path) => path.join("blueprint.toml").display().to_string(),
            Source::Embedded(_) => format!("{}/blueprint.toml", self.name),
        }
    }

    fn new(
        name: &str,
        manifest: &str,
        path: &Path,
        source: Source,
    ) -> Result<Self, BlueprintError> {
        let text = manifest.to_owned();
        let manifest: Manifest = toml::from_str(manifest)
            .map_err(|source| BlueprintError::Manifest { path: path.to_owned(), source })?;
        Ok(Self {
            name: manifest.name.unwrap_or_else(|| name.to_owned()),
            title: manifest.title,
            manifest: text,
            source,
        })
    }

    /// The blueprint as a folder, written to a temporary one if it is inside the binary.
    ///
    /// # Errors
    ///
    /// [`BlueprintError::File`] when that cannot be written.
    pub fn unpack(&self) -> Result<Unpacked, BlueprintError> {
        let files = match &self.source {
            Source::Folder(path) => return Ok(Unpacked { path: path.clone(), temporary: false }),
            Source::Embedded(files) => files,
        };
        let path = std::env::temp_dir().join(format!("plinth-blueprint-{}", uuid::Uuid::new_v4()));
        let unpacked = Unpacked { path, temporary: true };
        let migrations = unpacked.path.join("migrations");
        fs::create_dir_all(&migrations).map_err(file_error(&migrations))?;
        for (name, text) in *files {
            let target = unpacked.path.join(name);
            fs::write(&target, text).map_err(file_error(&target))?;
        }
        Ok(unpacked)
    }
}

/// A blueprint on disk. A temporary folder goes when this is dropped.
#[derive(Debug)]
pub struct Unpacked {
    path: PathBuf,
    temporary: bool,
}

impl Unpacked {
    /// The folder with `migrations/` and `seed.sql`.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        if self.temporary {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Names of the built-in blueprints: those in `./blueprints` and those inside the binary.
pub fn built_in_names() -> Vec<String> {
    let on_disk = fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let on_disk = on_disk.filter(|entry| entry.path().join("migrations").is_dir());
    let mut names: Vec<String> =
        on_disk.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.extend(EMBEDDED.iter().map(|(name, _)| (*name).to_owned()));
    let rank = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    names.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.cmp(b)));
    names.dedup();
    names
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> BlueprintError {
    let path = path.to_owned();
    move |source| BlueprintError::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_carries_the_products_blueprints_in_their_order() {
        let names: Vec<&str> = EMBEDDED.iter().map(|(name, _)| *name).collect();
        for name in ORDER {
            assert!(names.contains(&name), "{name} is not in the binary");
        }
        assert_eq!(built_in_names()[..5], ORDER);
    }

    #[test]
    fn what_is_unpacked_is_what_was_embedded_and_goes_away_again() {
        let blueprint = Blueprint::built_in("echelon").unwrap().unwrap();
        let unpacked = blueprint.unpack().unwrap();
        let path = unpacked.path().to_owned();
        let (_, files) = EMBEDDED.iter().find(|(name, _)| *name == "echelon").unwrap();
        assert!(files.iter().any(|(name, _)| name.starts_with("migrations/")));
        for (name, text) in *files {
            assert_eq!(fs::read_to_string(path.join(name)).unwrap(), *text);
        }
        drop(unpacked);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_of_ones_own_is_a_blueprint_when_it_has_migrations() {
        let folder = std::env::temp_dir().join(format!("plinth-own-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&folder).unwrap();
        let text = folder.to_string_lossy().into_owned();
        assert!(matches!(Blueprint::find(&text), Err(BlueprintError::NoMigrations(_))));
        fs::create_dir(folder.join("migrations")).unwrap();
        assert_eq!(
            Blueprint::find(&text).unwrap().name,
            folder.file_name().unwrap().to_string_lossy()
        );
        fs::write(folder.join("blueprint.toml"), "name = 'mine'\ntitle = 'Mine'\nother = 1")
            .unwrap();
        assert_eq!(Blueprint::find(&text).unwrap().name, "mine");
        fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(Blueprint::find("no-such-blueprint"), Err(BlueprintError::Unknown(_))));
    }
}
