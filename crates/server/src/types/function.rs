//! Functions: their arguments, what they return, and how overloads share a name.

use plinth_catalog::{Cardinality, Function, Parameter, QualifiedName, ReturnType, Via};

use super::by_name;
use super::mapping::{Mapping, internal_name};
use super::syntax::{Field, Ts};

/// Types of a single parameter without a name that the API passes the whole body to.
const BODY_TYPES: [&str; 3] = ["json", "jsonb", "text"];

/// Whether a client can call it, or reads it as a computed field: every parameter has a name, or there is one alone
/// that takes the body or a row.
pub(super) fn is_callable(mapping: &Mapping<'_>, function: &Function) -> bool {
    match function.parameters.as_slice() {
        [only] if only.name.is_empty() => {
            BODY_TYPES.contains(&only.type_name.as_str())
                || mapping.row_type(&only.type_name).is_some()
        }
        parameters => parameters.iter().all(|parameter| !parameter.name.is_empty()),
    }
}

/// The relation that the function computes a field of: it takes its row, unnamed, and gives no rows itself.
pub(super) fn computed_field_of(
    mapping: &Mapping<'_>,
    function: &Function,
) -> Option<QualifiedName> {
    let [Parameter { name, type_name, .. }] = function.parameters.as_slice() else { return None };
    if !name.is_empty() || returned_relation(mapping, function).is_some() {
        return None;
    }
    mapping.row_type(type_name).filter(|relation| relation.schema == function.name.schema)
}

/// The type of all overloads of one name: one object, or a union of them.
pub(super) fn overloads(mapping: &Mapping<'_>, functions: &[&Function]) -> Ts {
    let mut functions = functions.to_vec();
    functions.sort_by(|a, b| by_name(&signature(a), &signature(b)));
    let mut types: Vec<Ts> =
        functions.iter().map(|function| overload(mapping, function, &functions)).collect();
    if types.len() == 1 { types.remove(0) } else { Ts::Union(types) }
}

fn overload(mapping: &Mapping<'_>, function: &Function, siblings: &[&Function]) -> Ts {
    let refusal = refusal(mapping, function, siblings);
    let refused = refusal.is_some();
    let mut fields = vec![
        Field::new("Args", arguments(mapping, function)),
        Field::new("Returns", refusal.unwrap_or_else(|| returns(mapping, function))),
    ];
    if let Some(options) = row_options(mapping, function).filter(|_| !refused) {
        fields.push(Field::new("SetofOptions", options));
    }
    Ts::Object(fields)
}

/// Why a call of this function can never succeed, as a type.
fn refusal(mapping: &Mapping<'_>, function: &Function, siblings: &[&Function]) -> Option<Ts> {
    let same = |other: &&&Function| names(other) == names(function);
    let equals: Vec<String> = siblings.iter().filter(same).map(|other| spelled(other)).collect();
    if equals.len() > 1 {
        return Some(Ts::Refusal(format!(
            "Could not choose the best candidate function between: {}. Try renaming the parameters or the function \
             itself in the database so function overloading can be resolved",
            equals.join(", ")
        )));
    }
    computed_field_of(mapping, function)?;
    Some(Ts::Refusal(format!(
        "the function {} with parameter or with a single unnamed json/jsonb parameter, but no matches were found in \
         the schema cache",
        function.name
    )))
}

fn arguments(mapping: &Mapping<'_>, function: &Function) -> Ts {
    if function.parameters.is_empty() {
        return Ts::name("never");
    }
    let mut parameters: Vec<&Parameter> = function.parameters.iter().collect();
    parameters.sort_by(|a, b| by_name(&a.name, &b.name));
    let field = |parameter: &&Parameter| {
        let ts = mapping.named(&parameter.type_name);
        let new = if parameter.required { Field::new } else { Field::optional };
        new(&parameter.name, ts)
    };
    Ts::Object(parameters.iter().map(field).collect())
}

pub(super) fn returns(mapping: &Mapping<'_>, function: &Function) -> Ts {
    let one = match &function.returns {
        ReturnType::Void => Ts::name("undefined"),
        ReturnType::Record => Ts::name("Record<string, unknown>"),
        ReturnType::Scalar(type_name) => mapping.named(type_name),
        ReturnType::Composite(name) => row(mapping, name),
        ReturnType::Table(columns) => {
            let mut columns: Vec<_> = columns.iter().collect();
            columns.sort_by(|a, b| by_name(&a.name, &b.name));
            let field =
                |column: &&plinth_catalog::Column| Field::new(&column.name, mapping.column(column));
            Ts::Block(columns.iter().map(field).collect())
        }
    };
    if function.returns_set { one.array_of() } else { one }
}

/// A relation's row is spelled out; a free-standing composite type is referred to.
fn row(mapping: &Mapping<'_>, name: &QualifiedName) -> Ts {
    match mapping.catalog.relation(name) {
        Some(relation) => Ts::Block(super::row_fields(mapping, relation)),
        None => mapping.user_defined(name).unwrap_or_else(|| Ts::name("unknown")),
    }
}

fn returned_relation<'a>(
    mapping: &Mapping<'_>,
    function: &'a Function,
) -> Option<&'a QualifiedName> {
    match &function.returns {
        ReturnType::Composite(name) => mapping.catalog.relation(name).map(|_| name),
        _ => None,
    }
}

/// What supabase-js must know to select from, filter and embed what the function returns.
fn row_options(mapping: &Mapping<'_>, function: &Function) -> Option<Ts> {
    let ReturnType::Composite(to) = &function.returns else { return None };
    if !mapping.covers(to) {
        return None;
    }
    let from = match function.parameters.as_slice() {
        [only] => mapping.composite(&only.type_name),
        _ => None,
    };
    let one = from.as_ref().and_then(|from| cardinality(mapping, from, function));
    let one = one.map_or(!function.returns_set, Cardinality::is_to_one);
    let from = from.map_or_else(|| "*".to_owned(), |from| from.name);
    Some(Ts::Block(vec![
        Field::new("from", Ts::Literal(from)),
        Field::new("to", Ts::Literal(to.name.clone())),
        Field::new("isOneToOne", Ts::name(one.to_string())),
        Field::new("isSetofReturn", Ts::name(function.returns_set.to_string())),
    ]))
}

/// How many rows the computed relationship gives that the function makes.
fn cardinality(
    mapping: &Mapping<'_>,
    from: &QualifiedName,
    function: &Function,
) -> Option<Cardinality> {
    let made_by = |via: &Via| matches!(via, Via::Function(name) if *name == function.name);
    let relationships = mapping.catalog.relationships_from(from);
    relationships.iter().find(|known| made_by(&known.via)).map(|known| known.cardinality)
}

/// The names of the parameters, sorted: what a call by name can be told apart by.
fn names(function: &Function) -> Vec<&str> {
    let mut names: Vec<&str> = function.parameters.iter().map(|p| p.name.as_str()).collect();
    names.sort_unstable();
    names
}

fn signature(function: &Function) -> String {
    let part = |p: &Parameter| format!("{} {}", p.name, p.type_name).trim_start().to_owned();
    function.parameters.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// `public.urlencode(string => bytea)`.
fn spelled(function: &Function) -> String {
    let part = |p: &Parameter| format!("{} => {}", p.name, internal_name(&p.type_name));
    let parameters: Vec<String> = function.parameters.iter().map(part).collect();
    format!("{}({})", function.name, parameters.join(", "))
}
