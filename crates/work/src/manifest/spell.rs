//! What somebody may have meant, and lists of words in sentences.

/// How alike two names must be to be taken for each other, from 0 to 1.
const ALIKE: f64 = 0.8;

/// `; did you mean …?` with the candidate that is most like `written`, or nothing when none is like it.
pub(crate) fn did_you_mean<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    let lower = written.to_lowercase();
    let nearest = candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&lower, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    nearest.map_or_else(String::new, |(_, candidate)| format!("; did you mean `{candidate}`?"))
}

/// The words in quotes with commas between them.
pub(super) fn listed<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{}`", word.as_ref())).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_alike_are_offered() {
        let known = ["when", "action", "cancel_when", "concurrency"];
        for (written, meant) in [
            ("whn", "when"),
            ("Action", "action"),
            ("concurency", "concurrency"),
            ("cancel-when", "cancel_when"),
        ] {
            assert_eq!(did_you_mean(written, known), format!("; did you mean `{meant}`?"));
        }
        assert_eq!(did_you_mean("nothing_like_it", known), "");
        assert_eq!(did_you_mean("", known), "");
    }
}
