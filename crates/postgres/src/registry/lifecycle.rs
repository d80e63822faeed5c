//! Making, resetting and dropping projects, each all or nothing.
//!
//! A project's database is built under another name and renamed when it is whole, in the transaction that makes the
//! registry say so. Who works on a project holds the advisory lock of its name, so databases of such names and rows that
//! are not ready, without a lock, are what a killed process left.

use std::time::{Duration, Instant, SystemTime};

use postgres_protocol::password::scram_sha_256;
use tokio::time::sleep;
use tokio_postgres::Transaction;

use super::{Registry, RegistryError, query, secrets, store};
use crate::connection::{Connection, Login};
use crate::keys::{self, KeyError, Keys};
use crate::migrate::{MigrationFolder, Migrator, UpOptions};
use crate::numbered;
use crate::platform;
use crate::project::{self, Project, validate_name};
use crate::quote::{ident, literal};

/// Prefix of databases that are being built. `_` is in no project's name.
const NEW: &str = "plinth_new_";
/// Prefix of databases that were replaced.
const OLD: &str = "plinth_old_";
/// How long the sessions of a database may take to end after they were told to.
const VACATE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long sessions may take to end that were closed by us.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);
const VACATE_POLL: Duration = Duration::from_millis(10);
/// Limit of a statement of the data API, and of its waiting for a lock, whose role has none of its own.
const REQUEST_TIMEOUT: &str = "8s";

/// Settings of sign-in's login. Its statements name everything in full; the search path is for people's functions that
/// run on their behalf, such as triggers on `auth.users`. In `auth` and `extensions` nobody makes tables but us.
const AUTH_SETTINGS: [(&str, &str); 6] = [
    ("role", "'supabase_auth_admin'"),
    ("search_path", "auth, public, extensions"),
    ("timezone", "'UTC'"),
    ("statement_timeout", "'10s'"),
    ("lock_timeout", "'5s'"),
    ("idle_in_transaction_session_timeout", "'10s'"),
];

/// What to make.
#[derive(Clone, Debug, Default)]
pub struct CreateProject<'a> {
    /// Its name.
    pub name: &'a str,
    /// The blueprint to remember.
    pub blueprint: Option<&'a str>,
    /// Migrations and seeds to apply. If one fails there is no project.
    pub folder: Option<&'a MigrationFolder>,
    /// Apply the seeds too.
    pub seed: bool,
    /// Copy this database instead of building the platform schema: quick, for tests. Nobody may be connected to it.
    pub template: Option<&'a str>,
}

impl Registry {
    /// Makes a project: logins, keys, database, platform schema, then migrations and seeds of `folder`. Whatever fails,
    /// and however the process ends, there is a whole project or none.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if the name will not do or is taken, or a step failed.
    pub async fn create(&self, request: CreateProject<'_>) -> Result<Project, RegistryError> {
        let name = request.name;
        check_name(name)?;
        let mut control = self.lock_project(name).await?;
        self.clear(&mut control, name).await?;
        let failed = || query("cannot read the registry");
        if store::project_is_ready(&control, name).await.map_err(failed())? {
            return Err(RegistryError::Exists(name.to_owned()));
        }
        if store::database_exists(&control, name).await.map_err(failed())? {
            return Err(RegistryError::DatabaseTaken(name.to_owned()));
        }
        let project = self.new_project(&request)?;
        let sealed = secrets::seal(&self.sealer, &project)?;
        insert(&mut control, &project, &sealed)
            .await
            .map_err(query("cannot make the project's logins"))?;
        let made = match self.build(&control, &project, &request).await {
            Ok(()) => publish(&mut control, &project).await,
            Err(error) => Err(error),
        };
        if let Err(error) = made {
            // The first failure is the one to tell; what cannot be cleared now is cleared at the next occasion.
            if let Err(error) = self.clear(&mut control, name).await {
                tracing::warn!(project.name = name, error = %error, "cannot remove a half-made project yet");
            }
            return Err(error);
        }
        control.close().await;
        tracing::info!(project.name = name, "project created");
        Ok(project)
    }

    /// Gives the project a new database with the platform schema and what is in `folder`, then drops the old one. When
    /// that fails the old one stays as it was. Keys and logins stay, and so does nothing else.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if there is no such project, or a step failed.
    pub async fn reset(
        &self,
        name: &str,
        folder: Option<&MigrationFolder>,
        seed: bool,
    ) -> Result<Project, RegistryError> {
        let mut control = self.lock_project(name).await?;
        self.clear(&mut control, name).await?;
        let found = self.find(&control, name).await?;
        let project = found.ok_or_else(|| RegistryError::NotFound(name.to_owned()))?;
        let request = CreateProject { name, folder, seed, ..CreateProject::default() };
        let replaced = match self.build(&control, &project, &request).await {
            Ok(()) => replace(&mut control, &project).await,
            Err(error) => Err(error),
        };
        // Either the new one that came to nothing or the old one.
        let cleared = self.clear(&mut control, name).await;
        control.close().await;
        replaced?;
        cleared?;
        tracing::info!(project.name = name, "project reset");
        Ok(Project { generation: project.generation + 1, ..project })
    }

    /// Drops a project: its connections are ended, its database, logins and keys are gone.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if there is no such project, or a step failed; dropping again goes on from there.
    pub async fn drop_project(&self, name: &str) -> Result<(), RegistryError> {
        let mut control = self.lock_project(name).await?;
        let failed = || query("cannot mark the project as dropped");
        let unfinished = store::project_unfinished(&control).await.map_err(failed())?;
        if store::project_is_ready(&control, name).await.map_err(failed())? {
            // First of all, so that servers let go and nobody comes back.
            store::project_set_state(&*control.client_mut(), name, "dropping")
                .await
                .map_err(failed())?;
        } else if !unfinished.iter().any(|found| found == name) {
            return Err(RegistryError::NotFound(name.to_owned()));
        }
        self.clear(&mut control, name).await?;
        control.close().await;
        tracing::info!(project.name = name, "project dropped");
        Ok(())
    }

    /// Removes what killed processes left; leaves alone what someone is working on.
    pub(super) async fn remove_leftovers(&self, control: &Connection) -> Result<(), RegistryError> {
        let failed = || query("cannot look for leftovers");
        let mut names = store::project_unfinished(control).await.map_err(failed())?;
        for prefix in [NEW, OLD] {
            let scaffolds =
                store::database_list_scaffolds(control, prefix).await.map_err(failed())?;
            names.extend(
                scaffolds.iter().filter_map(|name| name.strip_prefix(prefix)).map(str::to_owned),
            );
        }
        names.sort();
        names.dedup();
        for name in names {
            let mut own = self.control().await?;
            if own.try_lock(&lock_name(&name)).await.map_err(failed())? {
                tracing::info!(
                    project.name = name,
                    "removing what an interrupted process left of a project"
                );
                self.clear(&mut own, &name).await?;
            }
            own.close().await;
        }
        Ok(())
    }

    /// A connection to the control database that holds the lock of `name` until it is closed.
    async fn lock_project(&self, name: &str) -> Result<Connection, RegistryError> {
        let control = self.control().await?;
        let locked = control.lock(&lock_name(name), store::LOCK_WAIT).await;
        if !locked.map_err(query("cannot lock the project"))? {
            return Err(RegistryError::Busy(name.to_owned()));
        }
        Ok(control)
    }

    /// Removes scaffolding of `name`, and the project itself unless it is ready. The caller holds its lock.
    async fn clear(&self, control: &mut Connection, name: &str) -> Result<(), RegistryError> {
        let failed = || query("cannot read the registry");
        let unfinished = store::project_unfinished(control).await.map_err(failed())?;
        for scaffold in [format!("{NEW}{name}"), format!("{OLD}{name}")] {
            if store::database_exists(control, &scaffold).await.map_err(failed())? {
                // A reset that was cut short may have left the door of the real one shut.
                store::database_open(control, name).await.map_err(failed())?;
                drop_database(control, &scaffold).await?;
            }
        }
        if unfinished.iter().any(|found| found == name) {
            // While it is created there is no database of its name yet; one that appears meanwhile is someone's own.
            if store::project_is_dropping(control, name).await.map_err(failed())? {
                drop_database(control, name).await?;
            }
            forget(control, name).await.map_err(query("cannot drop the project's logins"))?;
        }
        Ok(())
    }

    fn new_project(&self, request: &CreateProject<'_>) -> Result<Project, RegistryError> {
        let name = request.name;
        Ok(Project {
            name: name.to_owned(),
            database: name.to_owned(),
            generation: 1,
            owner_role: self.owner_role.clone(),
            owner_login: new_login(project::owner_login(name))?,
            authenticator_login: new_login(project::authenticator_login(name))?,
            auth_login: new_login(project::auth_login(name))?,
            keys: Keys::generate(name)?,
            sealing_key: None,
            signing_keys: Vec::new(),
            blueprint: request.blueprint.map(str::to_owned),
            manifest: None,
            has_work: false,
            work_revision: 0,
            created_at: SystemTime::now(),
        })
    }

    /// Builds a whole database for `project` under its building name.
    async fn build(
        &self,
        control: &Connection,
        project: &Project,
        request: &CreateProject<'_>,
    ) -> Result<(), RegistryError> {
        let database = format!("{NEW}{}", project.name);
        let template = request.template.unwrap_or("template0");
        let encoding = if request.template.is_some() { "" } else { " encoding 'UTF8'" };
        let create =
            format!("create database {} template {}{encoding}", ident(&database), ident(template));
        let failed = || query("cannot make the project's database");
        control.batch_execute(&create).await.map_err(failed())?;
        if let Some(template) = request.template {
            control
                .batch_execute(&copy_database_facts(template, &database))
                .await
                .map_err(failed())?;
        }
        control.batch_execute(&open_doors(project, &database)).await.map_err(failed())?;
        self.apply_platform_to(&database, &project.owner_role).await?;
        if let Some(folder) = request.folder {
            let migrator = Migrator::on_database(self.cluster.endpoint(), project, &database);
            let options = UpOptions { seed: request.seed, ..UpOptions::default() };
            migrator.up(folder, &options).await?;
        }
        Ok(())
    }
}

impl<'a> CreateProject<'a> {
    /// A project without migrations.
    pub fn named(name: &'a str) -> Self {
        Self { name, ..Self::default() }
    }
}

fn check_name(name: &str) -> Result<(), RegistryError> {
    validate_name(name).map_err(|source| RegistryError::Name { name: name.to_owned(), source })
}

fn lock_name(name: &str) -> String {
    format!("plinth:project:{name}")
}

/// A login with a password that nobody had before.
pub(super) fn new_login(role: String) -> Result<Login, KeyError> {
    Ok(Login { role, password: Some(keys::password()?) })
}

/// Registers the project as being created, and makes its logins; both or neither.
async fn insert(
    control: &mut Connection,
    project: &Project,
    sealed: &str,
) -> Result<(), tokio_postgres::Error> {
    let transaction = control.client_mut().transaction().await?;
    store::project_insert(&transaction, project, sealed).await?;
    let owner = ident(&project.owner_login.role);
    let authenticator = ident(&project.authenticator_login.role);
    let logins = format!(
        "create role {owner} login inherit password {};
         grant {} to {owner};
         create role {authenticator} login noinherit password {};
         grant authenticator to {authenticator};",
        verifier(&project.owner_login),
        ident(&project.owner_role),
        verifier(&project.authenticator_login),
    );
    transaction.batch_execute(&logins).await?;
    transaction.batch_execute(&make_auth_login(&project.auth_login)).await?;
    transaction.commit().await
}

/// Makes sign-in's login of the project `name`, which exists without one, with its rights.
pub(super) async fn add_auth_login(
    transaction: &Transaction<'_>,
    name: &str,
    login: &Login,
) -> Result<(), tokio_postgres::Error> {
    store::role_move_away(transaction, &login.role).await?;
    transaction.batch_execute(&make_auth_login(login)).await?;
    transaction.batch_execute(&open_auth_door(login, name)).await
}

/// NOINHERIT: what it may do it may do as `supabase_auth_admin` only, which its sessions begin as.
fn make_auth_login(login: &Login) -> String {
    let (role, password) = (ident(&login.role), verifier(login));
    format!(
        "create role {role} login noinherit password {password};
         grant supabase_auth_admin to {role};"
    )
}

fn open_auth_door(login: &Login, database: &str) -> String {
    let (role, database) = (ident(&login.role), ident(database));
    let settings = AUTH_SETTINGS.map(|(name, value)| {
        format!("alter role {role} in database {database} set {name} = {value};")
    });
    format!("grant connect on database {database} to {role};\n{}", settings.join("\n"))
}

/// The password in the form that the server stores, so that it is in no log and in no statistics.
fn verifier(login: &Login) -> String {
    let password = login.password.as_ref().map_or("", |password| password.expose());
    literal(&scram_sha_256(password.as_bytes()))
}

/// Who may connect to `database`: the project's own logins, nobody else, never a shared role. `grants.sql` mends what is
/// said here of a project that exists.
fn open_doors(project: &Project, unquoted: &str) -> String {
    let owner = ident(&project.owner_login.role);
    let authenticator = ident(&project.authenticator_login.role);
    let database = ident(unquoted);
    format!(
        "revoke connect on database {database} from public;
         grant connect on database {database} to {owner}, {authenticator};
         alter role {owner} in database {database} set role = {};
         alter role {authenticator} in database {database} set statement_timeout = '{REQUEST_TIMEOUT}';
         alter role {authenticator} in database {database} set lock_timeout = '{REQUEST_TIMEOUT}';
         {}",
        literal(&project.owner_role),
        open_auth_door(&project.auth_login, unquoted),
    )
}

/// `create database … template` copies what is in a database, not what is said about it: its settings, also those of
/// roles in it, and its grants.
fn copy_database_facts(from: &str, to: &str) -> String {
    format!(
        "do $copy$
        declare
            fact record;
        begin
            for fact in
                select setdatabase, setrole, split_part(entry, '=', 1) as name, substr(entry, strpos(entry, '=') + 1) as value
                from pg_db_role_setting, unnest(setconfig) as entry
                where setdatabase = (select oid from pg_database where datname = {from})
            loop
                -- A list of names comes as text with its quotes in it, which only a text without quotes around can say.
                execute format(
                    case when fact.setrole = 0 then 'alter database %1$I' else 'alter role %2$s in database %1$I' end
                    || case when fact.name in ('search_path', 'session_preload_libraries', 'local_preload_libraries')
                            then ' set %3$s = %5$s' else ' set %3$s = %4$L' end,
                    {to}::text, case when fact.setrole <> 0 then fact.setrole::regrole::text end, fact.name, fact.value,
                    fact.value);
            end loop;
            execute format('revoke all on database %I from public', {to}::text);
            for fact in
                select grantee, privilege_type from pg_database, aclexplode(datacl)
                where datname = {from} and grantee <> datdba and privilege_type <> 'CONNECT'
            loop
                execute format('grant %s on database %I to %s', fact.privilege_type, {to}::text,
                    case when fact.grantee = 0 then 'public' else fact.grantee::regrole::text end);
            end loop;
        end
        $copy$",
        from = literal(from),
        to = literal(to),
    )
}

/// Makes the built database the project's, and the project ready.
async fn publish(control: &mut Connection, project: &Project) -> Result<(), RegistryError> {
    let built = format!("{NEW}{}", project.name);
    leave(control, &built).await?;
    let run = async {
        let transaction = control.client_mut().transaction().await?;
        transaction.batch_execute(&rename(&built, &project.database)).await?;
        store::project_set_state(&transaction, &project.name, "ready").await?;
        store::project_set_platform(
            &transaction,
            &[&project.name],
            &numbered::digest(platform::FILES),
        )
        .await?;
        transaction.commit().await
    };
    run.await.map_err(query("cannot publish the project"))
}

/// Puts the built database in the place of the project's old one.
async fn replace(control: &mut Connection, project: &Project) -> Result<(), RegistryError> {
    let (built, old) = (format!("{NEW}{}", project.name), format!("{OLD}{}", project.name));
    leave(control, &built).await?;
    // Servers hold connections and come back at once: the door is shut until the exchange is done.
    let shut = format!("alter database {} allow_connections false", ident(&project.database));
    let open = format!("alter database {} allow_connections true", ident(&project.database));
    control.batch_execute(&shut).await.map_err(query("cannot close the old database"))?;
    let exchanged = match vacate(control, &project.database).await {
        Ok(()) => exchange(control, project, &built, &old)
            .await
            .map_err(query("cannot replace the old database")),
        Err(error) => Err(error),
    };
    if exchanged.is_err() {
        control.batch_execute(&open).await.map_err(query("cannot open the old database again"))?;
    }
    exchanged
}

async fn exchange(
    control: &mut Connection,
    project: &Project,
    built: &str,
    old: &str,
) -> Result<(), tokio_postgres::Error> {
    let transaction = control.client_mut().transaction().await?;
    transaction.batch_execute(&rename(&project.database, old)).await?;
    transaction.batch_execute(&rename(built, &project.database)).await?;
    store::project_next_generation(&transaction, &project.name).await?;
    store::project_set_platform(&transaction, &[&project.name], &numbered::digest(platform::FILES))
        .await?;
    transaction.commit().await
}

fn rename(from: &str, to: &str) -> String {
    format!("alter database {} rename to {}", ident(from), ident(to))
}

/// Removes the logins and the row of a project whose database is gone; both or neither.
async fn forget(control: &mut Connection, name: &str) -> Result<(), tokio_postgres::Error> {
    let transaction = control.client_mut().transaction().await?;
    let logins = [project::owner_login, project::authenticator_login, project::auth_login];
    for role in logins.map(|login| login(name)) {
        transaction.batch_execute(&format!("drop role if exists {}", ident(&role))).await?;
    }
    store::project_delete(&transaction, name).await?;
    transaction.commit().await
}

async fn drop_database(control: &Connection, database: &str) -> Result<(), RegistryError> {
    let failed = || query("cannot drop a database");
    if !store::database_exists(control, database).await.map_err(failed())? {
        return Ok(());
    }
    let shut = format!("alter database {} allow_connections false", ident(database));
    control.batch_execute(&shut).await.map_err(failed())?;
    vacate(control, database).await?;
    let drop = format!("drop database if exists {} with (force)", ident(database));
    control.batch_execute(&drop).await.map_err(failed())
}

/// Waits until our own sessions on `database`, which are closed already, are gone; ends those that stay.
async fn leave(control: &Connection, database: &str) -> Result<(), RegistryError> {
    let deadline = Instant::now() + LEAVE_TIMEOUT;
    while Instant::now() < deadline {
        if store::database_sessions(control, database)
            .await
            .map_err(query("cannot count sessions"))?
            == 0
        {
            return Ok(());
        }
        sleep(VACATE_POLL).await;
    }
    vacate(control, database).await
}

/// Ends every session on `database` and waits until they are gone.
async fn vacate(control: &Connection, database: &str) -> Result<(), RegistryError> {
    let deadline = Instant::now() + VACATE_TIMEOUT;
    while store::database_vacate(control, database).await.map_err(query("cannot end sessions"))? > 0
    {
        if Instant::now() > deadline {
            return Err(RegistryError::InUse(database.to_owned()));
        }
        sleep(VACATE_POLL).await;
    }
    Ok(())
}
