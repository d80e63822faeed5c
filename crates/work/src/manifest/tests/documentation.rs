//! That schema and reference say what the keys say.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::*;
use crate::manifest::keys::{
    BUILT_IN, MANIFEST, OF_BINDING, OF_HOOK, OF_METER, OF_SCHEDULE, Places,
};
use crate::manifest::shape::{Form, Key, Need, Shape};
use crate::manifest::span::written;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");
const BEGIN: &str = "<!-- made from the code: begin -->\n";
const END: &str = "<!-- made from the code: end -->\n";
const STALE: &str = "run UPDATE_DOCS=1 cargo test -p plinth-work documentation";

fn updating() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some()
}

#[test]
fn the_schema_is_the_one_that_is_checked_in() {
    let file = format!("{DOCS}/blueprint.schema.json");
    let made = json_schema();
    if updating() {
        std::fs::write(&file, format!("{made:#}\n")).unwrap();
    }
    let there: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert!(there == made, "{STALE}");
}

#[test]
fn the_reference_has_every_key_as_it_is() {
    let file = format!("{DOCS}/work-manifest.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (tables, after) = rest.split_once(END).unwrap();
    let made = reference();
    if updating() {
        std::fs::write(&file, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
    } else {
        assert!(tables == made, "{STALE}");
    }
}

#[test]
fn the_examples_of_the_reference_are_sound() {
    let text = std::fs::read_to_string(format!("{DOCS}/work-manifest.md")).unwrap();
    let examples: Vec<&str> =
        text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 4);
    examples.iter().for_each(|example| drop(parse(example)));
}

/// Every key is declared for a reader, and the example uses all of them.
#[test]
fn every_key_is_read_and_used_by_the_example() {
    let source = Source::new(EVERYTHING);
    let reader = Reader::new(&source);
    assert!(read(&reader, EVERYTHING).is_some());
    let read = reader.read.borrow().clone();
    let declared: BTreeSet<(&str, &str)> =
        shapes().iter().flat_map(|shape| shape.keys().map(|key| (shape.id, key.name))).collect();
    let left_out: Vec<_> = declared.difference(&read).collect();
    assert!(left_out.is_empty(), "{left_out:?}");
    for (_, key) in declared {
        assert!(EVERYTHING.contains(key), "{key}");
    }
}

#[test]
fn every_default_is_a_value_of_its_key() {
    let defaults = shapes().into_iter().flat_map(Shape::keys);
    for key in defaults {
        if let Need::Default(default) = key.need {
            let value: toml::Table = toml::from_str(&format!("value = {default}")).unwrap();
            let value = &value["value"];
            let sound = match key.form {
                Form::Span { least, most } => {
                    let millis = crate::manifest::span::parse_millis(value.as_str().unwrap());
                    (least..=most).contains(&millis.unwrap())
                }
                Form::Word(words) => words.contains(&value.as_str().unwrap()),
                Form::Number { least, most } => (least..=most).contains(&value.as_float().unwrap()),
                Form::Integer { .. } | Form::Either(..) => value.is_integer(),
                Form::Switch => value.is_bool(),
                _ => value.is_str(),
            };
            assert!(sound, "{}", key.name);
        }
    }
}

/// All shapes, each once, in the order in which they are met.
fn shapes() -> Vec<&'static Shape> {
    let mut all: Vec<&'static Shape> = Vec::new();
    let mut waiting = vec![&MANIFEST];
    while let Some(shape) = waiting.pop() {
        if all.iter().any(|known| known.id == shape.id) {
            continue;
        }
        all.push(shape);
        let mut below: Vec<_> = shape.keys().filter_map(|key| below(&key.form)).collect();
        below.reverse();
        waiting.extend(below);
    }
    all.extend(BUILT_IN.iter().map(|(_, shape)| *shape));
    all
}

fn below(form: &Form) -> Option<&'static Shape> {
    match form {
        Form::Table(shape) | Form::Tables { shape, .. } => Some(shape),
        Form::Either(_, other) => below(other),
        _ => None,
    }
}

fn reference() -> String {
    let mut text = String::new();
    for shape in shapes() {
        write!(text, "\n### {}\n\n{}\n", heading(shape), shape.about).unwrap();
        if shape.keys().next().is_some() {
            text.push_str("\n| key | form | default | meaning |\n|---|---|---|---|\n");
        }
        for key in shape.keys() {
            let cells =
                [format!("`{}`", key.name), form(&key.form), default(key), key.about.to_owned()];
            let cells = cells.map(|cell| cell.replace('|', "\\|"));
            writeln!(text, "| {} |", cells.join(" | ").replace("|  |", "| |")).unwrap();
        }
    }
    text.push_str(&names());
    text
}

fn heading(shape: &Shape) -> String {
    if shape.title.contains('`') { shape.title.to_owned() } else { format!("`{}`", shape.title) }
}

fn names() -> String {
    let mut text = "\n### Names in SQL\n\n| name | type | meaning |\n|---|---|---|\n".to_owned();
    for name in Name::all() {
        let sql_type =
            name.sql_type().map_or("that of the key".to_owned(), |name| format!("`{name}`"));
        writeln!(text, "| `{name}` | {sql_type} | {} |", name.about()).unwrap();
    }
    text.push_str("\n| where | names |\n|---|---|\n");
    for (title, places) in
        [("a binding", &OF_BINDING), ("a hook", &OF_HOOK), ("a schedule", &OF_SCHEDULE)]
    {
        let Places { before, done, failed, each_step, step, .. } = places;
        for (what, names) in [
            ("`input`, `running`", before),
            ("`done`", done),
            ("`failed`", failed),
            ("`each_step`", each_step),
            ("SQL of a step, `run` of the action `sql`", step),
        ] {
            writeln!(text, "| {what} of {title} | {} |", listed(names)).unwrap();
        }
    }
    writeln!(text, "| `record` of a meter | {} |\n", listed(OF_METER)).unwrap();
    text
}

fn listed(names: &[Name]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn default(key: &Key) -> String {
    match key.need {
        Need::Required => "required".to_owned(),
        Need::Optional => String::new(),
        Need::Default(default) => format!("`{default}`"),
    }
}

fn form(form_of: &Form) -> String {
    match form_of {
        Form::Text => "text".to_owned(),
        Form::Texts { most } => format!("text, or up to {most}"),
        Form::TextTable => "table of texts".to_owned(),
        Form::Name => "name".to_owned(),
        Form::Relation => "`table` or `schema.table`".to_owned(),
        Form::Column => "column".to_owned(),
        Form::Action => "action".to_owned(),
        Form::Secret => "`env:NAME`".to_owned(),
        Form::Secrets { most } => format!("`env:NAME`, or up to {most}"),
        Form::Statement(_) => "SQL".to_owned(),
        Form::Statements(_) => {
            format!("SQL, up to {} statements or a list", bounds::MAX_STATEMENTS)
        }
        Form::Expression([]) => "expression on the columns".to_owned(),
        Form::Expression(_) => "expression".to_owned(),
        Form::Span { least, most } => format!("time, {} to {}", written(*least), written(*most)),
        Form::Integer { least, most } => format!("{least} to {most}"),
        Form::Number { least, most } => format!("{least} to {most}"),
        Form::Switch => "switch".to_owned(),
        Form::Word(words) => {
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
        Form::Settings => "table".to_owned(),
        Form::Columns => "lists of columns by table".to_owned(),
        Form::Table(shape) => format!("table, see {}", heading(shape)),
        Form::Tables { shape, most } => format!("up to {most}, see {}", heading(shape)),
        Form::Either(one, other) => format!("{}, or {}", form(one), form(other)),
    }
}
