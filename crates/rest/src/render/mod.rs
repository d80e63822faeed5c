//! Plans become statements.
//!
//! The main statement answers one row: how many rows the page has, its body, and whatever else the
//! answer needs. [`Columns`] says where in that row each of them is.

mod call;
mod embed;
mod filter;
mod read;
mod write;

use plinth_catalog::{MediaHandler, Relation};

use crate::Statement;
use crate::error::{Raised, raise_prefix};
use crate::ident::Sql;
use crate::plan::ReadNode;
use crate::plan::call::{CallPlan, Shape};
use crate::plan::negotiate::{Handler, Negotiated};
use crate::plan::write::WritePlan;
use crate::request::media::PlanType;

/// Where the parts of the answer are in the main statement's row; the page's row count is first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) body: Option<usize>,
    pub(crate) total: Option<usize>,
    pub(crate) location: Option<usize>,
    pub(crate) inserted: Option<usize>,
    pub(crate) response_headers: Option<usize>,
    pub(crate) response_status: Option<usize>,
    /// Raises unless what was written may stand.
    check: Option<usize>,
    count: usize,
}

impl Columns {
    /// Whether the body comes after everything else.
    pub(crate) fn body_is_last(self) -> bool {
        self.body == Some(self.count)
    }

    fn next(&mut self, sql: &mut Sql) -> Option<usize> {
        sql.raw(", ");
        self.count += 1;
        Some(self.count)
    }
}

/// How the total is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Total {
    /// Not by the main statement.
    None,
    /// By counting everything.
    Count,
    /// By counting no further than this.
    CountTo(u64),
}

/// Conditions under which the statement must fail, so that its transaction is undone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Checks {
    pub(crate) singular: bool,
    pub(crate) put: bool,
    pub(crate) max_affected: Option<i64>,
}

/// What to render besides rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options<'o> {
    pub(crate) negotiated: &'o Negotiated<'o>,
    pub(crate) total: Total,
    /// Whether SQL of the database's owner may have set `response.headers` or `response.status`.
    pub(crate) settings: bool,
    pub(crate) checks: Checks,
    /// Primary key columns for `Location`.
    pub(crate) location: &'o [String],
    /// Whether an upsert must tell how many rows are new.
    pub(crate) inserted: bool,
}

/// A read of a relation.
pub(crate) fn read(node: &ReadNode<'_>, options: Options<'_>) -> (Statement, Columns) {
    let mut sql = start(options.negotiated.explain());
    if options.negotiated.handler == Handler::Csv {
        sql.raw("with ");
        named_page(&mut sql, node);
    }
    let mut columns = Columns::default();
    sql.raw("select count(*)");
    total(&mut sql, &mut columns, node, options.total);
    settings(&mut sql, &mut columns, options.settings);
    // Last, so that everything else is known when a large one begins to come.
    body(&mut sql, &mut columns, options.negotiated.handler, None);
    page(&mut sql, node, options.negotiated.handler);
    (sql.finish(), columns)
}

/// A read whose rows are the answer's. The total is their last column: it is found out once, when the
/// first row is made, and in the same snapshot.
pub(crate) fn rows(node: &ReadNode<'_>, total: Total) -> Statement {
    let mut sql = Sql::new();
    read::query_beside(&mut sql, node, |sql| {
        if total != Total::None {
            sql.raw(", ");
            count(sql, node, total);
        }
    });
    sql.finish()
}

/// A write, and a read of what it returned.
pub(crate) fn write(
    plan: &WritePlan<'_>,
    node: &ReadNode<'_>,
    options: Options<'_>,
) -> (Statement, Columns) {
    let mut sql = start(options.negotiated.explain());
    sql.raw("with pgrst_source as (");
    write::statement(&mut sql, plan);
    sql.raw(") ");
    if options.negotiated.handler == Handler::Csv {
        sql.raw(", ");
        named_page(&mut sql, node);
    }
    sql.raw("select count(*)");
    let mut columns = Columns::default();
    body(&mut sql, &mut columns, options.negotiated.handler, None);
    location(&mut sql, &mut columns, options.location);
    if options.inserted {
        columns.inserted = columns.next(&mut sql);
        sql.raw("nullif(current_setting('plinth.inserted', true), '')");
    }
    settings(&mut sql, &mut columns, options.settings);
    checks(&mut sql, &mut columns, options.checks, "count(*)");
    if options.negotiated.handler == Handler::Nothing {
        // Nothing of the representation is wanted, so its columns are not looked at either.
        sql.raw(" from pgrst_source _plinth_t");
    } else {
        page(&mut sql, node, options.negotiated.handler);
    }
    (sql.finish(), columns)
}

/// A call, and a read of what it gave.
pub(crate) fn call(
    plan: &CallPlan<'_>,
    node: &ReadNode<'_>,
    options: Options<'_>,
) -> (Statement, Columns) {
    let shape = Shape::of(plan.function);
    let mut sql = start(options.negotiated.explain());
    sql.raw("with pgrst_source as (");
    call::query(&mut sql, plan);
    sql.raw(") ");
    if options.negotiated.handler == Handler::Csv {
        sql.raw(", ");
        named_page(&mut sql, node);
    }
    // The whole row is counted: a column that nobody reads would not be computed, and the function not
    // called.
    sql.raw("select count(_plinth_t)");
    let mut columns = Columns::default();
    body(&mut sql, &mut columns, options.negotiated.handler, Some(shape));
    total(&mut sql, &mut columns, node, options.total);
    settings(&mut sql, &mut columns, options.settings);
    if !shape.is_single() {
        checks(&mut sql, &mut columns, options.checks, "count(_plinth_t)");
    }
    page(&mut sql, node, options.negotiated.handler);
    (sql.finish(), columns)
}

/// The page as a common table expression: CSV reads it twice.
fn named_page(sql: &mut Sql, node: &ReadNode<'_>) {
    sql.raw("pgrst_page as (");
    read::query(sql, node);
    sql.raw(") ");
}

/// The FROM of the main query.
fn page(sql: &mut Sql, node: &ReadNode<'_>, handler: Handler<'_>) {
    if handler == Handler::Csv {
        sql.raw(" from pgrst_page _plinth_t");
        return;
    }
    sql.raw(" from (");
    read::query(sql, node);
    sql.raw(") _plinth_t");
}

/// The planner's guess of how many rows a read has without its window.
pub(crate) fn planned_count(node: &ReadNode<'_>) -> Statement {
    let mut sql = Sql::new();
    sql.raw("explain (format json) ");
    read::count_query(&mut sql, node);
    sql.finish()
}

/// Whether a read may run functions of the database's owner, which may set headers and status.
pub(crate) fn runs_functions(node: &ReadNode<'_>) -> bool {
    use plinth_catalog::RelationKind as Kind;
    let known = |relation: &Relation| {
        let table = matches!(relation.kind, Kind::Table | Kind::PartitionedTable);
        table
            && node.select.iter().all(|it| {
                it.column.name == "*" || relation.columns.contains_key(it.column.name.as_ref())
            })
    };
    !node.relation.is_some_and(known) || node.children.iter().any(runs_functions)
}

fn start(explain: Option<&PlanType>) -> Sql {
    let mut sql = Sql::new();
    if let Some(plan) = explain {
        sql.raw(if plan.json { "explain (format json" } else { "explain (format text" });
        for option in &plan.options {
            sql.raw(", ").raw(option);
        }
        sql.raw(") ");
    }
    sql
}

fn body(sql: &mut Sql, columns: &mut Columns, handler: Handler<'_>, shape: Option<Shape>) {
    if handler == Handler::Nothing || shape == Some(Shape::Void) {
        return;
    }
    columns.body = columns.next(sql);
    let (stripped, first) = match handler {
        Handler::Csv => return csv(sql),
        Handler::GeoJson => return geo_json(sql),
        Handler::Custom(handler) => return custom(sql, handler, shape),
        Handler::Object { stripped } => (stripped, true),
        Handler::Json { stripped } => (stripped, shape.is_some_and(Shape::is_single)),
        Handler::Nothing => return,
    };
    sql.raw("coalesce(").raw(if stripped { "json_strip_nulls(" } else { "" });
    sql.raw(match shape {
        Some(Shape::Scalar | Shape::ScalarSet) => "json_agg(_plinth_t.pgrst_scalar)",
        _ => "json_agg(_plinth_t)",
    });
    sql.raw(if first { "->0" } else { "" }).raw(if stripped { ")" } else { "" });
    sql.raw(if first { ", 'null')" } else { ", '[]')" });
}

/// A row's text is that of CSV but for its parentheses; the header is the keys of the first row.
fn csv(sql: &mut Sql) {
    sql.raw(
        "(select coalesce(string_agg(key, ','), '') from (select json_object_keys(row_to_json(first)) as \
         key from (select * from pgrst_page limit 1) first) keys) || e'\\n' || \
         coalesce(string_agg(substring(_plinth_t::text, 2, length(_plinth_t::text) - 2), e'\\n'), '')",
    );
}

fn geo_json(sql: &mut Sql) {
    sql.raw(
        "json_build_object('type', 'FeatureCollection', 'features', \
         coalesce(json_agg(st_asgeojson(_plinth_t)::json), '[]'))",
    );
}

/// A value becomes the body by a cast to its domain, rows by an aggregate. There is one value, yet it
/// must be aggregated too: the page's count is an aggregate. Bytes travel as hexadecimal digits.
fn custom(sql: &mut Sql, handler: &MediaHandler, shape: Option<Shape>) {
    let scalar = shape.is_some_and(Shape::is_scalar);
    sql.raw(if handler.bytes { "encode((" } else { "(" });
    if scalar {
        sql.raw("string_agg(cast(_plinth_t.pgrst_scalar as ").qualified(&handler.name);
        sql.raw(if handler.bytes { ")::bytea, '')" } else { ")::text, '')" });
    } else {
        sql.qualified(&handler.name).raw("(_plinth_t");
        if let Some(target) = &handler.target {
            sql.raw("::").qualified(target);
        }
        sql.raw(")");
    }
    sql.raw(if handler.bytes { ")::bytea, 'hex')" } else { ")::text" });
}

fn total(sql: &mut Sql, columns: &mut Columns, node: &ReadNode<'_>, total: Total) {
    if total == Total::None {
        return;
    }
    columns.total = columns.next(sql);
    count(sql, node, total);
}

fn count(sql: &mut Sql, node: &ReadNode<'_>, total: Total) {
    sql.raw("(select count(*) from (");
    read::count_query(sql, node);
    if let Total::CountTo(bound) = total {
        sql.raw(" limit ").number(bound);
    }
    sql.raw(") _plinth_all)");
}

fn settings(sql: &mut Sql, columns: &mut Columns, wanted: bool) {
    if wanted {
        columns.response_headers = columns.next(sql);
        sql.raw("nullif(current_setting('response.headers', true), '')");
        columns.response_status = columns.next(sql);
        sql.raw("nullif(current_setting('response.status', true), '')");
    }
}

/// The primary key of the only row, as pairs of column and condition.
fn location(sql: &mut Sql, columns: &mut Columns, key: &[String]) {
    if key.is_empty() {
        return;
    }
    columns.location = columns.next(sql);
    sql.raw(
        "case when count(*) = 1 then (select json_agg(json_build_array(key, coalesce('eq.' || value, \
         'is.null'))) from json_each_text((select row_to_json(first) from pgrst_source first limit 1)) \
         where key in (",
    );
    sql.list(", ", key, |sql, column| {
        sql.name_literal(column);
    });
    sql.raw(")) end");
}

/// A column that cannot be computed when a check fails; see [`Raised`].
fn checks(sql: &mut Sql, columns: &mut Columns, checks: Checks, count: &'static str) {
    if checks == Checks::default() {
        return;
    }
    columns.check = columns.next(sql);
    sql.raw("case");
    let raise = |sql: &mut Sql, raised| {
        sql.raw(" then ('").raw(raise_prefix(raised)).raw("' || ").raw(count).raw(")::integer");
    };
    if checks.put {
        sql.raw(" when ").raw(count).raw(" <> 1");
        raise(sql, Raised::PutMismatch);
    }
    if checks.singular {
        sql.raw(" when ").raw(count).raw(" <> 1");
        raise(sql, Raised::NotSingular);
    }
    if let Some(rows) = checks.max_affected {
        sql.raw(" when ").raw(count).raw(" > ").text_param(&rows.to_string());
        raise(sql, Raised::MaxAffected);
    }
    sql.raw(" end");
}
