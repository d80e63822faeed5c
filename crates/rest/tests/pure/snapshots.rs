//! The SQL of every shape, against the catalog that was made by hand.

use plinth_rest::Outcome;

use crate::{catalog, shapes};

fn rendered(file: &str) -> String {
    let catalog = catalog::catalog();
    let (_, text) = shapes::FILES.iter().find(|(name, _)| *name == file).unwrap();
    let shapes = shapes::parse(text);
    let one = |shape: &shapes::Shape| format!("= {}\n{}", shape.name, shape.sql(&catalog));
    shapes.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[test]
fn reads() {
    insta::assert_snapshot!(rendered("reads"));
}

#[test]
fn embeds() {
    insta::assert_snapshot!(rendered("embeds"));
}

#[test]
fn writes() {
    insta::assert_snapshot!(rendered("writes"));
}

#[test]
fn calls() {
    insta::assert_snapshot!(rendered("calls"));
}

/// Reads whose rows may come in binary, as they are then asked for.
#[test]
fn rows() {
    let catalog = catalog::catalog();
    let mut text = String::new();
    for (name, shape) in shapes::FILES
        .iter()
        .flat_map(|(_, text)| shapes::parse(text))
        .map(|it| (it.name.clone(), it))
    {
        let config = shapes::config(shape.max_rows);
        if let Ok(Outcome::Query(prepared)) = shape.prepare_rows_with(&catalog, &config)
            && prepared.binary
        {
            text.push_str(&format!("= {name}\n{}\n", shapes::text_of(&prepared)));
        }
    }
    insta::assert_snapshot!(text);
}
