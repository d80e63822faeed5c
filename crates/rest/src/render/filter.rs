//! Columns, conditions and orders as SQL.

use plinth_catalog::QualifiedName;

use crate::ident::{Sql, array_literal};
use crate::plan::{Column, Condition, Order, Qualifier};
use crate::request::field::JsonKey;
use crate::request::filter::{
    FtsOperator, IsValue, Operation, QuantOperator, Quantifier, SimpleOperator,
};
use crate::request::logic::Connective;
use crate::request::order::{Direction, Nulls};

/// A qualifier without the dot that follows it.
pub(super) fn qualifier(sql: &mut Sql, qualifier: &Qualifier<'_>) {
    match qualifier {
        Qualifier::Relation(name) => sql.qualified(name),
        Qualifier::Alias(alias) => sql.ident(alias),
    };
}

/// `"schema"."table"."column"`, with its JSON path.
pub(super) fn column(sql: &mut Sql, of: &Qualifier<'_>, column: &Column<'_>) {
    if column.whole_row {
        sql.ident(of.row());
        return;
    }
    let to_json = column.to_json && !column.path.is_empty();
    if to_json {
        sql.raw("to_jsonb(");
    }
    qualifier(sql, of);
    if column.name == "*" {
        sql.raw(".*");
    } else {
        sql.raw(".").ident(&column.name);
    }
    if to_json {
        sql.raw(")");
    }
    for step in column.path {
        sql.raw(if step.as_text { "->>" } else { "->" });
        match &step.key {
            JsonKey::Name(name) => sql.text_param(name),
            JsonKey::Index(index) => sql.text_param(index).raw("::int"),
        };
    }
}

/// Conditions joined by `and`; how an embed without rows is recognised differs between a read, which
/// has joined it, and a count, which has not.
pub(super) fn conditions(
    sql: &mut Sql,
    of: &Qualifier<'_>,
    items: &[Condition<'_>],
    null_embed: &mut dyn FnMut(&mut Sql, bool, &str),
) {
    sql.list(" and ", items, |sql, item| condition(sql, of, item, null_embed));
}

fn condition(
    sql: &mut Sql,
    of: &Qualifier<'_>,
    item: &Condition<'_>,
    null_embed: &mut dyn FnMut(&mut Sql, bool, &str),
) {
    match item {
        Condition::NullEmbed { negated, alias } => null_embed(sql, *negated, alias),
        Condition::Group { negated, connective, items } => {
            sql.raw(if *negated { "not (" } else { "(" });
            let separator = if *connective == Connective::And { " and " } else { " or " };
            sql.list(separator, items, |sql, item| condition(sql, of, item, null_embed));
            sql.raw(")");
        }
        Condition::Filter { column, to_tsvector, read_by, negated, operation } => {
            if *negated {
                sql.raw("not ");
            }
            filter(sql, of, column, *to_tsvector, *read_by, operation);
        }
    }
}

/// `embed=is.null` where the embed is joined under that name.
pub(super) fn joined_null_embed(sql: &mut Sql, negated: bool, alias: &str) {
    // `is null` would be true of a row whose columns are all null.
    sql.ident(alias).raw(if negated {
        " is distinct from null"
    } else {
        " is not distinct from null"
    });
}

fn filter(
    sql: &mut Sql,
    of: &Qualifier<'_>,
    field: &Column<'_>,
    to_tsvector: bool,
    read_by: Option<&QualifiedName>,
    operation: &Operation<'_>,
) {
    if let Operation::Fts(_, config, _) = operation
        && to_tsvector
    {
        sql.raw("to_tsvector(");
        fts_config(sql, *config);
        column(sql, of, field);
        sql.raw(")");
    } else {
        column(sql, of, field);
    }
    match operation {
        Operation::Simple(operator, value) => {
            sql.raw(simple_operator(*operator));
            operand(sql, read_by, value);
        }
        Operation::Quant(operator, quantifier, value) => {
            quant(sql, *operator, *quantifier, read_by, value);
        }
        Operation::In(values) => {
            // `in.()` is a list of nothing rather than of one empty text.
            let nothing = matches!(values.as_slice(), [one] if one.is_empty());
            let values = if nothing { &[] } else { values.as_slice() };
            let list = array_literal(values.iter().map(AsRef::as_ref));
            match read_by {
                Some(function) => sql
                    .raw(" = any(array(select ")
                    .qualified(function)
                    .raw("(value) from unnest(")
                    .param(list)
                    .raw("::text[]) as value))"),
                None => sql.raw(" = any(").param(list).raw(")"),
            };
        }
        Operation::Is(value) => {
            sql.raw(is_value(*value));
        }
        Operation::IsDistinct(value) => {
            sql.raw(" is distinct from ");
            operand(sql, read_by, value);
        }
        Operation::Fts(operator, config, value) => {
            sql.raw(fts_operator(*operator)).raw("(");
            fts_config(sql, *config);
            sql.text_param(value).raw(")");
        }
    }
}

fn fts_config(sql: &mut Sql, config: Option<&str>) {
    if let Some(config) = config {
        sql.text_param(config).raw(", ");
    }
}

/// A value as a client wrote it.
fn operand(sql: &mut Sql, read_by: Option<&QualifiedName>, value: &str) {
    match read_by {
        Some(function) => sql.qualified(function).raw("(").text_param(value).raw("::text)"),
        None => sql.text_param(value),
    };
}

fn quant(
    sql: &mut Sql,
    operator: QuantOperator,
    quantifier: Option<Quantifier>,
    read_by: Option<&QualifiedName>,
    value: &str,
) {
    sql.raw(quant_operator(operator));
    sql.raw(match quantifier {
        None => "",
        Some(Quantifier::Any) => "any(",
        Some(Quantifier::All) => "all(",
    });
    // `*` needs no encoding in a URL, which is why patterns may use it instead of `%`.
    if matches!(operator, QuantOperator::Like | QuantOperator::ILike) {
        if value.contains('*') {
            sql.param(value.replace('*', "%"));
        } else {
            sql.text_param(value);
        }
    } else {
        operand(sql, read_by, value);
    }
    if quantifier.is_some() {
        sql.raw(")");
    }
}

fn simple_operator(operator: SimpleOperator) -> &'static str {
    match operator {
        SimpleOperator::NotEqual => " <> ",
        SimpleOperator::Contains => " @> ",
        SimpleOperator::Contained => " <@ ",
        SimpleOperator::Overlaps => " && ",
        SimpleOperator::StrictlyLeft => " << ",
        SimpleOperator::StrictlyRight => " >> ",
        SimpleOperator::NotExtendsRight => " &< ",
        SimpleOperator::NotExtendsLeft => " &> ",
        SimpleOperator::Adjacent => " -|- ",
    }
}

fn quant_operator(operator: QuantOperator) -> &'static str {
    match operator {
        QuantOperator::Equal => " = ",
        QuantOperator::GreaterEqual => " >= ",
        QuantOperator::Greater => " > ",
        QuantOperator::LessEqual => " <= ",
        QuantOperator::Less => " < ",
        QuantOperator::Like => " like ",
        QuantOperator::ILike => " ilike ",
        QuantOperator::Match => " ~ ",
        QuantOperator::IMatch => " ~* ",
    }
}

fn fts_operator(operator: FtsOperator) -> &'static str {
    match operator {
        FtsOperator::Query => " @@ to_tsquery",
        FtsOperator::Plain => " @@ plainto_tsquery",
        FtsOperator::Phrase => " @@ phraseto_tsquery",
        FtsOperator::Websearch => " @@ websearch_to_tsquery",
    }
}

fn is_value(value: IsValue) -> &'static str {
    match value {
        IsValue::Null => " is null",
        IsValue::NotNull => " is not null",
        IsValue::True => " is true",
        IsValue::False => " is false",
        IsValue::Unknown => " is unknown",
    }
}

/// ` order by …`; nothing when there are no terms.
pub(super) fn order(sql: &mut Sql, of: &Qualifier<'_>, terms: &[Order<'_>]) {
    if terms.is_empty() {
        return;
    }
    sql.raw(" order by ");
    sql.list(", ", terms, |sql, term| {
        match &term.embed {
            Some(embed) => column(sql, &Qualifier::Alias(embed.clone()), &term.column),
            None => column(sql, of, &term.column),
        }
        match term.direction {
            Some(Direction::Ascending) => sql.raw(" asc"),
            Some(Direction::Descending) => sql.raw(" desc"),
            None => sql,
        };
        match term.nulls {
            Some(Nulls::First) => sql.raw(" nulls first"),
            Some(Nulls::Last) => sql.raw(" nulls last"),
            None => sql,
        };
    });
}
