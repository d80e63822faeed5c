//! Inserts, updates and deletes as SQL.

use plinth_catalog::{Column, QualifiedName, Relation};

use super::read;
use crate::ident::Sql;
use crate::plan::Qualifier;
use crate::plan::write::{Change, Conflict, Returning, Rows, WritePlan};
use crate::request::prefer::Resolution;

/// The rows of the body, as FROM knows them.
const BODY: &str = "pgrst_body";

/// The statement that writes, to stand in a common table expression.
pub(super) fn statement(sql: &mut Sql, plan: &WritePlan<'_>) {
    match &plan.change {
        Change::Insert { rows, conflict, put } => {
            insert(sql, plan, rows, conflict.as_ref(), *put);
        }
        Change::Update { rows } if rows.columns.is_empty() => return no_update(sql, plan),
        Change::Update { rows } => update(sql, plan, rows),
        Change::Delete => {
            sql.raw("delete from ").qualified(&plan.relation.name);
            conditions(sql, plan);
        }
    }
    sql.raw(" returning ");
    returning(sql, plan, "1");
}

fn insert(
    sql: &mut Sql,
    plan: &WritePlan<'_>,
    rows: &Rows<'_>,
    conflict: Option<&Conflict<'_>>,
    put: bool,
) {
    sql.raw("insert into ").qualified(&plan.relation.name);
    if !rows.columns.is_empty() {
        sql.raw("(").list(", ", &rows.columns, |sql, column| {
            sql.ident(&column.name);
        });
        sql.raw(")");
    }
    sql.raw(" select ").list(", ", &rows.columns, |sql, column| {
        sql.raw(BODY).raw(".").ident(&column.name);
    });
    sql.raw(" from ");
    body(sql, plan.relation, rows);
    let merges = conflict.is_some_and(|it| it.resolution == Resolution::Merge);
    if merges {
        // Counts the rows that come in; `do update` below takes off those that were there already.
        sql.raw(
            " where set_config('plinth.inserted', \
             (coalesce(nullif(current_setting('plinth.inserted', true), '')::int, 0) + 1)::text, true) <> '0'",
        );
    }
    if put {
        let of = Qualifier::Alias(BODY.to_owned());
        sql.raw(" and ");
        read::own_conditions(sql, &of, &plan.conditions);
    }
    if let Some(conflict) = conflict {
        on_conflict(sql, rows, conflict);
    }
}

fn on_conflict(sql: &mut Sql, rows: &Rows<'_>, conflict: &Conflict<'_>) {
    sql.raw(" on conflict (").list(", ", &conflict.columns, |sql, column| {
        sql.ident(column);
    });
    sql.raw(")");
    if conflict.resolution == Resolution::Ignore || rows.columns.is_empty() {
        sql.raw(" do nothing");
        return;
    }
    sql.raw(" do update set ").list(", ", &rows.columns, |sql, column| {
        sql.ident(&column.name).raw(" = excluded.").ident(&column.name);
    });
    sql.raw(
        " where set_config('plinth.inserted', \
         (coalesce(nullif(current_setting('plinth.inserted', true), '')::int, 0) - 1)::text, true) <> '-1'",
    );
}

fn update(sql: &mut Sql, plan: &WritePlan<'_>, rows: &Rows<'_>) {
    sql.raw("update ").qualified(&plan.relation.name);
    sql.raw(" set ").list(", ", &rows.columns, |sql, column| {
        sql.ident(&column.name).raw(" = ").raw(BODY).raw(".").ident(&column.name);
    });
    sql.raw(" from ");
    body(sql, plan.relation, rows);
    conditions(sql, plan);
}

/// A body without columns changes nothing; the rows it gives back must still have their columns.
fn no_update(sql: &mut Sql, plan: &WritePlan<'_>) {
    sql.raw("select ");
    returning(sql, plan, "null");
    sql.raw(" from ").qualified(&plan.relation.name).raw(" where false");
}

fn conditions(sql: &mut Sql, plan: &WritePlan<'_>) {
    if !plan.conditions.is_empty() {
        sql.raw(" where ");
        let of = Qualifier::Relation(&plan.relation.name);
        read::own_conditions(sql, &of, &plan.conditions);
    }
}

fn returning(sql: &mut Sql, plan: &WritePlan<'_>, nothing: &'static str) {
    let relation = &plan.relation.name;
    match &plan.returning {
        Returning::Nothing => sql.raw(nothing),
        Returning::All => sql.qualified(relation).raw(".*"),
        Returning::Columns(columns) => sql.list(", ", columns, |sql, column| {
            sql.qualified(relation).raw(".").ident(column);
        }),
    };
}

/// The body as a FROM item with typed columns. It is one parameter, however many rows it has.
fn body(sql: &mut Sql, relation: &Relation, rows: &Rows<'_>) {
    if !rows.by_position && !rows.columns.iter().any(|column| reader(column).is_some()) {
        return keyed(sql, relation, rows);
    }
    sql.raw("(select ").list(", ", rows.columns.iter().enumerate(), |sql, (at, column)| {
        let reader = reader(column);
        if let Some(reader) = reader {
            sql.qualified(reader).raw("(");
        }
        sql.raw(BODY).raw(".");
        key(sql, rows, at, column);
        sql.raw(if reader.is_some() { ") as " } else { " as " }).ident(&column.name);
    });
    sql.raw(" from ");
    keyed(sql, relation, rows);
    sql.raw(") as ").raw(BODY);
}

/// The function by which the column's domain reads the JSON that clients write.
fn reader(column: &Column) -> Option<&QualifiedName> {
    column.representation.as_ref()?.from_json.as_ref()
}

/// The body with its columns named as the keys of its objects are.
fn keyed(sql: &mut Sql, relation: &Relation, rows: &Rows<'_>) {
    elements(sql, relation, rows);
    sql.raw(" as ").raw(BODY);
    if !rows.columns.is_empty() {
        sql.raw("(").list(", ", rows.columns.iter().enumerate(), |sql, (at, column)| {
            key(sql, rows, at, column);
            let as_written = reader(column).is_some();
            sql.raw(" ").catalog_text(if as_written { "json" } else { &column.type_name });
        });
        sql.raw(")");
    }
}

/// The key of a column in the objects of the body.
fn key(sql: &mut Sql, rows: &Rows<'_>, at: usize, column: &Column) {
    if rows.by_position {
        sql.raw("\"").number(at as u64).raw("\"");
    } else {
        sql.ident(&column.name);
    }
}

/// The function that makes records out of the body.
fn elements(sql: &mut Sql, relation: &Relation, rows: &Rows<'_>) {
    let json = rows.json.clone();
    match (rows.columns.is_empty(), rows.defaults, rows.object) {
        (true, _, true) => {
            sql.raw("(values (1))");
        }
        (true, _, false) => {
            sql.raw("json_array_elements(").param(json).raw("::json)");
        }
        (false, false, object) => {
            sql.raw(if object { "json_to_record(" } else { "json_to_recordset(" });
            sql.param(json).raw("::json)");
        }
        (false, true, true) => {
            sql.raw("jsonb_to_record(");
            defaults(sql, relation, rows);
            sql.raw(" || ").param(json).raw("::jsonb)");
        }
        (false, true, false) => {
            // Row by row, so that a volatile default is another one for each.
            sql.raw("jsonb_array_elements(").param(json);
            sql.raw("::jsonb) as pgrst_row(value), lateral jsonb_to_record(");
            defaults(sql, relation, rows);
            sql.raw(" || pgrst_row.value)");
        }
    }
}

/// An object with the default of every column that has one and may be written.
fn defaults(sql: &mut Sql, relation: &Relation, rows: &Rows<'_>) {
    sql.raw("jsonb_build_object(");
    let with_default = rows.columns.iter().filter(|it| it.default.is_some() && !it.generated);
    sql.list(", ", with_default, |sql, column| {
        sql.name_literal(&column.name).raw(", ");
        match &column.default {
            // The default of an identity column is no expression, but it is this.
            _ if column.identity => identity(sql, relation, column),
            default => default_value(sql, column, default.as_deref().unwrap_or_default()),
        }
    });
    sql.raw(")");
}

/// A default, written as the clients would write it: it is read as their values are.
fn default_value(sql: &mut Sql, column: &Column, default: &str) {
    let writer = column.representation.as_ref().filter(|it| it.from_json.is_some());
    match writer.and_then(|it| it.to_json.as_ref()) {
        Some(writer) => sql.qualified(writer).raw("(").catalog_text(default).raw(")"),
        None => sql.catalog_text(default),
    };
}

fn identity(sql: &mut Sql, relation: &Relation, column: &Column) {
    let mut name = Sql::new();
    name.qualified(&relation.name);
    sql.raw("nextval(pg_get_serial_sequence(").name_literal(name.text()).raw(", ");
    sql.name_literal(&column.name).raw("))");
}
