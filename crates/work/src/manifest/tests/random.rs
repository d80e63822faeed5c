//! That no text makes the parser fall over.

use proptest::prelude::*;

use super::*;

/// Lines that are like those of a manifest.
fn line() -> impl Strategy<Value = String> {
    let lines: Vec<String> = EVERYTHING.lines().map(str::to_owned).collect();
    let known = prop::sample::select(lines);
    prop_oneof![
        4 => known.clone(),
        1 => (known.clone(), any::<prop::sample::Index>())
            .prop_map(|(line, index)| {
                let at = line.floor_char_boundary(index.index(line.len() + 1));
                line[..at].to_owned()
            }),
        1 => (known, "[a-z]{1,12}|-?[0-9]{1,22}|''|\\[\\]|\\{\\}|true|1e999|nan|\"\\$1\"|\"env:\"")
            .prop_map(|(line, value)| match line.split_once('=') {
                Some((key, _)) => format!("{key} = {value}"),
                None => line,
            }),
        1 => "\\PC{0,30}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_read_or_refused_with_places_in_it(lines in prop::collection::vec(line(), 0..40)) {
        let text = lines.join("\n");
        if let Err(problems) = Manifest::parse(&text) {
            prop_assert!(!problems.is_empty() && problems.len() <= bounds::MAX_PROBLEMS);
            for problem in problems {
                let line = text.split('\n').nth(problem.line - 1);
                prop_assert!(line.is_some_and(|line| problem.column <= line.chars().count() + 1), "{}", problem);
            }
        }
    }

    #[test]
    fn any_letters_are_read_or_refused(text in "\\PC{0,200}|[\\[\\]{}=\"'\\\\\n a-z$]{0,200}") {
        let _ = Manifest::parse(&text);
    }
}
