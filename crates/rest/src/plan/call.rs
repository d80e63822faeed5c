//! Plans of function calls.

use std::collections::BTreeSet;

use bytes::Bytes;
use plinth_catalog::{Function, Parameter, QualifiedName, ReturnType, Volatility};

use super::{Condition, Context, ReadNode, write};
use crate::Error;
use crate::request::body::{self, Payload};
use crate::request::field::Text;
use crate::request::media::MediaType;
use crate::request::{Action, Request};

/// How the arguments travel.
#[derive(Debug)]
pub(crate) enum Arguments<'p> {
    /// One value for each parameter.
    Values(Vec<(&'p Parameter, Value<'p>)>),
    /// All of them in one JSON body.
    Json { json: Bytes, object: bool, parameters: Vec<&'p Parameter> },
    /// The body is the single, unnamed argument.
    Body { parameter: &'p Parameter, body: Bytes },
}

/// The text of one argument.
#[derive(Debug)]
pub(crate) enum Value<'p> {
    One(Text<'p>),
    /// Values of the trailing variadic parameter.
    Many(Vec<Text<'p>>),
}

/// A call of one function.
#[derive(Debug)]
pub(crate) struct CallPlan<'p> {
    pub(crate) function: &'p Function,
    pub(crate) arguments: Arguments<'p>,
    /// Columns taken from its rows; all of them when there are none.
    pub(crate) columns: Option<BTreeSet<Text<'p>>>,
}

/// What the result of a function looks like in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Void,
    Scalar,
    ScalarSet,
    Row,
    RowSet,
}

impl Shape {
    pub(crate) fn of(function: &Function) -> Self {
        match (&function.returns, function.returns_set) {
            (ReturnType::Void, _) => Self::Void,
            (ReturnType::Scalar(_) | ReturnType::Record, false) => Self::Scalar,
            (ReturnType::Scalar(_) | ReturnType::Record, true) => Self::ScalarSet,
            (ReturnType::Composite(_) | ReturnType::Table(_), false) => Self::Row,
            (ReturnType::Composite(_) | ReturnType::Table(_), true) => Self::RowSet,
        }
    }

    /// Whether the function gives back values rather than rows.
    pub(crate) fn is_scalar(self) -> bool {
        matches!(self, Self::Void | Self::Scalar | Self::ScalarSet)
    }

    /// Whether there is exactly one result, whatever happens.
    pub(crate) fn is_single(self) -> bool {
        matches!(self, Self::Void | Self::Scalar | Self::Row)
    }
}

/// Chooses the overload that the request means.
///
/// # Errors
///
/// `PGRST202` when none fits, `PGRST203` when several do.
pub(crate) fn find<'p>(
    context: Context<'p>,
    request: &Request<'_>,
    name: &str,
) -> Result<&'p Function, Error> {
    let name = QualifiedName::new(context.schema, name);
    let keys = argument_names(request);
    let posted = request.action == Action::Call;
    let overloads = context.catalog.functions(&name);
    let named: Vec<&Function> =
        overloads.iter().filter(|it| takes(it, &keys, posted, &request.content_type)).collect();
    let fitting = if named.is_empty() && posted {
        let takes = |it: &&Function| takes_body(it, &request.content_type);
        overloads.iter().filter(takes).collect()
    } else {
        named
    };
    match fitting.as_slice() {
        [one] => Ok(one),
        [] => {
            let body = posted.then_some(&request.content_type);
            Err(Error::unknown_function(&name, &keys, body, context.catalog))
        }
        several => Err(Error::ambiguous_function(several)),
    }
}

fn argument_names<'r>(request: &'r Request<'_>) -> Vec<&'r str> {
    if let Some(payload) = &request.payload {
        return payload.keys();
    }
    let names: BTreeSet<&str> =
        request.query.arguments.iter().map(|(name, _)| name.as_ref()).collect();
    names.into_iter().collect()
}

/// Whether the names are all that the function requires and nothing that it does not have.
fn takes(function: &Function, names: &[&str], posted: bool, content: &MediaType) -> bool {
    let raw = matches!(content, MediaType::OctetStream | MediaType::PlainText | MediaType::Xml);
    if function.parameters.is_empty() {
        return names.is_empty() && !(posted && raw);
    }
    let is_given = |parameter: &Parameter| names.contains(&parameter.name.as_str());
    let has = |name: &&str| function.parameters.iter().any(|it| it.name == *name);
    function.parameters.iter().all(|it| !it.required || is_given(it)) && names.iter().all(has)
}

/// Whether the body as a whole can be its only, unnamed argument.
fn takes_body(function: &Function, content: &MediaType) -> bool {
    let [parameter] = function.parameters.as_slice() else { return false };
    parameter.name.is_empty()
        && matches!(
            (content, parameter.type_name.as_str()),
            (MediaType::Json, "json" | "jsonb")
                | (MediaType::PlainText, "text")
                | (MediaType::Xml, "xml")
                | (MediaType::OctetStream, "bytea")
        )
}

/// The name of the relation whose rows the function returns, or its own.
pub(crate) fn result_name(function: &Function) -> &QualifiedName {
    match &function.returns {
        ReturnType::Composite(name) => name,
        _ => &function.name,
    }
}

/// Whether the call may only read: GET always, POST when the function says that it does not write.
pub(crate) fn reads_only(function: &Function, action: Action) -> bool {
    action != Action::Call || function.volatility != Volatility::Volatile
}

/// The settings of `function` that hold for the whole transaction rather than for the call alone, so
/// that they bound it from outside. `names` are in lower case. Who asks and what is never among them.
pub(crate) fn hoisted(function: &Function, names: &[String]) -> Vec<(Bytes, Bytes)> {
    let bytes = |text: &String| Bytes::copy_from_slice(text.as_bytes());
    let is_hoisted = |name: &str| names.iter().any(|known| known == name) && !is_identity(name);
    let own = function.settings.iter().filter(|(name, _)| is_hoisted(&name.to_ascii_lowercase()));
    own.map(|(name, value)| (bytes(name), bytes(value))).collect()
}

fn is_identity(name: &str) -> bool {
    ["role", "session_authorization"].contains(&name) || name.starts_with("request.")
}

/// The isolation level that `function` asks for.
pub(crate) fn isolation(function: &Function, names: &[String]) -> Option<&'static str> {
    const NAME: &str = "default_transaction_isolation";
    let level = function.setting(NAME).filter(|_| names.iter().any(|name| name == NAME))?;
    Some(match level.to_ascii_lowercase().as_str() {
        "serializable" => "serializable",
        "repeatable read" => "repeatable read",
        _ => "read committed",
    })
}

/// Plans the call of `function`, whose rows are then read by `node`.
pub(crate) fn plan<'p>(
    request: &'p Request<'p>,
    function: &'p Function,
    node: &ReadNode<'p>,
) -> CallPlan<'p> {
    let columns = write::needed(node).map(|mut columns| {
        filtered_columns(&node.conditions, &mut columns);
        columns
    });
    CallPlan { function, arguments: arguments(request, function), columns }
}

fn filtered_columns<'p>(conditions: &[Condition<'p>], columns: &mut BTreeSet<Text<'p>>) {
    for condition in conditions {
        match condition {
            Condition::Filter { column, .. } => {
                columns.insert(column.name.clone());
            }
            Condition::Group { items, .. } => filtered_columns(items, columns),
            Condition::NullEmbed { .. } => {}
        }
    }
}

fn arguments<'p>(request: &'p Request<'p>, function: &'p Function) -> Arguments<'p> {
    if let (Some(Payload::Raw(body) | Payload::Json { text: body, .. }), [parameter]) =
        (&request.payload, function.parameters.as_slice())
        && parameter.name.is_empty()
    {
        return Arguments::Body { parameter, body: body.clone() };
    }
    match &request.payload {
        Some(Payload::Json { text, keys }) => Arguments::Json {
            json: text.clone(),
            object: body::is_object(text),
            parameters: function
                .parameters
                .iter()
                .filter(|parameter| keys.contains(&parameter.name))
                .collect(),
        },
        Some(Payload::Form(pairs)) => {
            values(function, pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        }
        _ => {
            let given = request.query.arguments.iter();
            values(function, given.map(|(name, value)| (name.as_ref(), value.as_ref())))
        }
    }
}

/// The last value of each parameter; all of them for a variadic one.
fn values<'p>(
    function: &'p Function,
    given: impl DoubleEndedIterator<Item = (&'p str, &'p str)> + Clone,
) -> Arguments<'p> {
    let mut values = Vec::new();
    for parameter in &function.parameters {
        let mut own = given.clone().filter(|(name, _)| *name == parameter.name);
        if parameter.variadic {
            let all: Vec<_> = own.map(|(_, value)| Text::Borrowed(value)).collect();
            if !all.is_empty() {
                values.push((parameter, Value::Many(all)));
            }
        } else if let Some((_, value)) = own.next_back() {
            values.push((parameter, Value::One(Text::Borrowed(value))));
        }
    }
    Arguments::Values(values)
}
