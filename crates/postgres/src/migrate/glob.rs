//! The file patterns of `config.toml`: `*`, `?` and `[…]` within one part of a path.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The files below `root` that `pattern` matches, by name.
pub(crate) fn find(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    for part in Path::new(pattern).components() {
        found = match part {
            Component::CurDir => found,
            Component::Normal(part) => {
                let part = part.to_string_lossy();
                found.iter().flat_map(|folder| children(folder, &part)).collect()
            }
            other => found.iter().map(|folder| folder.join(other)).collect(),
        };
    }
    found.retain(|path| path.is_file());
    found
}

fn children(folder: &Path, part: &str) -> Vec<PathBuf> {
    if !part.contains(['*', '?', '[']) {
        return vec![folder.join(part)];
    }
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| matches(part, name))
        .collect();
    names.sort();
    names.into_iter().map(|name| folder.join(name)).collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return name.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    if first == '*' {
        let mut tails = name.char_indices().map(|(at, _)| &name[at..]).chain(std::iter::once(""));
        return tails.any(|tail| matches(rest, tail));
    }
    let Some(found) = name.chars().next() else { return false };
    let tail = &name[found.len_utf8()..];
    match (first, rest.split_once(']')) {
        ('?', _) => matches(rest, tail),
        ('[', Some((class, rest))) => in_class(class, found) && matches(rest, tail),
        _ => first == found && matches(rest, tail),
    }
}

/// `abc`, `a-z`, and `^…` for the opposite.
fn in_class(class: &str, found: char) -> bool {
    let (negated, class) = class.strip_prefix('^').map_or((false, class), |class| (true, class));
    let members: Vec<char> = class.chars().collect();
    let mut at = 0;
    let mut inside = false;
    while at < members.len() {
        let is_range = members.get(at + 1) == Some(&'-') && at + 2 < members.len();
        let last = if is_range { members[at + 2] } else { members[at] };
        inside |= (members[at]..=last).contains(&found);
        at += if is_range { 3 } else { 1 };
    }
    inside != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_within_one_part() {
        for (pattern, name, expected) in [
            ("*.sql", "seed.sql", true),
            ("*.sql", "seed.txt", false),
            ("s??d.sql", "seed.sql", true),
            ("s??d.sql", "sd.sql", false),
            ("0[1-3]_*.sql", "02_users.sql", true),
            ("0[1-3]_*.sql", "04_users.sql", false),
            ("[^a]*", "b", true),
            ("[^a]*", "a", false),
            ("a[b", "a[b", true),
            ("*", "", true),
            ("é?", "éa", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
