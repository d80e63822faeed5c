//! "Perhaps you meant …": the nearest of some names.
//!
//! The measure is the one clients have seen before (fuzzy sets: cosine similarity of character
//! trigrams, then bigrams, ordered by edit distance), so that the same typo gets the same hint.

use std::collections::HashMap;

/// Among so many names or more nothing is looked for: every request would compare them all.
const MAX_NAMES: usize = 500;

/// Nothing is near a longer text: comparing takes as many steps as the product of both lengths.
const MAX_BYTES: usize = 1024;

/// The best match of `wanted` among `names` whose score is at least `threshold` (0 to 1).
pub(crate) fn best<'n>(
    names: impl IntoIterator<Item = &'n str>,
    wanted: &str,
    threshold: f64,
) -> Option<&'n str> {
    matches(names, wanted, threshold).into_iter().next().map(|(_, name)| name)
}

/// Every match with its score, best first.
pub(crate) fn matches<'n>(
    names: impl IntoIterator<Item = &'n str>,
    wanted: &str,
    threshold: f64,
) -> Vec<(f64, &'n str)> {
    let names: Vec<&str> = names.into_iter().take(MAX_NAMES).collect();
    if names.len() == MAX_NAMES || wanted.len() > MAX_BYTES {
        return Vec::new();
    }
    let wanted = normal(wanted);
    let names: Vec<(String, &str)> = names.into_iter().map(|name| (normal(name), name)).collect();
    if let Some((_, name)) = names.iter().find(|(normal, _)| *normal == wanted) {
        return vec![(1.0, name)];
    }
    for size in [3, 2] {
        let found = matches_of_size(&names, &wanted, size, threshold);
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

fn matches_of_size<'n>(
    names: &[(String, &'n str)],
    wanted: &str,
    size: usize,
    threshold: f64,
) -> Vec<(f64, &'n str)> {
    /// Only so many by grams are compared letter by letter.
    const CANDIDATES: usize = 50;
    let ours = grams(wanted, size);
    let mut scored: Vec<(f64, &(String, &'n str))> = names
        .iter()
        .map(|entry| (cosine(&ours, &grams(&entry.0, size)), entry))
        .filter(|(score, _)| *score > 0.0)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.truncate(CANDIDATES);
    let mut found: Vec<(f64, &str)> =
        scored.into_iter().map(|(_, (normal, name))| (closeness(normal, wanted), *name)).collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.retain(|(score, _)| *score >= threshold);
    found
}

fn normal(text: &str) -> String {
    text.to_lowercase()
}

/// Counts of the substrings of `size` word characters, with a dash at both ends.
fn grams(text: &str, size: usize) -> HashMap<Vec<char>, f64> {
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | ',' | '_'));
    let mut chars: Vec<char> = std::iter::once('-').chain(kept).chain(['-']).collect();
    while chars.len() < size {
        chars.push('-');
    }
    let mut counts = HashMap::new();
    for window in chars.windows(size) {
        *counts.entry(window.to_vec()).or_insert(0.0) += 1.0;
    }
    counts
}

fn cosine(a: &HashMap<Vec<char>, f64>, b: &HashMap<Vec<char>, f64>) -> f64 {
    let dot: f64 = a.iter().filter_map(|(gram, count)| Some(count * b.get(gram)?)).sum();
    let norm = |grams: &HashMap<Vec<char>, f64>| grams.values().map(|n| n * n).sum::<f64>().sqrt();
    dot / (norm(a) * norm(b))
}

/// 1 for equal texts, 0 for texts with nothing in common.
fn closeness(a: &str, b: &str) -> f64 {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let longest = a.len().max(b.len());
    if longest == 0 {
        return 1.0;
    }
    1.0 - edit_distance(&a, &b) as f64 / longest as f64
}

fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut current = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let substituted = previous[j] + usize::from(ca != cb);
            current.push(substituted.min(previous[j + 1] + 1).min(current[j] + 1));
        }
        previous = current;
    }
    previous[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_not() {
        let names = ["films", "directors", "roles", "actors"];
        assert_eq!(best(names, "film", 0.33), Some("films"));
        assert_eq!(best(names, "role", 0.33), Some("roles"));
        assert_eq!(best(names, "noclosealternative", 0.33), None);
        assert_eq!(best(["test", "another"], "testt", 0.75), Some("test"));
        assert_eq!(best(["test", "another"], "other", 0.75), None);
        assert_eq!(best([], "x", 0.1), None);
        assert_eq!(best(["a"], "", 0.33), None);
    }

    #[test]
    fn neither_many_names_nor_long_ones_are_compared() {
        let names: Vec<String> = (0..MAX_NAMES).map(|it| format!("name_{it}")).collect();
        let near =
            |names: &[String]| best(names.iter().map(String::as_str), "nam_1", 0.5).is_some();
        assert!(near(&names[1..]) && !near(&names));
        let long = "a".repeat(MAX_BYTES);
        assert_eq!(best([long.as_str()], &long, 0.5), Some(long.as_str()));
        assert_eq!(best([long.as_str()], &format!("{long}a"), 0.5), None);
    }

    #[test]
    fn parameter_lists_compare_as_text() {
        let lists = ["(name, param, val)", "(attr, id)"];
        assert_eq!(best(lists, "(nam, pqaram, vall)", 0.33), Some("(name, param, val)"));
        assert_eq!(best(lists, "(param, val)", 0.33), Some("(name, param, val)"));
        assert_eq!(best(lists, "(attrs, id)", 0.33), Some("(attr, id)"));
        assert_eq!(best(lists, "(noclosealternative)", 0.33), None);
    }

    #[test]
    fn case_does_not_matter() {
        assert_eq!(matches(["Films"], "fILMS", 0.9), [(1.0, "Films")]);
    }
}
