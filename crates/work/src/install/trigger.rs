//! The triggers that make jobs of rows, generated for one binding.
//!
//! People write conditions on bare columns; a trigger's `when` needs `new.status` and `old.status`. PostgreSQL itself
//! rewrites them: its deparser qualifies every column of a view that reads more than one relation.

mod columns;
mod maker;
mod queued;

use plinth_postgres::quote::ident;
use tokio_postgres::{GenericClient, Transaction};

use self::columns::{EMPTY, NULL, bounded, clamped};
use crate::manifest::{BindingSpec, Priority, Sql};

/// Why the triggers cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    /// PostgreSQL refuses an expression.
    #[error("`{what}` cannot be understood")]
    Expression {
        /// Which key of the binding.
        what: &'static str,
        /// What PostgreSQL says.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A condition is no condition.
    #[error("`{what}` is {found}, not boolean")]
    NotBoolean {
        /// Which key of the binding.
        what: &'static str,
        /// Its type.
        found: String,
    },
    /// There is no such table.
    #[error("there is no table `{0}`")]
    NoTable(String),
    /// There is no such column.
    #[error("table `{0}` has no column `{1}`")]
    NoColumn(String, String),
    /// A key must be one column that is unique.
    #[error("table `{0}` has no primary key of one column, so the binding must name its `key`")]
    NoKey(String),
    /// PostgreSQL refuses a trigger.
    #[error("cannot make the triggers")]
    Trigger(#[source] tokio_postgres::Error),
}

/// What makes jobs of a table's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowBinding {
    /// The binding's number.
    pub id: i32,
    /// Schema of the table.
    pub schema: String,
    /// The table.
    pub table: String,
    /// The state in which a row has a job: a condition on its columns.
    pub when: String,
    /// The column that names a row; `None`: the primary key's only one.
    pub key: Option<String>,
    /// A state in which its job is cancelled, even while it runs.
    pub cancel_when: Option<String>,
    /// Expressions on the row's columns.
    pub priority: Option<String>,
    /// Turns are taken across this.
    pub fair: Option<String>,
    /// What the rate limit counts by.
    pub rate_key: Option<String>,
    /// What the limit of jobs at once counts by.
    pub seat_key: Option<String>,
    /// Whether rows that are in the state already get jobs.
    pub backfill: bool,
}

/// Expressions of a binding, with columns that say which row they are of. Those of priority and keys are what its jobs get.
struct Rewritten {
    when: [String; 2],
    cancel_when: Option<[String; 2]>,
    priority: String,
    fair: String,
    rate_key: String,
    seat_key: String,
}

/// What was done to a table and its jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Jobs that rows got which were in the state already.
    pub backfilled: u64,
    /// Has unfinished jobs wait in the place where those wait that the triggers make from now on.
    settle: String,
}

impl Installed {
    /// Moves unfinished jobs to where those wait that the triggers make now. Says how many are left because they are being
    /// taken or ended at the moment: waiting for them could deadlock with what their end writes to the table.
    ///
    /// # Errors
    ///
    /// [`TriggerError::Trigger`].
    pub async fn settle(&self, client: &impl GenericClient) -> Result<i64, TriggerError> {
        let left = client.query_one(&self.settle, &[]).await.map_err(TriggerError::Trigger)?;
        Ok(left.get(0))
    }
}

/// Makes the triggers of a binding in the place of those that it has, and gives rows that are in its state their jobs.
/// `transaction` has the rights of the table's owner.
///
/// # Errors
///
/// [`TriggerError`].
pub async fn install_triggers(
    transaction: &Transaction<'_>,
    binding: &RowBinding,
) -> Result<Installed, TriggerError> {
    let failed = TriggerError::Trigger;
    let table = binding.relation();
    check_table(transaction, binding).await?;
    let key = key_column(transaction, binding).await?;
    let rewritten = rewrite_all(transaction, binding).await?;
    drop_triggers(transaction, binding).await?;
    transaction.batch_execute(&functions(binding, &key, &rewritten)).await.map_err(failed)?;
    let maker = maker::function(binding, &table, &key, &rewritten);
    transaction.batch_execute(&maker).await.map_err(failed)?;
    // From here to the end of the transaction nobody writes to the table, so no row is missed and none comes twice.
    transaction.batch_execute(&triggers(binding, &table, &rewritten)).await.map_err(failed)?;
    let settle = queued::settle(binding, &table, &key, &rewritten);
    let mut installed = Installed { backfilled: 0, settle };
    installed.settle(transaction).await?;
    if binding.backfill {
        let backfill = queued::backfill(binding, &table, &key, &rewritten);
        installed.backfilled = transaction.execute(&backfill, &[]).await.map_err(failed)?;
    }
    Ok(installed)
}

/// Removes what [`install_triggers`] made. The jobs stay.
///
/// # Errors
///
/// [`TriggerError`].
pub async fn drop_triggers(
    transaction: &Transaction<'_>,
    binding: &RowBinding,
) -> Result<(), TriggerError> {
    let of = "select tgrelid::regclass::text, tgname from pg_catalog.pg_trigger
              join pg_catalog.pg_proc on pg_proc.oid = tgfoid
              where pronamespace = 'plinth_bindings'::regnamespace and tgparentid = 0
                and proname in ('enqueue_' || $1::text, 'leave_' || $1::text)";
    let id = binding.id.to_string();
    let found = transaction.query(of, &[&id]).await.map_err(TriggerError::Trigger)?;
    for row in found {
        // As regclass prints it: quoted where that is needed.
        let (table, name): (String, String) = (row.get(0), row.get(1));
        let drop = format!("drop trigger {} on {table}", ident(&name));
        transaction.batch_execute(&drop).await.map_err(TriggerError::Trigger)?;
    }
    let drop = format!(
        "drop function if exists plinth_bindings.enqueue_{id}(), plinth_bindings.leave_{id}(),
         plinth_bindings.make_{id}(text, jsonb, bigint)"
    );
    transaction.batch_execute(&drop).await.map_err(TriggerError::Trigger)
}

impl RowBinding {
    /// What the binding with that number says of its table.
    pub fn of(id: i32, spec: &BindingSpec) -> Self {
        let text = |sql: &Sql| sql.as_str().to_owned();
        let limit = spec.limit.as_ref().and_then(|limit| limit.key.as_ref());
        let concurrency =
            spec.concurrency.as_ref().and_then(|concurrency| concurrency.key.as_ref());
        Self {
            id,
            schema: spec.on.schema.clone(),
            table: spec.on.name.clone(),
            when: text(&spec.when),
            key: spec.key.clone(),
            cancel_when: spec.cancel_when.as_ref().map(text),
            priority: match &spec.priority {
                Priority::Fixed(priority) => Some(priority.to_string()),
                Priority::Of(sql) => Some(text(sql)),
            },
            fair: spec.fair.as_ref().map(text),
            rate_key: limit.map(text),
            seat_key: concurrency.map(text),
            backfill: spec.backfill,
        }
    }

    fn relation(&self) -> String {
        format!("{}.{}", ident(&self.schema), ident(&self.table))
    }
}

async fn check_table(
    transaction: &Transaction<'_>,
    binding: &RowBinding,
) -> Result<(), TriggerError> {
    let sql = "select from pg_catalog.pg_class
               where relnamespace = (select oid from pg_catalog.pg_namespace where nspname = $1)
                 and relname = $2 and relkind in ('r', 'p')";
    let found = transaction.query_opt(sql, &[&binding.schema, &binding.table]).await;
    match found.map_err(TriggerError::Trigger)? {
        Some(_) => Ok(()),
        None => Err(TriggerError::NoTable(format!("{}.{}", binding.schema, binding.table))),
    }
}

async fn key_column(
    transaction: &Transaction<'_>,
    binding: &RowBinding,
) -> Result<String, TriggerError> {
    let sql = "select attname::text from pg_catalog.pg_attribute
               where attrelid = $1::text::regclass and attnum > 0 and not attisdropped
                 and case when $2::text is not null then attname = $2
                     else attnum = (select conkey[1] from pg_catalog.pg_constraint
                                    where conrelid = attrelid and contype = 'p' and cardinality(conkey) = 1) end";
    let table = binding.relation();
    let found = transaction.query_opt(sql, &[&table, &binding.key]).await;
    match (found.map_err(TriggerError::Trigger)?, &binding.key) {
        (Some(row), _) => Ok(row.get(0)),
        (None, Some(column)) => Err(TriggerError::NoColumn(table, column.clone())),
        (None, None) => Err(TriggerError::NoKey(table)),
    }
}

async fn rewrite_all(
    transaction: &Transaction<'_>,
    binding: &RowBinding,
) -> Result<Rewritten, TriggerError> {
    let condition = async |what, text: &str| {
        let (new, found) = rewrite(transaction, binding, what, text, "new").await?;
        if found != "boolean" {
            return Err(TriggerError::NotBoolean { what, found });
        }
        let (old, _) = rewrite(transaction, binding, what, text, "old").await?;
        Ok([new, old])
    };
    let key = async |what, text: &Option<String>, default: &str| match text {
        Some(text) => Ok(bounded(&rewrite(transaction, binding, what, text, "new").await?.0)),
        None => Ok(default.to_owned()),
    };
    let when = condition("when", &binding.when).await?;
    let cancel_when = match &binding.cancel_when {
        Some(text) => Some(condition("cancel_when", text).await?),
        None => None,
    };
    let rate_key = key("limit.key", &binding.rate_key, NULL).await?;
    let seat_key = key("concurrency.key", &binding.seat_key, NULL).await?;
    // Jobs of a key that has no room are passed over together when turns are taken by that key.
    let turns = binding.fair.clone().or_else(|| binding.rate_key.clone());
    let turns = turns.or_else(|| binding.seat_key.clone());
    let fair = match turns {
        Some(_) => format!("coalesce({}, '')", key("fair", &turns, EMPTY).await?),
        None => EMPTY.to_owned(),
    };
    let priority = match &binding.priority {
        Some(text) => {
            let (sql, kind) = rewrite(transaction, binding, "priority", text, "new").await?;
            clamped(&sql, &kind)
        }
        None => "0".to_owned(),
    };
    Ok(Rewritten { when, cancel_when, priority, fair, rate_key, seat_key })
}

/// An expression on a row's columns, as one on those of `row` (`new`, `old`), and its type.
async fn rewrite(
    transaction: &Transaction<'_>,
    binding: &RowBinding,
    what: &'static str,
    text: &str,
    row: &str,
) -> Result<(String, String), TriggerError> {
    let failed = |source| TriggerError::Expression { what, source };
    // Line breaks, for a comment at the end of the text.
    let view = format!(
        "create temporary view plinth_rewritten as select (\n{text}\n) as value from {} as {row}, pg_catalog.pg_class as plinth_other",
        binding.relation(),
    );
    transaction.batch_execute(&view).await.map_err(failed)?;
    // With an empty search path every name of the definition is a full one.
    let path = "select pg_catalog.current_setting('search_path')";
    let path: String = transaction.query_one(path, &[]).await.map_err(failed)?.get(0);
    let set_path = "select pg_catalog.set_config('search_path', $1, true)";
    transaction.execute(set_path, &[&""]).await.map_err(failed)?;
    let definition = "select pg_catalog.pg_get_viewdef(attrelid), pg_catalog.format_type(atttypid, null)
                      from pg_catalog.pg_attribute where attrelid = 'pg_temp.plinth_rewritten'::regclass and attnum = 1";
    let found = transaction.query_one(definition, &[]).await.map_err(failed)?;
    transaction.execute(set_path, &[&path]).await.map_err(failed)?;
    let drop = "drop view pg_temp.plinth_rewritten";
    transaction.batch_execute(drop).await.map_err(failed)?;
    let (definition, kind): (String, String) = (found.get(0), found.get(1));
    let start = definition.find("SELECT ").map_or(0, |at| at + "SELECT ".len());
    let end = definition.rfind(" AS value\n   FROM ").unwrap_or(definition.len());
    Ok((definition[start..end].to_owned(), kind))
}

fn functions(binding: &RowBinding, key: &str, rewritten: &Rewritten) -> String {
    let Rewritten { priority, fair, rate_key, seat_key, .. } = rewritten;
    let (id, key) = (binding.id, ident(key));
    // Setting a search path takes longer than some inserts. Where nothing depends on one, it is left alone: every name
    // and every operator of these texts says where it is from.
    let constant = fair == EMPTY && rate_key == NULL && seat_key == NULL;
    let (columns, values, path) = match priority.parse::<u8>() {
        Ok(priority) if constant => ("priority", priority.to_string(), ""),
        _ => (
            "priority, fair, rate_key, seat_key",
            format!("{priority}, {fair}, {rate_key}, {seat_key}"),
            "set search_path = ''",
        ),
    };
    format!(
        "create function plinth_bindings.enqueue_{id}() returns trigger
         language plpgsql security definer {path}
         as $plinth$
         begin
           insert into plinth.job (binding, key, {columns}) values ({id}, (new.{key})::pg_catalog.text, {values});
           return null;
         end
         $plinth$;
         revoke all on function plinth_bindings.enqueue_{id}() from public;
         create function plinth_bindings.leave_{id}() returns trigger
         language plpgsql security definer
         set enable_seqscan = off
         as $plinth$
         begin
           -- Most rows leave by the end of their job, which is gone by then. The sum keeps this to the index of keys: when the
           -- table was empty at the last look at it, but full of what remains of jobs, the other one seems as good.
           if exists (
             select from plinth.job
             where key operator(pg_catalog.=) (old.{key})::pg_catalog.text
               and (binding operator(pg_catalog.+) 0) operator(pg_catalog.=) {id}
           ) then
             perform plinth.leave({id}, (old.{key})::pg_catalog.text, tg_argv[0]::pg_catalog.bool);
           end if;
           return null;
         end
         $plinth$;
         revoke all on function plinth_bindings.leave_{id}() from public;"
    )
}

fn triggers(binding: &RowBinding, table: &str, rewritten: &Rewritten) -> String {
    let id = binding.id;
    let [new, old] = &rewritten.when;
    let trigger = |name: &str, event: &str, when: &str, function: &str| {
        let when = if when.is_empty() { String::new() } else { format!("when ({when}) ") };
        format!(
            "create trigger {} after {event} on {table} for each row {when}execute function plinth_bindings.{function};",
            ident(&format!("plinth_{id}_{name}")),
        )
    };
    let enters = format!("({new}) and ({old}) is not true");
    let leaves = format!("({old}) and ({new}) is not true");
    let mut all = trigger("insert", "insert", new, &format!("enqueue_{id}()"));
    all += &trigger("enter", "update", &enters, &format!("enqueue_{id}()"));
    all += &trigger("leave", "update", &leaves, &format!("leave_{id}('false')"));
    if let Some([new, old]) = &rewritten.cancel_when {
        let cancels = format!("({new}) and ({old}) is not true");
        all += &trigger("cancel", "update", &cancels, &format!("leave_{id}('true')"));
    }
    all + &trigger("delete", "delete", "", &format!("leave_{id}('true')"))
}
