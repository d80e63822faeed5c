//! Snapshots over catalogs made by hand.

use plinth_catalog::{
    Cardinality, Catalog, Column, ColumnPair, Function, Parameter, QualifiedName, Relation,
    RelationKind, Relationship, ReturnType, Via, Volatility,
};

use super::typescript;

fn public(name: &str) -> QualifiedName {
    QualifiedName::new("public", name)
}

fn required(name: &str, type_name: &str) -> Column {
    Column { nullable: false, ..Column::plain(name, type_name) }
}

fn relation(name: &str, kind: RelationKind, columns: Vec<Column>) -> Relation {
    Relation {
        name: public(name),
        kind,
        comment: None,
        columns: columns.into_iter().map(|column| (column.name.clone(), column)).collect(),
        primary_key: vec!["id".to_owned()],
        insertable: true,
        updatable: true,
        deletable: true,
    }
}

fn parameter(name: &str, type_name: &str, required: bool) -> Parameter {
    let (name, type_name) = (name.to_owned(), type_name.to_owned());
    let declared_type = type_name.clone();
    Parameter { name, type_name, declared_type, required, variadic: false }
}

fn function(
    name: &str,
    parameters: Vec<Parameter>,
    returns: ReturnType,
    returns_set: bool,
) -> Function {
    Function {
        name: public(name),
        parameters,
        returns,
        returns_set,
        volatility: Volatility::Stable,
        comment: None,
        settings: Vec::new(),
    }
}

fn foreign_key(catalog: &mut Catalog, from: (&str, &str), to: &str, cardinality: Cardinality) {
    let (table, column) = from;
    let constraint = format!("{table}_{column}_fkey");
    let relationship = |from: &str, to: &str, columns: (&str, &str), cardinality| Relationship {
        from: public(from),
        to: public(to),
        cardinality,
        via: Via::ForeignKey {
            constraint: constraint.clone(),
            columns: vec![ColumnPair { from: columns.0.to_owned(), to: columns.1.to_owned() }],
        },
    };
    let back = match cardinality {
        Cardinality::OneToOne => Cardinality::OneToOne,
        _ => Cardinality::OneToMany,
    };
    catalog.add_foreign_key(public(table), &constraint);
    catalog.add_relationship(relationship(table, to, (column, "id"), cardinality));
    catalog.add_relationship(relationship(to, table, ("id", column), back));
}

/// The part of the output between two lines that start like this, the first included.
fn part<'a>(output: &'a str, from: &str, to: &str) -> &'a str {
    let start = output.find(from).unwrap();
    let length = output[start..].find(to).unwrap();
    &output[start..start + length]
}

fn assert_snapshot(name: &str, output: &str) {
    insta::with_settings!({ prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, output);
    });
}

fn sample() -> Catalog {
    let mut catalog = Catalog::default();
    catalog.add_relation(relation(
        "tasks",
        RelationKind::Table,
        vec![
            Column {
                identity: true,
                generated: true,
                default: Some("identity".to_owned()),
                ..required("id", "bigint")
            },
            required("title", "text"),
            Column {
                default: Some("'open'".to_owned()),
                ..required("status", "public.task_status")
            },
            Column::plain("tags", "text[]"),
            Column {
                generated: true,
                default: Some("…".to_owned()),
                ..Column::plain("search", "tsvector")
            },
            required("owner_id", "uuid"),
            Column::plain("due at", "timestamp with time zone"),
            Column::plain("place", "public.place"),
        ],
    ));
    catalog.add_relation(relation("people", RelationKind::Table, vec![required("id", "uuid")]));
    catalog.add_relation(relation("profiles", RelationKind::Table, vec![required("id", "uuid")]));
    catalog.add_relation(Relation {
        insertable: false,
        updatable: false,
        deletable: false,
        ..relation("board", RelationKind::View, vec![Column::plain("count", "bigint")])
    });
    catalog.add_relation(relation(
        "open_tasks",
        RelationKind::View,
        vec![Column::plain("id", "bigint")],
    ));
    foreign_key(&mut catalog, ("tasks", "owner_id"), "people", Cardinality::ManyToOne);
    foreign_key(&mut catalog, ("profiles", "id"), "people", Cardinality::OneToOne);
    catalog.add_enum(public("task_status"), vec!["open".to_owned(), "done".to_owned()]);
    catalog.add_composite(
        public("place"),
        vec![Column::plain("street", "character varying(80)"), Column::plain("at", "point")],
    );
    catalog
}

#[test]
fn tables_have_a_row_and_what_may_be_written() {
    let output = typescript(&sample(), &["public".to_owned()]);
    assert_snapshot("tables", part(&output, "export type Database", "    Functions: {"));
}

#[test]
fn functions_show_their_arguments_rows_and_overloads() {
    let mut catalog = sample();
    let text = || ReturnType::Scalar("text".to_owned());
    let id = || parameter("id", "bigint", true);
    let search = vec![parameter("query", "text", true), parameter("max", "integer", false)];
    catalog.add_function(function(
        "search",
        search,
        ReturnType::Composite(public("open_tasks")),
        true,
    ));
    catalog.add_function(function("now_void", vec![], ReturnType::Void, false));
    catalog.add_function(function("either", vec![id()], text(), false));
    catalog.add_function(function("either", vec![], text(), false));
    catalog.add_function(function("unclear", vec![parameter("x", "bytea", true)], text(), false));
    catalog.add_function(function(
        "unclear",
        vec![parameter("x", "character varying", true)],
        text(),
        false,
    ));
    let pair = vec![Column::plain("value", "integer"), Column::plain("key", "public.task_status")];
    catalog.add_function(function("pairs", vec![id()], ReturnType::Table(pair), true));
    catalog.add_function(function(
        "body",
        vec![parameter("", "json", true)],
        ReturnType::Record,
        true,
    ));
    catalog.add_function(function(
        "two_unnamed",
        vec![parameter("", "integer", true); 2],
        text(),
        false,
    ));
    catalog.add_function(function(
        "age",
        vec![parameter("", "public.people", true)],
        text(),
        false,
    ));
    let owner = vec![parameter("", "public.tasks", true)];
    catalog.add_function(function("owner", owner, ReturnType::Composite(public("people")), true));
    catalog.add_relationship(Relationship {
        from: public("tasks"),
        to: public("people"),
        cardinality: Cardinality::OneToOne,
        via: Via::Function(public("owner")),
    });
    let output = typescript(&catalog, &["public".to_owned()]);
    assert_snapshot("functions", part(&output, "    Functions: {", "    Enums: {"));
    assert!(part(&output, "      people: {", "        Insert").contains("age: string | null"));
    assert!(!output.contains("two_unnamed"), "it cannot be called by name");
}

#[test]
fn enums_are_types_and_values() {
    let mut catalog = sample();
    catalog
        .add_enum(public("long"), (1..=9).map(|n| format!("a label to fill lines {n}")).collect());
    let output = typescript(&catalog, &["public".to_owned()]);
    assert_snapshot("enums", part(&output, "    Enums: {", "type DatabaseWithoutInternals"));
    assert_snapshot("constants", &output[output.find("export const").unwrap()..]);
}

#[test]
fn an_enum_of_a_schema_that_is_left_out_is_spelled_out() {
    let mut catalog = Catalog::default();
    catalog.add_enum(QualifiedName::new("hidden", "mood"), vec!["ok".to_owned(), "sad".to_owned()]);
    let columns = vec![required("m", "hidden.mood"), required("ms", "hidden.mood[]")];
    catalog.add_relation(relation("t", RelationKind::Table, columns));
    let output = typescript(&catalog, &["public".to_owned()]);
    assert!(output.contains(r#"          m: "ok" | "sad""#), "{output}");
    assert!(output.contains(r#"          ms: ("ok" | "sad")[]"#), "{output}");
    assert!(!output.contains("hidden"));
}

#[test]
fn an_empty_schema_has_every_part() {
    let output = typescript(&Catalog::default(), &["public".to_owned(), "Odd one".to_owned()]);
    assert_snapshot("empty", part(&output, "export type Json", "type DatabaseWithoutInternals"));
}

#[test]
fn names_are_sorted_as_javascript_sorts_them() {
    let mut names = ["ab", "a_b", "B", "a1", "b", "a_1", "A"];
    names.sort_by(|a, b| super::by_name(a, b));
    assert_eq!(names, ["A", "a_1", "a_b", "a1", "ab", "b", "B"]);
}
