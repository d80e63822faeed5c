//! Puts what a manifest says into its project's database, in one transaction.

use std::time::Duration;

use tokio_postgres::{Client, GenericClient, Transaction};

use super::diff::{Change, Conflict, Installed, Kind, SOURCE, Step, Wanted, What, steps, wanted};
use super::sealed;
use super::trigger::{self, RowBinding, TriggerError, drop_triggers, install_triggers};
use crate::manifest::{BindingSpec, Manifest, Problem};

/// How long a table may be held by others before its triggers are given up.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '10s'";

/// Who applies manifests waits for who does already.
const SERIALISE: &str =
    "select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('plinth.apply', 0))";

/// What is installed, and whether triggers of a binding are on the table that its spec names.
const INSTALLED: &str = "
    select id, name, kind, spec, state = 'removed', source,
      kind <> 'row' or exists (
        select from pg_catalog.pg_trigger
        join pg_catalog.pg_proc on pg_proc.oid = tgfoid
        where tgrelid = pg_catalog.to_regclass(pg_catalog.quote_ident(spec->'on'->>'schema') || '.' || pg_catalog.quote_ident(spec->'on'->>'name'))
          and pronamespace = 'plinth_bindings'::pg_catalog.regnamespace and proname = 'enqueue_' || id),
      (select pg_catalog.count(*) from plinth.job where job.binding = binding.id)
    from plinth.binding order by id";

/// How often, and how far apart, jobs are tried again that were being taken or ended before.
const SETTLE_ROUNDS: u32 = 40;
const SETTLE_PAUSE: Duration = Duration::from_millis(50);

/// Why a manifest was not applied. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It does not fit what is there.
    #[error("the manifest cannot be applied")]
    Problems(Vec<Problem>),
    /// The database could not be asked.
    #[error("cannot apply the manifest")]
    Database(#[from] tokio_postgres::Error),
    /// A spec cannot be stored.
    #[error("cannot store the manifest")]
    Spec(#[from] serde_json::Error),
    /// What an earlier manifest made cannot be removed.
    #[error("cannot remove the triggers of `{name}`")]
    Remove {
        /// The binding.
        name: String,
        /// Why.
        #[source]
        source: TriggerError,
    },
}

/// What [`apply`] would do.
///
/// # Errors
///
/// [`ApplyError`].
pub async fn diff(client: &Client, manifest: &Manifest) -> Result<Vec<Change>, ApplyError> {
    let (installed, wanted) = (installed(client).await?, wanted(manifest)?);
    let mut changes: Vec<Change> = steps(&installed, &wanted).iter().map(Step::change).collect();
    changes.extend(sealed::diff(client, manifest).await?);
    Ok(changes)
}

/// Makes the database do what the manifest says: all of it, or nothing. `client` is a session of the project's owner.
///
/// Jobs that wait are kept whatever changes, those of a binding that goes as well; they run when it is back.
///
/// # Errors
///
/// [`ApplyError`].
pub async fn apply(client: &mut Client, manifest: &Manifest) -> Result<Vec<Change>, ApplyError> {
    let wanted = wanted(manifest)?;
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK_TIMEOUT).await?;
    transaction.execute(SERIALISE, &[]).await?;
    let installed = installed(&transaction).await?;
    let steps = steps(&installed, &wanted);
    check(manifest, &steps)?;
    let (mut changes, mut unsettled) = (Vec::new(), Vec::new());
    for step in &steps {
        let mut change = step.change();
        if let Some(made) = take(&transaction, manifest, step).await? {
            change.backfilled = made.backfilled;
            unsettled.push(made);
        }
        changes.push(change);
    }
    changes.extend(sealed::apply(&transaction, manifest).await?);
    transaction.commit().await?;
    settle(client, unsettled).await?;
    Ok(changes)
}

async fn installed(client: &impl GenericClient) -> Result<Vec<Installed>, ApplyError> {
    let rows = client.query(INSTALLED, &[]).await?;
    let read = |row: &tokio_postgres::Row| Installed {
        id: row.get(0),
        name: row.get(1),
        kind: row.get(2),
        spec: row.get(3),
        removed: row.get(4),
        source: row.get(5),
        has_triggers: row.get(6),
        unfinished: row.get(7),
    };
    Ok(rows.iter().map(read).collect())
}

/// That every step can be taken.
fn check(manifest: &Manifest, steps: &[Step<'_>]) -> Result<(), ApplyError> {
    let conflicts = steps.iter().filter_map(|step| {
        let (wanted, conflict) = (step.wanted?, step.conflict()?);
        let (key, message, hint) = match conflict {
            Conflict::Taken => (
                "name",
                format!("`{}` is there already, and no manifest made it", wanted.name),
                "choose another name".to_owned(),
            ),
            Conflict::Moves(jobs) => (
                "on",
                format!("{jobs} unfinished jobs of `{}` are about rows of the table or key before", wanted.name),
                format!("let them finish, end them with `plinth work cancel --binding {}`, or choose another name", wanted.name),
            ),
        };
        Some(problem(manifest, wanted, key, message, Some(hint)))
    });
    let problems: Vec<Problem> = conflicts.collect();
    if problems.is_empty() { Ok(()) } else { Err(ApplyError::Problems(problems)) }
}

fn problem(
    manifest: &Manifest,
    wanted: &Wanted,
    key: &str,
    message: String,
    hint: Option<String>,
) -> Problem {
    let at = wanted.index;
    match wanted.kind {
        Kind::Row => manifest.problem(&manifest.bindings[at], key, message, hint),
        Kind::Hook => manifest.problem(&manifest.hooks[at], key, message, hint),
        Kind::Schedule => manifest.problem(&manifest.schedules[at], key, message, hint),
    }
}

/// Takes one step; gives what was done to a table, if its triggers were made.
async fn take(
    transaction: &Transaction<'_>,
    manifest: &Manifest,
    step: &Step<'_>,
) -> Result<Option<trigger::Installed>, ApplyError> {
    let Some(wanted) = step.wanted else {
        let Some(goes) = step.installed else { return Ok(None) };
        remove_triggers(transaction, goes).await?;
        let remove =
            "update plinth.binding set state = 'removed', changed_at = now() where id = $1";
        transaction.execute(remove, &[&goes.id]).await?;
        return Ok(None);
    };
    if step.what == What::Unchanged {
        return Ok(None);
    }
    let id = match step.installed {
        Some(before) => {
            // A binding that is paused stays so; only one that was removed begins anew.
            let update = "update plinth.binding
                          set kind = $2, spec = $3, source = $4, changed_at = now(),
                              state = case state when 'removed' then 'active' else state end
                          where id = $1";
            let kind = wanted.kind.name();
            transaction.execute(update, &[&before.id, &kind, &wanted.spec, &SOURCE]).await?;
            before.id
        }
        None => {
            let insert = "insert into plinth.binding (name, kind, spec, source) values ($1, $2, $3, $4) returning id";
            let kind = wanted.kind.name();
            let row = transaction
                .query_one(insert, &[&wanted.name, &kind, &wanted.spec, &SOURCE])
                .await?;
            row.get(0)
        }
    };
    let before = step.installed.filter(|before| before.kind == Kind::Row.name());
    if wanted.kind != Kind::Row {
        if let Some(before) = before {
            remove_triggers(transaction, before).await?;
        }
        return Ok(None);
    }
    let declared = &manifest.bindings[wanted.index];
    let mut row = RowBinding::of(id, &declared.spec);
    if matches!(step.what, What::Changed { .. })
        && before.is_some_and(|before| is_same(before, &row))
    {
        return Ok(None);
    }
    row.backfill &= step.looks_back();
    let made = install_triggers(transaction, &row).await;
    made.map(Some).map_err(|error| refused(manifest, wanted, &error))
}

/// Whether the triggers that are there do what is wanted.
fn is_same(before: &Installed, wanted: &RowBinding) -> bool {
    let spec: Option<BindingSpec> = serde_json::from_value(before.spec.clone()).ok();
    let same = spec.is_some_and(|spec| RowBinding::of(before.id, &spec) == *wanted);
    same && before.has_triggers
}

async fn remove_triggers(
    transaction: &Transaction<'_>,
    goes: &Installed,
) -> Result<(), ApplyError> {
    let row = RowBinding { id: goes.id, ..RowBinding::default() };
    let dropped = drop_triggers(transaction, &row).await;
    dropped.map_err(|source| ApplyError::Remove { name: goes.name.clone(), source })
}

/// What PostgreSQL says of a binding's triggers, where the file says what it does not like.
fn refused(manifest: &Manifest, wanted: &Wanted, error: &TriggerError) -> ApplyError {
    let key = match error {
        TriggerError::Expression { what, .. } | TriggerError::NotBoolean { what, .. } => {
            what.split('.').next().unwrap_or(what)
        }
        TriggerError::NoColumn(..) | TriggerError::NoKey(_) => "key",
        TriggerError::NoTable(_) | TriggerError::Trigger(_) => "on",
    };
    let said = std::error::Error::source(error).map(|source| {
        let database = source.downcast_ref::<tokio_postgres::Error>();
        let database = database.and_then(tokio_postgres::Error::as_db_error);
        database.map_or_else(|| source.to_string(), |said| said.message().to_owned())
    });
    let message = match said {
        Some(said) => format!("{error}: {said}"),
        None => error.to_string(),
    };
    ApplyError::Problems(vec![problem(manifest, wanted, key, message, None)])
}

/// Moves the jobs that somebody held while the others were moved. Those that are held for longer are moved by engines.
async fn settle(client: &Client, made: Vec<trigger::Installed>) -> Result<(), ApplyError> {
    for made in made {
        let mut left = 0;
        for _ in 0..SETTLE_ROUNDS {
            left = match made.settle(client).await {
                Ok(left) => left,
                Err(TriggerError::Trigger(error)) => return Err(error.into()),
                Err(_) => break,
            };
            if left == 0 {
                break;
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
        if left > 0 {
            tracing::warn!(
                jobs = left,
                "jobs that run keep their turn and priority until they end"
            );
        }
    }
    Ok(())
}
