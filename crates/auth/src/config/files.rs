//! Files that settings name: templates and signing keys.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A longer file is refused: no template and no set of keys is that long.
const LONGEST_FILE: u64 = 1 << 20;

/// Reads the file at `path`, which is relative to `folder` or, when it is not there, to the folder
/// above: `supabase/config.toml` is written with paths of both kinds.
pub(super) fn read(folder: &Path, path: &Path) -> Result<String, String> {
    let beside = folder.join(path);
    let above = folder.parent().map(|parent| parent.join(path));
    let place = match above {
        Some(above) if !beside.exists() && above.exists() => above,
        _ => beside,
    };
    let shown = place.display();
    let file = File::open(&place).map_err(|error| format!("cannot open {shown}: {error}"))?;
    let mut text = String::new();
    let read = file.take(LONGEST_FILE + 1).read_to_string(&mut text);
    let length = read.map_err(|error| format!("cannot read {shown}: {error}"))?;
    match length as u64 > LONGEST_FILE {
        true => Err(format!("{shown} is longer than {LONGEST_FILE} bytes")),
        false => Ok(text),
    }
}
