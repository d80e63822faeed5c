//! Reads as SQL: one query per node, embeds by lateral joins.

use plinth_catalog::Via;

use super::embed::{self, Cut, Reach};
use super::filter;
use crate::ident::{CastType, Sql};
use crate::plan::{
    Column, Condition, Embedded, JoinOn, Qualifier, ReadNode, Selected, Source, Spread, SpreadField,
};
use crate::request::select::Aggregate;

/// The common table expression that holds what a write or a call returned.
pub(super) const RETURNED: &str = "pgrst_source";

/// `select … from … where … order by … limit …`
pub(super) fn query(sql: &mut Sql, node: &ReadNode<'_>) {
    query_beside(sql, node, |_| {});
}

/// As [`query`], with what `more` writes after the selected columns, of which there must be some.
pub(super) fn query_beside(sql: &mut Sql, node: &ReadNode<'_>, more: impl FnOnce(&mut Sql)) {
    sql.raw("select ");
    select_list(sql, node);
    more(sql);
    let is_cut = embed::is_cut_first(node);
    if is_cut {
        cut(sql, node);
        joins(sql, node);
    } else {
        from(sql, node);
        joins(sql, node);
        condition_list(sql, node);
        group_by(sql, node);
    }
    filter::order(sql, &node.qualifier, &node.order);
    // A page stays one where an embed of one row turns out to have several.
    limit(sql, node);
    if !is_cut {
        offset(sql, node);
    }
}

/// The page as FROM knows it: rows with conditions, order and window, before anything is embedded.
fn cut(sql: &mut Sql, node: &ReadNode<'_>) {
    sql.raw(" from (select ");
    match embed::cut_columns(node) {
        Some(Cut::Columns(columns)) => {
            sql.list(", ", columns, |sql, name| {
                filter::qualifier(sql, &node.qualifier);
                sql.raw(".").ident(&name);
            });
        }
        Some(Cut::All) | None => {
            filter::qualifier(sql, &node.qualifier);
            sql.raw(".*");
        }
    }
    from(sql, node);
    condition_list(sql, node);
    filter::order(sql, &node.qualifier, &node.order);
    limit(sql, node);
    offset(sql, node);
    sql.raw(") as ");
    filter::qualifier(sql, &node.qualifier);
}

/// `select 1 from … where …`: as many rows as [`query`] has without its window. An inner embed is a
/// condition here, not a join.
pub(super) fn count_query(sql: &mut Sql, node: &ReadNode<'_>) {
    sql.raw("select 1");
    from(sql, node);
    let mut separator = " where ";
    let mut next = |sql: &mut Sql| {
        sql.raw(separator);
        separator = " and ";
    };
    for on in &node.join_on {
        next(sql);
        join_on(sql, on);
    }
    if !node.conditions.is_empty() {
        next(sql);
        filter::conditions(sql, &node.qualifier, &node.conditions, &mut |sql, negated, alias| {
            if let Some(child) = child_named(node, alias) {
                exists(sql, child, negated, Rows::AnyOrder);
            }
        });
    }
    for child in node.children.iter().filter(|child| child.inner) {
        next(sql);
        exists(sql, child, true, Rows::AnyOrder);
    }
}

/// Whether a condition may change the order in which rows are found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    AnyOrder,
    AsFound,
}

fn child_named<'n, 'p>(node: &'n ReadNode<'p>, alias: &str) -> Option<&'n ReadNode<'p>> {
    node.children.iter().find(|child| child.alias == alias)
}

/// PostgreSQL makes EXISTS a join, which may begin at either side. With an offset it looks for each row
/// instead, so that rows nobody ordered come as the relation has them.
fn exists(sql: &mut Sql, child: &ReadNode<'_>, wanted: bool, rows: Rows) {
    sql.raw(if wanted { "exists (" } else { "not exists (" });
    count_query(sql, child);
    sql.raw(if rows == Rows::AsFound { " offset 0)" } else { ")" });
}

fn select_list(sql: &mut Sql, node: &ReadNode<'_>) {
    if node.select.is_empty() && node.children.is_empty() {
        filter::qualifier(sql, &node.qualifier);
        sql.raw(".*");
        return;
    }
    let mut separator = "";
    let mut next = |sql: &mut Sql| {
        sql.raw(separator);
        separator = ", ";
    };
    for item in &node.select {
        next(sql);
        selected(sql, &node.qualifier, item);
    }
    if let Spread::ToMany { extra, .. } = &node.spread {
        for (embed, item) in extra {
            next(sql);
            match embed {
                Some(embed) => selected(sql, &Qualifier::Alias(embed.clone()), item),
                None => selected(sql, &node.qualifier, item),
            }
        }
    }
    for (child, embedded) in node.children.iter().zip(&node.embedded) {
        match embedded {
            Embedded::Nothing => {}
            Embedded::Object(name) => {
                next(sql);
                sql.raw("to_jsonb(").ident(&child.alias).raw(".*) as ").ident(name);
            }
            Embedded::Array(name) => {
                next(sql);
                sql.raw("coalesce(").ident(&child.alias).raw(".").ident(&child.alias);
                sql.raw(", '[]') as ").ident(name);
            }
            Embedded::Fields(fields) => {
                for field in fields {
                    next(sql);
                    spread_field(sql, &child.alias, field);
                }
            }
        }
    }
}

fn selected(sql: &mut Sql, of: &Qualifier<'_>, item: &Selected<'_>) {
    sql.raw(if item.to_json { "to_json(" } else { "" });
    aggregated(sql, item.aggregate, item.aggregate_cast, |sql| {
        cast(sql, item.cast, |sql| shown(sql, of, &item.column));
    });
    sql.raw(if item.to_json { ")" } else { "" });
    if let Some(alias) = &item.alias {
        sql.raw(" as ").ident(alias);
    }
}

/// A column as clients see it.
fn shown(sql: &mut Sql, of: &Qualifier<'_>, column: &Column<'_>) {
    if let Some(function) = column.shown_by {
        sql.qualified(function).raw("(");
        filter::column(sql, of, column);
        sql.raw(")");
    } else {
        filter::column(sql, of, column);
    }
}

fn spread_field(sql: &mut Sql, embed: &str, field: &SpreadField<'_>) {
    aggregated(sql, field.aggregate, field.cast, |sql| spread_column(sql, embed, field));
    if let Some(alias) = &field.alias {
        sql.raw(" as ").ident(alias);
    }
}

fn spread_column(sql: &mut Sql, embed: &str, field: &SpreadField<'_>) {
    sql.ident(embed).raw(".");
    if field.name == "*" {
        sql.raw("*");
    } else {
        sql.ident(&field.name);
    }
}

fn aggregated(
    sql: &mut Sql,
    aggregate: Option<Aggregate>,
    result: Option<CastType<'_>>,
    inner: impl FnOnce(&mut Sql),
) {
    let function = match aggregate {
        None => return inner(sql),
        Some(Aggregate::Sum) => "sum(",
        Some(Aggregate::Average) => "avg(",
        Some(Aggregate::Count) => "count(",
        Some(Aggregate::Max) => "max(",
        Some(Aggregate::Min) => "min(",
    };
    cast(sql, result, |sql| {
        sql.raw(function);
        inner(sql);
        sql.raw(")");
    });
}

fn cast(sql: &mut Sql, to: Option<CastType<'_>>, inner: impl FnOnce(&mut Sql)) {
    let Some(to) = to else { return inner(sql) };
    sql.raw("cast(");
    inner(sql);
    sql.raw(" as ").cast_type(to).raw(")");
}

fn from(sql: &mut Sql, node: &ReadNode<'_>) {
    sql.raw(" from ");
    match &node.source {
        Source::Relation(name) => sql.qualified(name),
        Source::Returned => sql.raw(RETURNED),
        Source::Function { function, row, row_type } => {
            // The cast chooses among overloads: a row of a common table expression has no type.
            sql.qualified(function).raw("(").ident(row).raw("::").qualified(row_type).raw(")")
        }
    };
    if let Qualifier::Alias(alias) = &node.qualifier {
        sql.raw(" as ").ident(alias);
    }
    if let Some(Via::Junction(junction)) = node.relationship.map(|it| &it.via) {
        sql.raw(", ").qualified(&junction.relation);
    }
}

fn joins(sql: &mut Sql, node: &ReadNode<'_>) {
    for (child, embedded) in node.children.iter().zip(&node.embedded) {
        match embed::reach(node, child, embedded) {
            Reach::Unused | Reach::Asked => {}
            Reach::Joined => join(sql, child, embedded, false),
            Reach::Required => join(sql, child, embedded, true),
        }
    }
}

fn join(sql: &mut Sql, child: &ReadNode<'_>, embedded: &Embedded<'_>, required: bool) {
    let to_one = embed::is_to_one(child);
    sql.raw(if required { " inner join lateral (" } else { " left join lateral (" });
    if to_one {
        query(sql, child);
    } else {
        sql.raw("select json_agg(").ident(&child.alias).raw(")::jsonb as ").ident(&child.alias);
        if let (Spread::ToMany { order, .. }, Embedded::Fields(fields)) = (&child.spread, embedded)
        {
            for field in fields {
                sql.raw(", coalesce(json_agg(");
                spread_column(sql, &child.alias, field);
                filter::order(sql, &Qualifier::Alias(child.alias.clone()), order);
                sql.raw("), '[]')::jsonb as ");
                sql.ident(field.alias.as_ref().unwrap_or(&field.name));
            }
        }
        sql.raw(" from (");
        query(sql, child);
        sql.raw(") as ").ident(&child.alias);
    }
    sql.raw(") as ").ident(&child.alias).raw(" on ");
    if required && !to_one {
        sql.ident(&child.alias).raw(" is not null");
    } else {
        sql.raw("true");
    }
}

fn condition_list(sql: &mut Sql, node: &ReadNode<'_>) {
    let mut separator = " where ";
    let mut next = |sql: &mut Sql| {
        sql.raw(separator);
        separator = " and ";
    };
    let rows = if node.order.is_empty() { Rows::AsFound } else { Rows::AnyOrder };
    if !node.conditions.is_empty() {
        next(sql);
        filter::conditions(sql, &node.qualifier, &node.conditions, &mut |sql, negated, alias| {
            match child_named(node, alias) {
                Some(child) if embed::can_be_asked(child) => exists(sql, child, negated, rows),
                _ => filter::joined_null_embed(sql, negated, alias),
            }
        });
    }
    for child in node.children.iter().filter(|child| embed::is_asked(node, child)) {
        next(sql);
        exists(sql, child, true, rows);
    }
    for on in &node.join_on {
        next(sql);
        join_on(sql, on);
    }
}

/// Conditions on a node whose embeds are joined.
pub(super) fn own_conditions(sql: &mut Sql, of: &Qualifier<'_>, conditions: &[Condition<'_>]) {
    filter::conditions(sql, of, conditions, &mut filter::joined_null_embed);
}

fn join_on(sql: &mut Sql, on: &JoinOn<'_>) {
    filter::qualifier(sql, &on.left.0);
    sql.raw(".").ident(on.left.1).raw(" = ");
    filter::qualifier(sql, &on.right.0);
    sql.raw(".").ident(on.right.1);
}

/// Groups by everything that is not aggregated, when something is.
fn group_by(sql: &mut Sql, node: &ReadNode<'_>) {
    if !embed::groups(node) {
        return;
    }
    let mut separator = " group by ";
    let mut next = |sql: &mut Sql| {
        sql.raw(separator);
        separator = ", ";
    };
    for item in node.select.iter().filter(|item| item.aggregate.is_none()) {
        next(sql);
        match &item.alias {
            Some(alias) => {
                sql.ident(alias);
            }
            None => filter::column(sql, &node.qualifier, &item.column),
        }
    }
    for (child, embedded) in node.children.iter().zip(&node.embedded) {
        match embedded {
            Embedded::Nothing => {}
            Embedded::Object(name) | Embedded::Array(name) => {
                next(sql);
                sql.ident(name);
            }
            Embedded::Fields(fields) => {
                for field in fields.iter().filter(|field| field.aggregate.is_none()) {
                    next(sql);
                    spread_column(sql, &child.alias, field);
                }
            }
        }
    }
}

/// ` limit …`. A bound of the server's own is part of the text: it does not vary.
fn limit(sql: &mut Sql, node: &ReadNode<'_>) {
    let capped = node.range.capped(node.cap);
    match (node.range.limit(), node.cap) {
        (Some(_), _) => {
            sql.raw(" limit ").text_param(&capped.limit().unwrap_or_default().to_string());
        }
        (None, Some(cap)) => {
            sql.raw(" limit ").number(cap);
        }
        (None, None) => {}
    }
}

fn offset(sql: &mut Sql, node: &ReadNode<'_>) {
    let lower = node.range.capped(node.cap).lower;
    if lower != 0 {
        sql.raw(" offset ").text_param(&lower.to_string());
    }
}
