//! Sealed columns: a trigger for each table that seals what is written, whoever writes it.
//!
//! It comes after all other triggers that change a row, by its name, and sees whatever they leave behind. The triggers
//! themselves say what is installed.

use std::collections::BTreeMap;

use plinth_postgres::PublicSealingKey;
use plinth_postgres::quote::{ident, literal};
use tokio_postgres::{Client, GenericClient, Transaction};

use super::apply::ApplyError;
use super::diff::{Change, What};
use crate::manifest::{Manifest, Problem, Relation, SealedSpec};

/// What changes of sealed columns are called beside those of bindings.
pub const SEALED: &str = "sealed";

/// The name of the triggers. Triggers of one moment fire in the order of their names, and `~` is behind all letters.
const TRIGGER: &str = "~plinth_seal";

const FAILED: &str = "cannot be sealed";

/// What is installed: tables, functions, their columns (which are the function's comment), and whether the trigger fires.
const INSTALLED: &str = "
    select nspname::text, relname::text, proname::text,
      coalesce(pg_catalog.obj_description(pg_proc.oid, 'pg_proc'), '[]'), tgenabled in ('O', 'A')
    from pg_catalog.pg_trigger
    join pg_catalog.pg_proc on pg_proc.oid = tgfoid
    join pg_catalog.pg_class on pg_class.oid = tgrelid
    join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
    where pronamespace = 'plinth_bindings'::pg_catalog.regnamespace and proname ~ '^seal_[0-9]+$'
    order by 1, 2";

/// A table whose columns are sealed now.
struct Installed {
    function: String,
    columns: Vec<String>,
    fires: bool,
}

/// One table, from what is installed to what is wanted.
struct Step<'a> {
    on: Relation,
    installed: Option<&'a Installed>,
    wanted: Option<&'a SealedSpec>,
    what: What,
}

type AllInstalled = BTreeMap<Relation, Installed>;

/// Gives a project's database the key that its columns are sealed with from now on. `client` is a session of the project's
/// owner.
///
/// # Errors
///
/// What the database says.
pub async fn set_sealing_key(
    client: &Client,
    key: &PublicSealingKey,
) -> Result<(), tokio_postgres::Error> {
    let set = "update plinth.sealing set name = $1, public = $2 where name is distinct from $1";
    client.execute(set, &[&key.name, &key.packet]).await.map(drop)
}

/// What would change.
pub(super) async fn diff(client: &Client, manifest: &Manifest) -> Result<Vec<Change>, ApplyError> {
    let installed = installed(client).await?;
    Ok(steps(&installed, manifest).iter().map(|step| step.change(0)).collect())
}

/// Has the columns sealed that the manifest names, and no others. Values that are there are sealed with it; those of columns
/// that are not named any more stay as they are.
pub(super) async fn apply(
    transaction: &Transaction<'_>,
    manifest: &Manifest,
) -> Result<Vec<Change>, ApplyError> {
    let installed = installed(transaction).await?;
    let mut changes = Vec::new();
    for step in steps(&installed, manifest) {
        let mut sealed = 0;
        if step.what != What::Unchanged {
            if let Some(installed) = step.installed {
                drop_trigger(transaction, &step.on, installed).await?;
            }
            if let Some(wanted) = step.wanted {
                let made = make(transaction, wanted).await;
                sealed = made.map_err(|error| refused(manifest, wanted, error))?;
            }
        }
        changes.push(step.change(sealed));
    }
    Ok(changes)
}

async fn installed(client: &impl GenericClient) -> Result<AllInstalled, ApplyError> {
    let rows = client.query(INSTALLED, &[]).await?;
    let read = |row: &tokio_postgres::Row| {
        let columns: &str = row.get(3);
        let columns = serde_json::from_str(columns).unwrap_or_default();
        let on = Relation { schema: row.get(0), name: row.get(1) };
        (on, Installed { function: row.get(2), columns, fires: row.get(4) })
    };
    Ok(rows.iter().map(read).collect())
}

fn steps<'a>(installed: &'a AllInstalled, manifest: &'a Manifest) -> Vec<Step<'a>> {
    let mut steps: Vec<Step<'a>> = manifest
        .sealed
        .iter()
        .map(|wanted| {
            let installed = installed.get(&wanted.on);
            let what = what(installed, wanted);
            Step { on: wanted.on.clone(), installed, wanted: Some(wanted), what }
        })
        .collect();
    let stays = |on: &Relation| manifest.sealed.iter().any(|wanted| wanted.on == *on);
    let goes = installed.iter().filter(|(on, _)| !stays(on));
    steps.extend(goes.map(|(on, installed)| Step {
        on: on.clone(),
        installed: Some(installed),
        wanted: None,
        what: What::Removed,
    }));
    steps
}

fn what(installed: Option<&Installed>, wanted: &SealedSpec) -> What {
    let Some(installed) = installed else { return What::Added };
    let differs =
        |column: &&String| installed.columns.contains(column) != wanted.columns.contains(column);
    let mut keys: Vec<String> =
        installed.columns.iter().chain(&wanted.columns).filter(differs).cloned().collect();
    keys.sort();
    match (keys.is_empty(), installed.fires) {
        (false, _) => What::Changed { keys },
        (true, false) => What::Mended,
        (true, true) => What::Unchanged,
    }
}

impl Step<'_> {
    fn change(&self, sealed: u64) -> Change {
        Change {
            name: self.on.to_string(),
            kind: SEALED.to_owned(),
            what: self.what.clone(),
            unfinished: 0,
            backfilled: sealed,
        }
    }
}

async fn drop_trigger(
    transaction: &Transaction<'_>,
    on: &Relation,
    installed: &Installed,
) -> Result<(), ApplyError> {
    let drop = format!(
        "drop trigger {} on {}; drop function plinth_bindings.{}()",
        ident(TRIGGER),
        on.quoted(),
        ident(&installed.function),
    );
    Ok(transaction.batch_execute(&drop).await?)
}

/// Makes the trigger, and seals what is there; says how many rows.
async fn make(
    transaction: &Transaction<'_>,
    wanted: &SealedSpec,
) -> Result<u64, tokio_postgres::Error> {
    let table = wanted.on.quoted();
    let row = transaction.query_one("select $1::text::regclass::oid", &[&table]).await?;
    let number: u32 = row.get(0);
    transaction.batch_execute(&trigger(number, &table, &wanted.columns)).await?;
    // Rows that a policy hides would stay as they are: with this it is an error.
    transaction.batch_execute("set local row_security = off").await?;
    let sealed = transaction.execute(&backfill(&table, &wanted.columns), &[]).await?;
    transaction.batch_execute("set local row_security = on").await?;
    Ok(sealed)
}

fn trigger(number: u32, table: &str, columns: &[String]) -> String {
    let function = format!("plinth_bindings.seal_{number}()");
    let seal = |column: &String| {
        let column = ident(column);
        format!(
            "if tg_op = 'INSERT' or new.{column} collate \"C\" is distinct from old.{column} then
               new.{column} := plinth.seal_value(new.{column});
             end if;"
        )
    };
    let seals: Vec<String> = columns.iter().map(seal).collect();
    let columns = serde_json::Value::from(columns.to_vec()).to_string();
    format!(
        "create or replace function {function} returns trigger
         language plpgsql security definer set search_path = ''
         as $plinth$
         begin
           {}
           return new;
         end
         $plinth$;
         revoke all on function {function} from public;
         comment on function {function} is {};
         create trigger {} before insert or update on {table} for each row execute function {function};",
        seals.join("\n"),
        literal(&columns),
        ident(TRIGGER),
    )
}

fn backfill(table: &str, columns: &[String]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| ident(column)).collect();
    let set = columns.iter().map(|column| format!("{column} = plinth.seal_found({column})"));
    let plain =
        columns.iter().map(|column| format!("({column} <> '' and not plinth.is_sealed({column}))"));
    let (set, plain): (Vec<_>, Vec<_>) = (set.collect(), plain.collect());
    format!("update {table} set {} where {}", set.join(", "), plain.join(" or "))
}

/// What PostgreSQL says, where the file says what it does not like.
fn refused(manifest: &Manifest, wanted: &SealedSpec, error: tokio_postgres::Error) -> ApplyError {
    let Some(said) = error.as_db_error() else { return error.into() };
    let message = format!("`{}` {FAILED}: {}", wanted.on, said.message());
    let hint = said.hint().map(str::to_owned);
    let problem: Problem = manifest.sealed_problem(wanted, said.column(), message, hint);
    ApplyError::Problems(vec![problem])
}
