//! The SQL of every shape, against the catalog that was made by hand.

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
