//! That `docs/auth-configuration.md` says what the rows say.

use std::fmt::Write as _;

use crate::config::value::span_text;
use crate::config::*;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/auth-configuration.md");
const BEGIN: &str = "<!-- made from the code: begin -->\n";
const END: &str = "<!-- made from the code: end -->\n";

/// `UPDATE_DOCS=1 cargo test -p plinth-auth documentation` writes the tables anew.
#[test]
fn the_documentation_has_every_setting_as_it_is() {
    let text = std::fs::read_to_string(FILE).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (tables, after) = rest.split_once(END).unwrap();
    let made = made();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(FILE, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
    } else {
        assert!(tables == made, "run UPDATE_DOCS=1 cargo test -p plinth-auth documentation");
    }
}

fn made() -> String {
    let mut text = String::new();
    for (title, rows) in SECTIONS {
        let head = "| setting | form | default | variable | meaning |\n|---|---|---|---|---|";
        write!(text, "\n### `{title}`\n\n{head}\n").unwrap();
        for row in *rows {
            let variables: Vec<_> = row.variables().map(shown).collect();
            let default = code(row.default);
            let cells = [code(row.key), form(row.kind), default, variables.join(", "), about(row)];
            writeln!(text, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
                .unwrap();
        }
    }
    text.push('\n');
    text
}

fn about(row: &Setting) -> String {
    row.about.to_owned()
}

fn shown(variable: Variable) -> String {
    let not = if variable.inverted { "not " } else { "" };
    format!("{not}{}", code(variable.name))
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

fn form(kind: Kind) -> String {
    let span = |seconds| span_text(Duration::from_secs(seconds));
    match kind {
        Kind::Switch => "switch".to_owned(),
        Kind::Number(least, most) => format!("{least} to {most}"),
        Kind::Span(least, most) => format!("time, {} to {}", span(least), span(most)),
        Kind::OptionalSpan(..) => "time".to_owned(),
        Kind::Rate(seconds) => format!("number per {}", span(seconds)),
        Kind::Text => "text".to_owned(),
        Kind::Url => "URL".to_owned(),
        Kind::Choice(words) => {
            let words: Vec<_> = words.iter().filter(|word| !word.is_empty()).collect();
            words.into_iter().map(|word| code(word)).collect::<Vec<_>>().join(", ")
        }
        Kind::List => "list".to_owned(),
        Kind::Sets => "list of sets".to_owned(),
        Kind::Pairs => "table".to_owned(),
        Kind::Secret => "secret".to_owned(),
        Kind::Secrets => "secrets".to_owned(),
        Kind::Path => "file".to_owned(),
    }
}
