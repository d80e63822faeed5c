//! Puts the blueprints' SQL into the binary, so that the binary alone can make the five projects.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root =
        Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../../blueprints");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut code = String::from("&[\n");
    for folder in sorted(&root)? {
        if !folder.join("migrations").is_dir() {
            continue;
        }
        println!("cargo::rerun-if-changed={}", folder.join("migrations").display());
        let _ = writeln!(code, "    ({:?}, &[", file_name(&folder));
        for (name, path) in files(&folder)? {
            let path = path.canonicalize()?;
            let _ = writeln!(code, "        ({name:?}, include_str!({path:?})),");
        }
        code.push_str("    ]),\n");
    }
    code.push_str("]\n");
    let target = Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("blueprints.rs");
    fs::write(target, code)
}

/// What a project is made from; tests, documents and schema files of other tools stay out.
fn files(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for name in ["blueprint.toml", "seed.sql"] {
        let path = folder.join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        if path.is_file() {
            found.push((name.to_owned(), path));
        }
    }
    for path in sorted(&folder.join("migrations"))? {
        if path.extension().is_some_and(|extension| extension == "sql") {
            found.push((format!("migrations/{}", file_name(&path)), path));
        }
    }
    Ok(found)
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries: io::Result<Vec<_>> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
    let mut paths = entries?;
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
