mod documentation;
mod random;
mod sound;
mod wrong;

use super::*;

/// A manifest that uses every key of every table.
const EVERYTHING: &str = include_str!("tests/everything.toml");

fn parse(text: &str) -> Manifest {
    Manifest::parse(text).unwrap_or_else(|problems| {
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", shown.join("\n"))
    })
}

/// What is wrong with a text, as `line:column: message`.
fn problems(text: &str) -> Vec<String> {
    let problems = Manifest::parse(text).map(|_| ()).unwrap_err();
    problems.iter().map(|one| format!("{}:{}: {}", one.line, one.column, one.message)).collect()
}
