//! Prepares one SQL text and looks at what it would give.

use tokio_postgres::error::{DbError, ErrorPosition, SqlState};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Column};

use super::CheckError;
use super::relation::Table;
use crate::manifest::{Rendered, SqlText, Wants};

/// Type of `$row` where there is no table: a meter has the key as a text.
const NO_TABLE: &str = "text";

/// What is wrong with a text.
pub(super) struct Wrong {
    /// Bytes into the text.
    pub offset: usize,
    pub message: String,
    pub hint: Option<String>,
}

/// What is wrong with the text, if anything is. `key` is the type that [`Wants::Key`] asks for.
pub(super) async fn check(
    client: &Client,
    text: &SqlText,
    table: Option<&Table>,
    key: Option<u32>,
) -> Result<Option<Wrong>, CheckError> {
    let row_type = table.map_or(NO_TABLE, |table| &table.key_type);
    let rendered = text.sql.render(row_type);
    let frames = Frame::of(text.wants, table);
    let mut columns = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        match client.prepare(&frame.around(&rendered.text)).await {
            Ok(statement) if index == 0 => {
                columns = statement.columns().iter().map(Column::type_).cloned().collect();
            }
            Ok(_) => {}
            Err(error) => match error.as_db_error() {
                Some(refusal) => return Ok(Some(frame.wrong(&rendered, refusal))),
                None => return Err(error.into()),
            },
        }
    }
    if let Some(wrong) = wrong_result(text.wants, &columns, key) {
        return Ok(Some(wrong));
    }
    if let Some(table) = table.filter(|_| text.wants.has_columns())
        && let Some(wrong) = beyond_the_row(client, &rendered, table).await?
    {
        return Ok(Some(wrong));
    }
    match frames.first() {
        // A trigger reads the row that it is given, which takes no rights.
        Some(frame) if !text.wants.has_columns() => {
            lacks_rights(client, &frame.around(&text.sql.render_nulls(row_type))).await
        }
        _ => Ok(None),
    }
}

/// That the expression asks for nothing but the row's columns, and for none that is sealed.
async fn beyond_the_row(
    client: &Client,
    rendered: &Rendered,
    table: &Table,
) -> Result<Option<Wrong>, CheckError> {
    // No queries, like the `when` of a trigger: this only prepares. What else it refuses are names with the table before
    // them, which a trigger may have.
    let row_only = Frame {
        before: format!("insert into {} default values on conflict ((1)) where (", table.quoted),
        after: "\n) is null do nothing".to_owned(),
    };
    let is_query = |refusal: &DbError| *refusal.code() == SqlState::FEATURE_NOT_SUPPORTED;
    if let Some(refusal) = refused(client, &row_only.around(&rendered.text), is_query).await? {
        return Ok(Some(Wrong {
            offset: row_only.wrong(rendered, &refusal).offset,
            message: "is about the row alone: it cannot have a query in it".to_owned(),
            hint: Some("keep what it depends on in a column of the row".to_owned()),
        }));
    }
    for column in &table.sealed {
        // The row without the column.
        let without = Frame {
            before: "select (".to_owned(),
            after: format!("\n) from {}", table.without(client, column).await?),
        };
        let is_it = |refusal: &DbError| *refusal.code() == SqlState::UNDEFINED_COLUMN;
        if let Some(refusal) = refused(client, &without.around(&rendered.text), is_it).await? {
            return Ok(Some(Wrong {
                offset: without.wrong(rendered, &refusal).offset,
                message: format!("`{column}` is sealed"),
                hint: Some(super::sealing::WHY.to_owned()),
            }));
        }
    }
    Ok(None)
}

/// What PostgreSQL says of a statement, if it is that.
async fn refused(
    client: &Client,
    statement: &str,
    is_meant: impl Fn(&DbError) -> bool,
) -> Result<Option<DbError>, CheckError> {
    let Err(error) = client.prepare(statement).await else { return Ok(None) };
    match error.as_db_error() {
        Some(refusal) => Ok(Some(refusal.clone()).filter(is_meant)),
        None => Err(error.into()),
    }
}

/// What stands around a text so that it is a statement.
struct Frame {
    before: String,
    after: String,
}

impl Frame {
    /// The statements that a text is tried in; the first one's columns count.
    fn of(wants: Wants, table: Option<&Table>) -> Vec<Self> {
        let frame = |before: String, after: String| Self { before, after };
        match table {
            _ if wants.is_statement() => vec![frame(String::new(), String::new())],
            // The line break ends a comment.
            Some(table) if wants.has_columns() => vec![
                frame("select (".to_owned(), format!("\n) from {}", table.quoted)),
                // Here aggregates, windows and sets are refused, which have no value for one row.
                frame(format!("select from {} where (", table.quoted), "\n) is null".to_owned()),
            ],
            _ if wants.has_columns() => Vec::new(),
            _ => vec![frame("select (".to_owned(), "\n)".to_owned())],
        }
    }

    fn around(&self, text: &str) -> String {
        format!("{}{text}{}", self.before, self.after)
    }

    /// What PostgreSQL says, at the place of the source that it means.
    fn wrong(&self, rendered: &Rendered, refusal: &DbError) -> Wrong {
        let offset = match refusal.position() {
            Some(ErrorPosition::Original(character)) => {
                let whole = self.around(&rendered.text);
                let nth = (*character as usize).saturating_sub(1);
                let byte = whole.char_indices().nth(nth).map_or(whole.len(), |(at, _)| at);
                let byte = byte.saturating_sub(self.before.len()).min(rendered.text.len());
                rendered.source_offset(byte)
            }
            // Inside of a function, which is not in the manifest.
            Some(ErrorPosition::Internal { .. }) | None => 0,
        };
        let hint = refusal.hint().or_else(|| refusal.detail()).map(str::to_owned);
        Wrong { offset, message: refusal.message().to_owned(), hint }
    }
}

/// That the columns are what the place wants.
fn wrong_result(wants: Wants, columns: &[Type], key: Option<u32>) -> Option<Wrong> {
    let is_json = |column: &Type| matches!(*column, Type::JSONB | Type::JSON);
    let is_number = |column: &Type| matches!(*column, Type::INT2 | Type::INT4 | Type::INT8);
    let (must, hint) = match (wants, columns) {
        (Wants::Nothing | Wants::JsonOrNothing, []) | (Wants::Nothing, _) => return None,
        (Wants::Json | Wants::JsonOrNothing, [one]) if is_json(one) => return None,
        (Wants::Json | Wants::JsonOrNothing, _) => {
            ("one column of type jsonb", Some("`to_jsonb(…)` and `jsonb_build_object(…)` make one"))
        }
        (Wants::Condition | Wants::Test, [Type::BOOL]) => return None,
        (Wants::Condition | Wants::Test, _) => ("a boolean", None),
        (Wants::Number, [one]) if is_number(one) => return None,
        (Wants::Number, _) => ("a whole number", None),
        (Wants::Key, [one]) if key.is_none_or(|key| key == one.oid()) => return None,
        (Wants::Key, _) => {
            ("one column of the type of the key", Some("write a cast, such as `::uuid`"))
        }
        (Wants::Text | Wants::Column, [one]) if *one != Type::RECORD => return None,
        (Wants::Text | Wants::Column, _) => ("one column", None),
    };
    let is = match columns {
        [] => "nothing".to_owned(),
        columns => columns.iter().map(Type::name).collect::<Vec<_>>().join(", "),
    };
    let message = format!("must give {must}, and gives {is}");
    Some(Wrong { offset: 0, message, hint: hint.map(str::to_owned) })
}

/// That the role may do all that the statement does. Preparing does not ask that; planning does.
///
/// Values are null here: a plan needs some. What else fails because of them is not the manifest's fault.
async fn lacks_rights(client: &Client, statement: &str) -> Result<Option<Wrong>, CheckError> {
    let Err(error) = client.simple_query(&format!("explain {statement}")).await else {
        return Ok(None);
    };
    match error.as_db_error() {
        Some(refusal) if *refusal.code() == SqlState::INSUFFICIENT_PRIVILEGE => Ok(Some(Wrong {
            offset: 0,
            message: refusal.message().to_owned(),
            hint: Some("`role` says whose rights the SQL has".to_owned()),
        })),
        Some(_) => Ok(None),
        None => Err(error.into()),
    }
}
