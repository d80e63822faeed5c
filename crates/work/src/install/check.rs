//! Checks a manifest against the database that it is for: tables, keys, every SQL text, the rights of its role.
//!
//! PostgreSQL is asked, by preparing each text as the role that it has; nothing is executed. What it refuses is shown
//! at the letter of the file.

mod relation;
mod sealing;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use plinth_postgres::quote::ident;
use tokio_postgres::Client;

use self::relation::Table;
use crate::manifest::{
    BindingSpec, Call, Declared, Deed, Manifest, MeterSpec, Problem, Relation, Role, SqlText, Step,
    did_you_mean,
};

/// The database could not be asked. What it refuses is a [`Problem`] instead.
#[derive(Debug, thiserror::Error)]
#[error("cannot check the manifest against the database")]
pub struct CheckError(#[from] tokio_postgres::Error);

/// Checks manifests against one project's database.
#[derive(Clone, Copy)]
pub struct Checker<'a> {
    /// A session with the settings of the project, that may become its owner role and those roles that manifests can name.
    /// Never an administrator's: planning may run functions of the project's owner, which could take the session's role.
    pub client: &'a Client,
    /// The project's owner role.
    pub owner_role: &'a str,
    /// The actions that there are.
    pub actions: &'a [&'a str],
}

/// The type that sealed columns have.
const SEALABLE: &str = "text";

/// Tables of a manifest, as far as they are there and can have bindings.
type Tables = BTreeMap<(Relation, Option<String>), Table>;

impl Checker<'_> {
    /// Everything that is wrong with the manifest for this database, in the order of the file. The session's role is
    /// then its own again.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when the database cannot be asked.
    pub async fn check(&self, manifest: &Manifest) -> Result<Vec<Problem>, CheckError> {
        let checked = self.check_all(manifest).await;
        self.client.batch_execute("reset role").await?;
        let mut problems = checked?;
        problems.sort();
        problems.dedup();
        Ok(problems)
    }

    async fn check_all(&self, manifest: &Manifest) -> Result<Vec<Problem>, CheckError> {
        self.enter(Role::Owner).await?;
        let mut problems = Vec::new();
        let tables = self.find_tables(manifest, &mut problems).await?;
        self.check_sealed(manifest, &mut problems).await?;
        sealing::check_keys(manifest, &mut problems);
        let keys = Keys { manifest, tables: &tables };
        for one in &manifest.bindings {
            let spec = &one.spec;
            self.check_action(manifest, one, "action", &spec.work.action, &mut problems);
            self.check_steps(manifest, one, "steps", &spec.work.steps, &mut problems);
            let Some(table) = tables.get(&table_key(spec)) else { continue };
            let calls = keys.of_steps(&spec.work.steps, "steps");
            self.check_texts(manifest, one, spec.sql_texts(), Some(table), &calls, &mut problems)
                .await?;
        }
        for one in &manifest.hooks {
            let work = &one.spec.work;
            self.check_action(manifest, one, "action", &work.action, &mut problems);
            self.check_steps(manifest, one, "steps", &work.steps, &mut problems);
            let mut calls = keys.of_steps(&work.steps, "steps");
            let called = one.spec.call.as_ref().and_then(|call| keys.of_call(call));
            calls.extend(called.map(|oid| ("row".to_owned(), oid)));
            self.check_texts(manifest, one, one.spec.sql_texts(), None, &calls, &mut problems)
                .await?;
        }
        for one in &manifest.schedules {
            let work = &one.spec.work;
            self.check_action(manifest, one, "action", &work.action, &mut problems);
            self.check_steps(manifest, one, "steps", &work.steps, &mut problems);
            let calls = keys.of_steps(&work.steps, "steps");
            self.check_texts(manifest, one, one.spec.sql_texts(), None, &calls, &mut problems)
                .await?;
        }
        for one in &manifest.meters {
            self.check_meter(manifest, one, &mut problems);
            let texts = one.spec.sql_texts();
            self.check_texts(manifest, one, texts, None, &BTreeMap::new(), &mut problems).await?;
        }
        Ok(problems)
    }

    /// What follows is done with the rights of `role`.
    async fn enter(&self, role: Role) -> Result<(), CheckError> {
        let name = role.database_role().unwrap_or(self.owner_role);
        Ok(self.client.batch_execute(&format!("set role {}", ident(name))).await?)
    }

    async fn find_tables(
        &self,
        manifest: &Manifest,
        problems: &mut Vec<Problem>,
    ) -> Result<Tables, CheckError> {
        let mut tables = Tables::new();
        for one in &manifest.bindings {
            match relation::find(self.client, &one.spec.on, one.spec.key.as_deref()).await? {
                Ok(mut table) => {
                    table.sealed = sealing::columns(manifest, &one.spec.on).to_vec();
                    if !table.takes_triggers {
                        let message = format!("no trigger can be made on `{}`", one.spec.on.name);
                        let hint = format!("the role {} needs the right TRIGGER", self.owner_role);
                        problems.push(manifest.problem(one, "on", message, Some(hint)));
                    }
                    tables.insert(table_key(&one.spec), table);
                }
                Err(wrong) => {
                    problems.push(manifest.problem(one, wrong.key, wrong.message, wrong.hint));
                }
            }
        }
        Ok(tables)
    }

    async fn check_sealed(
        &self,
        manifest: &Manifest,
        problems: &mut Vec<Problem>,
    ) -> Result<(), CheckError> {
        for sealed in &manifest.sealed {
            for column in &sealed.columns {
                let table = match relation::find(self.client, &sealed.on, Some(column)).await? {
                    Ok(table) => table,
                    Err(wrong) => {
                        let column = Some(column.as_str()).filter(|_| wrong.key == "key");
                        let (message, hint) = (wrong.message, wrong.hint);
                        problems.push(manifest.sealed_problem(sealed, column, message, hint));
                        continue;
                    }
                };
                if !table.takes_triggers || !table.stands_alone {
                    let message = match table.stands_alone {
                        true => format!("no trigger can be made on `{}`", sealed.on),
                        false => format!("`{}` shares rows with other tables", sealed.on),
                    };
                    let hint = match table.stands_alone {
                        true => format!("the role {} needs the right TRIGGER", self.owner_role),
                        false => "columns are sealed in tables that have neither partitions nor inheritance".to_owned(),
                    };
                    problems.push(manifest.sealed_problem(sealed, None, message, Some(hint)));
                    break;
                }
                if table.key_type != SEALABLE || table.key_generated {
                    let message = match table.key_generated {
                        true => format!("`{column}` is generated and cannot be sealed"),
                        false => format!(
                            "`{column}` is of type {}: only {SEALABLE} can be sealed",
                            table.key_type
                        ),
                    };
                    problems.push(manifest.sealed_problem(sealed, Some(column), message, None));
                    continue;
                }
                if let Some(how) = sealing::compared(self.client, &sealed.on, column).await? {
                    let message = format!("`{column}` {how} and cannot be sealed");
                    let hint = Some(sealing::WHY.to_owned());
                    problems.push(manifest.sealed_problem(sealed, Some(column), message, hint));
                }
            }
        }
        Ok(())
    }

    fn check_action<T>(
        &self,
        manifest: &Manifest,
        declared: &Declared<T>,
        path: &str,
        action: &str,
        problems: &mut Vec<Problem>,
    ) {
        if !self.actions.contains(&action) {
            let near = did_you_mean(action, self.actions.iter().copied());
            let message = format!("there is no action `{action}`{near}");
            problems.push(manifest.problem(declared, path, message, None));
        }
    }

    /// That a meter is for actions that there are.
    fn check_meter(
        &self,
        manifest: &Manifest,
        meter: &Declared<MeterSpec>,
        problems: &mut Vec<Problem>,
    ) {
        for pattern in &meter.spec.actions {
            let is_for = |action: &&str| MeterSpec::matches(pattern, action);
            if self.actions.iter().any(is_for) {
                continue;
            }
            let (message, names): (_, BTreeSet<String>) = match pattern.strip_suffix(".*") {
                Some(connector) => {
                    let connectors = self.actions.iter().filter_map(|name| name.split_once('.'));
                    let all = connectors.map(|(connector, _)| format!("{connector}.*")).collect();
                    (format!("there is no action of `{connector}`"), all)
                }
                None => {
                    let all = self.actions.iter().map(|name| (*name).to_owned()).collect();
                    (format!("there is no action `{pattern}`"), all)
                }
            };
            let near = did_you_mean(pattern, names.iter().map(String::as_str));
            problems.push(manifest.problem(meter, "actions", message + &near, None));
        }
    }

    fn check_steps<T>(
        &self,
        manifest: &Manifest,
        declared: &Declared<T>,
        path: &str,
        steps: &[Step],
        problems: &mut Vec<Problem>,
    ) {
        for (index, step) in steps.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match &step.deed {
                Deed::Act { action, .. } => {
                    self.check_action(
                        manifest,
                        declared,
                        &format!("{path}.action"),
                        action,
                        problems,
                    );
                }
                Deed::Parallel(steps) => {
                    let path = format!("{path}.parallel");
                    self.check_steps(manifest, declared, &path, steps, problems);
                }
                Deed::Sleep { .. } | Deed::Wait { .. } | Deed::Call(_) => {}
            }
        }
    }

    /// Asks about all texts of a declaration. `calls` has the types of the keys that texts must give, by path.
    async fn check_texts<T>(
        &self,
        manifest: &Manifest,
        declared: &Declared<T>,
        texts: Vec<SqlText>,
        table: Option<&Table>,
        calls: &BTreeMap<String, u32>,
        problems: &mut Vec<Problem>,
    ) -> Result<(), CheckError> {
        for text in texts {
            self.enter(text.role).await?;
            let key = calls.get(&text.path).copied();
            let Some(wrong) = text::check(self.client, &text, table, key).await? else { continue };
            let message = format!("`{}`: {}", declared.path_in_file(&text.path), wrong.message);
            problems.push(manifest.sql_problem(
                declared,
                &text.path,
                wrong.offset,
                message,
                wrong.hint,
            ));
        }
        Ok(())
    }
}

fn table_key(spec: &BindingSpec) -> (Relation, Option<String>) {
    (spec.on.clone(), spec.key.clone())
}

/// The types of the keys of called bindings.
struct Keys<'a> {
    manifest: &'a Manifest,
    tables: &'a Tables,
}

impl Keys<'_> {
    fn of_call(&self, call: &Call) -> Option<u32> {
        let called = self.manifest.bindings.iter().find(|one| one.spec.name == call.binding)?;
        self.tables.get(&table_key(&called.spec)).map(|table| table.key_oid)
    }

    /// The types of the keys that `row` of steps must give, by path.
    fn of_steps(&self, steps: &[Step], path: &str) -> BTreeMap<String, u32> {
        let mut all = BTreeMap::new();
        for (index, step) in steps.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match &step.deed {
                Deed::Call(call) => {
                    all.extend(self.of_call(call).map(|oid| (format!("{path}.row"), oid)));
                }
                Deed::Parallel(steps) => {
                    all.extend(self.of_steps(steps, &format!("{path}.parallel")))
                }
                Deed::Act { .. } | Deed::Sleep { .. } | Deed::Wait { .. } => {}
            }
        }
        all
    }
}
