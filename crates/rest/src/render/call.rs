//! Function calls as SQL.

use bytes::Bytes;
use plinth_catalog::Parameter;

use crate::ident::{Sql, array_literal};
use crate::plan::call::{Arguments, CallPlan, Shape, Value};

/// The query that calls, to stand in a common table expression.
pub(super) fn query(sql: &mut Sql, plan: &CallPlan<'_>) {
    let scalar = Shape::of(plan.function).is_scalar();
    sql.raw("select ");
    match &plan.columns {
        _ if scalar => sql.raw("pgrst_call.pgrst_scalar"),
        None => sql.raw("pgrst_call.*"),
        Some(columns) => sql.list(", ", columns, |sql, column| {
            sql.raw("pgrst_call.").ident(column);
        }),
    };
    sql.raw(" from ");
    if let Arguments::Json { json, object, parameters } = &plan.arguments
        && !parameters.is_empty()
    {
        body(sql, json, *object, parameters);
        sql.raw(", lateral ");
    }
    sql.raw(if scalar { "(select " } else { "" });
    sql.qualified(&plan.function.name).raw("(");
    arguments(sql, &plan.arguments);
    sql.raw(if scalar { ") as pgrst_scalar) as pgrst_call" } else { ") as pgrst_call" });
}

/// The body as one typed row.
fn body(sql: &mut Sql, json: &Bytes, object: bool, parameters: &[&Parameter]) {
    // Of an array only the first element is an argument list.
    sql.raw(if object { "json_to_record(" } else { "(select * from json_to_recordset(" });
    sql.param(json.clone()).raw("::json) as ");
    sql.raw(if object { "pgrst_body(" } else { "pgrst_rows(" });
    sql.list(", ", parameters, |sql, parameter| {
        sql.ident(&parameter.name).raw(" ").catalog_text(&parameter.type_name);
    });
    sql.raw(if object { ")" } else { ") limit 1) as pgrst_body" });
}

fn arguments(sql: &mut Sql, arguments: &Arguments<'_>) {
    match arguments {
        Arguments::Body { parameter, body } => {
            sql.param(single(parameter, body)).raw("::").catalog_text(&parameter.type_name);
        }
        Arguments::Values(values) => {
            sql.list(", ", values, |sql, (parameter, value)| {
                name(sql, parameter);
                match value {
                    Value::One(text) => sql.text_param(text),
                    // Commas separate the elements of most array types, but not of all: of texts they do.
                    Value::Many(texts) => {
                        sql.param(array_literal(texts.iter().map(AsRef::as_ref))).raw("::text[]")
                    }
                };
                sql.raw("::").catalog_text(&parameter.type_name);
            });
        }
        Arguments::Json { parameters, .. } => {
            sql.list(", ", parameters, |sql, parameter| {
                name(sql, parameter);
                sql.raw("pgrst_body.").ident(&parameter.name);
            });
        }
    }
}

fn name(sql: &mut Sql, parameter: &Parameter) {
    sql.raw(if parameter.variadic { "variadic " } else { "" });
    sql.ident(&parameter.name).raw(" := ");
}

/// The body as the text of one value.
fn single(parameter: &Parameter, body: &Bytes) -> Bytes {
    if parameter.type_name != "bytea" {
        return body.clone();
    }
    let mut text = Vec::with_capacity(body.len() * 2 + 2);
    text.extend_from_slice(b"\\x");
    for byte in body {
        for nibble in [byte >> 4, byte & 15] {
            text.push(b"0123456789abcdef"[usize::from(nibble)]);
        }
    }
    text.into()
}
