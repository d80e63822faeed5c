//! Requests for things that the catalog does not have, or has more than once.

use http::StatusCode;
use plinth_catalog::{
    Cardinality, Catalog, ColumnPair, Function, QualifiedName, Relationship, Via,
};
use serde_json::{Value, json};

use super::Error;
use crate::fuzzy;
use crate::request::media::MediaType;

/// Similarity that a suggested table or function must have.
const NAME_THRESHOLD: f64 = 0.75;
/// Similarity that a suggested embed or parameter list must have.
const LOOSE_THRESHOLD: f64 = 0.33;

impl Error {
    /// `PGRST205`
    pub(crate) fn unknown_table(name: &QualifiedName, catalog: &Catalog) -> Self {
        let message = format!("Could not find the table '{name}' in the schema cache");
        let mut error = Self::new(StatusCode::NOT_FOUND, "PGRST205", message);
        let names = catalog.relations().map(|relation| &relation.name);
        let names = names.filter(|it| it.schema == name.schema).map(|it| it.name.as_str());
        error.hint = fuzzy::best(names, &name.name, NAME_THRESHOLD)
            .map(|it| format!("Perhaps you meant the table '{}.{it}'", name.schema));
        error
    }

    /// `PGRST204`
    pub(crate) fn unknown_column(relation: &str, column: &str) -> Self {
        let message =
            format!("Could not find the '{column}' column of '{relation}' in the schema cache");
        Self::bad_request("PGRST204", message)
    }

    /// `PGRST200`
    pub(crate) fn unknown_embed(
        origin: &QualifiedName,
        target: &str,
        embed_hint: Option<&str>,
        schema: &str,
        catalog: &Catalog,
    ) -> Self {
        let parent = &origin.name;
        let using = embed_hint.map_or(String::new(), |it| format!("' using the hint '{it}"));
        let message = format!(
            "Could not find a relationship between '{parent}' and '{target}' in the schema cache"
        );
        let mut error = Self::bad_request("PGRST200", message).with_details(format!(
            "Searched for a foreign key relationship between '{parent}' and '{target}{using}' in the \
             schema '{schema}', but no matches were found."
        ));
        error.hint = embed_hint_for(origin, target, schema, catalog);
        error
    }

    /// `PGRST201`
    pub(crate) fn ambiguous_embed(
        origin: &str,
        target: &str,
        candidates: &[&Relationship],
    ) -> Self {
        let message = format!(
            "Could not embed because more than one relationship was found for '{origin}' and '{target}'"
        );
        let mut candidates = candidates.to_vec();
        candidates.sort();
        let details: Vec<Value> = candidates.iter().map(|it| describe(it)).collect();
        let hints: Vec<String> = candidates.iter().map(|it| disambiguation(it)).collect();
        Self::new(StatusCode::MULTIPLE_CHOICES, "PGRST201", message)
            .with_details(details)
            .with_hint(format!(
                "Try changing '{target}' to one of the following: {}. Find the desired relationship in \
                 the 'details' key.",
                hints.join(", ")
            ))
    }

    /// `PGRST203`
    pub(crate) fn ambiguous_function(candidates: &[&Function]) -> Self {
        let shown: Vec<String> = candidates.iter().map(|it| signature(it)).collect();
        let message =
            format!("Could not choose the best candidate function between: {}", shown.join(", "));
        Self::new(StatusCode::MULTIPLE_CHOICES, "PGRST203", message).with_hint(
            "Try renaming the parameters or the function itself in the database so function \
             overloading can be resolved",
        )
    }

    /// `PGRST202`. `body` is the type of the body of a POST.
    pub(crate) fn unknown_function(
        name: &QualifiedName,
        arguments: &[&str],
        body: Option<&MediaType>,
        catalog: &Catalog,
    ) -> Self {
        let unnamed = match body {
            Some(MediaType::PlainText) => Some("text"),
            Some(MediaType::Xml) => Some("xml"),
            Some(MediaType::OctetStream) => Some("bytea"),
            _ => None,
        };
        let listed = arguments.join(", ");
        let (called, with) = match (unnamed, arguments) {
            (Some(kind), _) => (String::new(), format!(" with a single unnamed {kind} parameter")),
            (None, []) => (" without parameters".to_owned(), " without parameters".to_owned()),
            (None, [_]) => (format!("({listed})"), format!(" with parameter {listed}")),
            (None, _) => (format!("({listed})"), format!(" with parameters {listed}")),
        };
        let or_json = if body == Some(&MediaType::Json) {
            " or with a single unnamed json/jsonb parameter"
        } else {
            ""
        };
        let message = format!("Could not find the function {name}{called} in the schema cache");
        let mut error = Self::new(StatusCode::NOT_FOUND, "PGRST202", message).with_details(format!(
            "Searched for the function {name}{with}{or_json}, but no matches were found in the schema \
             cache."
        ));
        if unnamed.is_none() {
            error.hint = function_hint(name, arguments, catalog);
        }
        error
    }
}

fn function_hint(name: &QualifiedName, arguments: &[&str], catalog: &Catalog) -> Option<String> {
    let overloads = catalog.functions(name);
    let meant = if overloads.is_empty() {
        let names = catalog.all_functions().map(|function| &function.name);
        let names = names.filter(|it| it.schema == name.schema).map(|it| it.name.as_str());
        fuzzy::best(names, &name.name, NAME_THRESHOLD)?.to_owned()
    } else {
        let lists: Vec<String> = overloads
            .iter()
            .map(|it| sorted_list(it.parameters.iter().map(|it| it.name.as_str())))
            .collect();
        let given = sorted_list(arguments.iter().copied());
        let list = fuzzy::best(lists.iter().map(String::as_str), &given, LOOSE_THRESHOLD)?;
        format!("{}{list}", name.name)
    };
    Some(format!("Perhaps you meant to call the function {}.{meant}", name.schema))
}

fn sorted_list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    format!("({})", names.join(", "))
}

fn signature(function: &Function) -> String {
    let parameters: Vec<String> = function
        .parameters
        .iter()
        .map(|parameter| format!("{} => {}", parameter.name, parameter.declared_type))
        .collect();
    format!("{}({})", function.name, parameters.join(", "))
}

/// Suggests another parent when that has no relationships, else another child.
fn embed_hint_for(
    origin: &QualifiedName,
    target: &str,
    schema: &str,
    catalog: &Catalog,
) -> Option<String> {
    if !catalog.has_relationships(origin, schema) {
        let parents = catalog.relations().map(|relation| &relation.name);
        let parents = parents.filter(|name| catalog.has_relationships(name, schema));
        let nearest =
            fuzzy::best(parents.map(|it| it.name.as_str()), &origin.name, LOOSE_THRESHOLD)?;
        return Some(format!("Perhaps you meant '{nearest}' instead of '{}'.", origin.name));
    }
    let relationships = catalog.relationships_from(origin).iter();
    let children = relationships.filter(|it| it.to.schema == schema).map(|it| it.to.name.as_str());
    let matches = fuzzy::matches(children, target, LOOSE_THRESHOLD);
    let (_, nearest) = matches.into_iter().find(|(score, _)| *score < 1.0)?;
    Some(format!("Perhaps you meant '{nearest}' instead of '{target}'."))
}

fn columns<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("({})", names.collect::<Vec<_>>().join(", "))
}

fn from_side(pairs: &[ColumnPair]) -> String {
    columns(pairs.iter().map(|pair| pair.from.as_str()))
}

fn to_side(pairs: &[ColumnPair]) -> String {
    columns(pairs.iter().map(|pair| pair.to.as_str()))
}

fn describe(relationship: &Relationship) -> Value {
    let (from, to) = (&relationship.from.name, &relationship.to.name);
    let cardinality = match relationship.cardinality {
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToOne => "one-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    let through = match &relationship.via {
        Via::ForeignKey { constraint, columns } => {
            format!("{constraint} using {from}{} and {to}{}", from_side(columns), to_side(columns))
        }
        Via::Junction(junction) => format!(
            "{} using {}{} and {}{}",
            junction.relation.name,
            junction.from_constraint,
            to_side(&junction.from_columns),
            junction.to_constraint,
            from_side(&junction.to_columns)
        ),
        Via::Function(function) => format!("{} using the function", function.name),
    };
    json!({ "cardinality": cardinality, "embedding": format!("{from} with {to}"), "relationship": through })
}

fn disambiguation(relationship: &Relationship) -> String {
    let hint = match &relationship.via {
        Via::ForeignKey { constraint, .. } => constraint,
        Via::Junction(junction) => &junction.relation.name,
        Via::Function(function) => &function.name,
    };
    format!("'{}!{hint}'", relationship.to.name)
}
