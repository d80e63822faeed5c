//! `plinth gen types --lang typescript`: the `Database` type for `createClient<Database>()`.
//!
//! The output has the shape that users of supabase-js have checked in today, name by name and line by line where the
//! catalog knows as much, so that changing the generator changes no file.

mod function;
mod mapping;
mod syntax;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use plinth_catalog::{Catalog, Column, Function, QualifiedName, Relation, Relationship, Via};

use mapping::{Mapping, is_view};
use syntax::{Field, Ts};

/// The version of PostgREST whose behaviour the data API has; supabase-js offers features by it.
const POSTGREST_VERSION: &str = "14.1";

const JSON: &str = "export type Json =
  | string
  | number
  | boolean
  | null
  | { [key: string]: Json | undefined }
  | Json[]
";

/// Types that are the same for every database: `Tables<>`, `TablesInsert<>`, `Enums<>`…
const HELPERS: &str = include_str!("types/helpers.ts");

/// Prints the TypeScript types of the relations, functions, enums and composite types in `schemas`.
///
/// Sorted by name throughout, so that equal databases give equal text. A schema that the catalog does not have
/// comes out empty.
pub fn typescript(catalog: &Catalog, schemas: &[String]) -> String {
    let mut schemas = schemas.to_vec();
    schemas.sort_by(|a, b| by_name(a, b));
    schemas.dedup();
    let mapping = Mapping { catalog, schemas: &schemas };
    let mut out = format!(
        "{JSON}
export type Database = {{
  // Lets createClient choose the right options by itself,
  // instead of createClient<Database, {{ PostgrestVersion: 'XX' }}>(URL, KEY)
  __InternalSupabase: {{
    PostgrestVersion: \"{POSTGREST_VERSION}\"
  }}
"
    );
    for name in &schemas {
        Field::new(name, schema(&mapping, name)).write(&mut out, 2, "");
    }
    out.push_str("}\n\n");
    out.push_str(HELPERS);
    out.push_str("\nexport const Constants = ");
    constants(&mapping).write(&mut out, 0, 0, ",");
    out.push_str(" as const\n");
    out
}

fn schema(mapping: &Mapping<'_>, name: &str) -> Ts {
    let relations = || mapping.catalog.relations().filter(|relation| relation.name.schema == name);
    let tables = relations().filter(|relation| !is_view(relation.kind));
    let views = relations().filter(|relation| is_view(relation.kind));
    let composites = mapping.catalog.composites().filter(|(known, _)| known.schema == name);
    Ts::Block(vec![
        Field::new(
            "Tables",
            sorted(tables.map(|table| (table.name.name.as_str(), table_type(mapping, table)))),
        ),
        Field::new(
            "Views",
            sorted(views.map(|view| (view.name.name.as_str(), view_type(mapping, view)))),
        ),
        Field::new("Functions", functions(mapping, name)),
        Field::new(
            "Enums",
            sorted(enums(mapping, name).map(|(name, labels)| (name, enum_type(labels)))),
        ),
        Field::new(
            "CompositeTypes",
            sorted(composites.map(|(known, attributes)| {
                (known.name.as_str(), composite_type(mapping, attributes))
            })),
        ),
    ])
}

/// A block of the entries, sorted by name.
fn sorted<'a>(entries: impl Iterator<Item = (&'a str, Ts)>) -> Ts {
    let mut entries: Vec<(&str, Ts)> = entries.collect();
    entries.sort_by(|(a, _), (b, _)| by_name(a, b));
    Ts::block_or_nothing(entries.into_iter().map(|(name, ts)| Field::new(name, ts)).collect())
}

fn table_type(mapping: &Mapping<'_>, table: &Relation) -> Ts {
    let columns = sorted_columns(table);
    let mut row = row_fields(mapping, table);
    row.extend(computed_fields(mapping, table));
    let insert = columns.iter().map(|column| {
        let ts = mapping.nullable_column(column);
        match column {
            Column { generated: true, .. } => Field::optional(&column.name, Ts::name("never")),
            Column { nullable: false, default: None, identity: false, .. } => {
                Field::new(&column.name, ts)
            }
            _ => Field::optional(&column.name, ts),
        }
    });
    let update = columns.iter().map(|column| {
        let never = column.generated.then(|| Ts::name("never"));
        Field::optional(&column.name, never.unwrap_or_else(|| mapping.nullable_column(column)))
    });
    Ts::Block(vec![
        Field::new("Row", Ts::Block(row)),
        Field::new("Insert", Ts::Block(insert.collect())),
        Field::new("Update", Ts::Block(update.collect())),
        Field::new("Relationships", relationships(mapping, &table.name)),
    ])
}

/// What a view lets through is decided by its query, so every column of a written row may be left out.
fn view_type(mapping: &Mapping<'_>, view: &Relation) -> Ts {
    let mut fields = vec![Field::new("Row", Ts::Block(row_fields(mapping, view)))];
    if view.updatable && view.deletable {
        let columns = sorted_columns(view);
        let written = columns
            .iter()
            .map(|column| Field::optional(&column.name, mapping.column(column).or_null()));
        let written = Ts::Block(written.collect());
        fields.push(Field::new("Insert", written.clone()));
        fields.push(Field::new("Update", written));
    }
    fields.push(Field::new("Relationships", relationships(mapping, &view.name)));
    Ts::Block(fields)
}

/// The columns of a row as a read gives them.
fn row_fields(mapping: &Mapping<'_>, relation: &Relation) -> Vec<Field> {
    let field = |column: &&Column| Field::new(&column.name, mapping.nullable_column(column));
    sorted_columns(relation).iter().map(field).collect()
}

/// Functions of a row that can be selected as if they were columns.
fn computed_fields(mapping: &Mapping<'_>, table: &Relation) -> Vec<Field> {
    let mut functions: Vec<&Function> = mapping
        .catalog
        .all_functions()
        .chain(mapping.catalog.uncallable_functions())
        .filter(|function| {
            function::computed_field_of(mapping, function).as_ref() == Some(&table.name)
        })
        .collect();
    functions.sort_by(|a, b| by_name(&a.name.name, &b.name.name));
    let field = |function: &&Function| {
        Field::new(&function.name.name, function::returns(mapping, function).or_null())
    };
    functions.iter().map(field).collect()
}

/// The foreign keys of `relation` to others of its schema.
fn relationships(mapping: &Mapping<'_>, relation: &QualifiedName) -> Ts {
    let mut keys: Vec<(&str, Vec<&str>, &Relationship, Vec<&str>)> = mapping
        .catalog
        .relationships_from(relation)
        .iter()
        .filter(|known| known.to.schema == relation.schema && known.cardinality.is_to_one())
        .filter_map(|known| match &known.via {
            Via::ForeignKey { constraint, columns }
                if refers(mapping, known, constraint.as_str()) =>
            {
                let from = columns.iter().map(|pair| pair.from.as_str()).collect();
                let to = columns.iter().map(|pair| pair.to.as_str()).collect();
                Some((constraint.as_str(), from, known, to))
            }
            _ => None,
        })
        .collect();
    keys.sort_by(|a, b| {
        by_name(a.0, b.0)
            .then_with(|| by_name(&a.2.to.name, &b.2.to.name))
            .then_with(|| a.3.cmp(&b.3))
    });
    let tuple = |names: &[&str]| {
        Ts::Tuple(names.iter().map(|name| Ts::Literal((*name).to_owned())).collect())
    };
    let entry = |(constraint, from, known, to): &(&str, Vec<&str>, &Relationship, Vec<&str>)| {
        let one_to_one = known.cardinality == plinth_catalog::Cardinality::OneToOne;
        Ts::Block(vec![
            Field::new("foreignKeyName", Ts::Literal((*constraint).to_owned())),
            Field::new("columns", tuple(from)),
            Field::new("isOneToOne", Ts::name(one_to_one.to_string())),
            Field::new("referencedRelation", Ts::Literal(known.to.name.clone())),
            Field::new("referencedColumns", tuple(to)),
        ])
    };
    Ts::List(keys.iter().map(entry).collect())
}

/// Whether the key is on this side. A one-to-one relationship is to-one in both directions; for a view neither side
/// is known to own the key, and it then counts.
fn refers(mapping: &Mapping<'_>, known: &Relationship, constraint: &str) -> bool {
    mapping.catalog.owns_foreign_key(&known.from, constraint)
        || !mapping.catalog.owns_foreign_key(&known.to, constraint)
}

fn functions(mapping: &Mapping<'_>, schema: &str) -> Ts {
    let mut by_name: BTreeMap<&str, Vec<&Function>> = BTreeMap::new();
    let functions = mapping.catalog.all_functions();
    for function in functions.chain(mapping.catalog.uncallable_functions()) {
        if function.name.schema == schema && function::is_callable(mapping, function) {
            by_name.entry(&function.name.name).or_default().push(function);
        }
    }
    sorted(by_name.iter().map(|(name, overloads)| (*name, function::overloads(mapping, overloads))))
}

fn enums<'a>(
    mapping: &'a Mapping<'_>,
    schema: &str,
) -> impl Iterator<Item = (&'a str, &'a [String])> {
    let enums = mapping.catalog.enums().filter(move |(known, _)| known.schema == schema);
    enums.map(|(known, labels)| (known.name.as_str(), labels))
}

fn enum_type(labels: &[String]) -> Ts {
    if labels.is_empty() {
        return Ts::name("never");
    }
    Ts::Union(labels.iter().cloned().map(Ts::Literal).collect())
}

/// Attributes keep their order: a composite value may be written as a list.
fn composite_type(mapping: &Mapping<'_>, attributes: &[Column]) -> Ts {
    let field = |column: &Column| Field::new(&column.name, mapping.column(column).or_null());
    Ts::Block(attributes.iter().map(field).collect())
}

/// The labels of the enums as values, for menus and validation.
fn constants(mapping: &Mapping<'_>) -> Ts {
    let schema = |name: &String| {
        let mut entries: Vec<(&str, &[String])> = enums(mapping, name).collect();
        entries.sort_by(|(a, _), (b, _)| by_name(a, b));
        let entry = |(name, labels): &(&str, &[String])| {
            Field::new(name, Ts::Tuple(labels.iter().cloned().map(Ts::Literal).collect()))
        };
        let enums = Ts::Block(entries.iter().map(entry).collect());
        Field::new(name, Ts::Block(vec![Field::new("Enums", enums)]))
    };
    Ts::Block(mapping.schemas.iter().map(schema).collect())
}

fn sorted_columns(relation: &Relation) -> Vec<&Column> {
    let mut columns: Vec<&Column> = relation.columns.values().collect();
    columns.sort_by(|a, b| by_name(&a.name, &b.name));
    columns
}

/// The order of JavaScript's `localeCompare` on names: `_` and other signs before digits before letters, and case
/// only where nothing else differs, lower case first.
fn by_name(a: &str, b: &str) -> Ordering {
    let primary = |text: &str| -> Vec<(u8, String)> {
        text.chars()
            .map(|c| {
                let class = if c.is_alphabetic() { 2 } else { u8::from(c.is_numeric()) };
                (class, c.to_lowercase().collect())
            })
            .collect()
    };
    let upper_last = |text: &str| -> Vec<bool> { text.chars().map(char::is_uppercase).collect() };
    primary(a)
        .cmp(&primary(b))
        .then_with(|| upper_last(a).cmp(&upper_last(b)))
        .then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests;
