//! Applying files: one transaction each, as the owner role, one run at a time.

use std::time::Duration;

use tokio_postgres::types::ToSql;

use super::error::{MigrateError, StatementError, place};
use super::folder::{MigrationFile, MigrationFolder, SeedFile, SqlFile};
use super::history::{self, History, Recorded, Status};
use super::setting;
use super::split::{Statement, split, words};
use crate::connection::{Connection, Endpoint, Login};
use crate::project::Project;

/// Held by whoever migrates the project.
const LOCK: &str = "plinth:migrate";
/// How long a run waits for another one.
const LOCK_WAIT: Duration = Duration::from_secs(30);
/// Words of a statement that tell its kind.
const TELLING_WORDS: usize = 12;

const HISTORY_TABLES: &str = "
    create schema if not exists supabase_migrations;
    create table if not exists supabase_migrations.schema_migrations (
        version text primary key, statements text[], name text);
    create table if not exists supabase_migrations.seed_files (path text primary key, hash text not null);";

/// How to apply.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// Only say what would be applied.
    pub dry_run: bool,
    /// Apply the seed files that were not applied yet.
    pub seed: bool,
    /// Apply files that are older than the newest applied one.
    pub include_all: bool,
    /// How long to wait for another run.
    pub lock_wait: Duration,
}

impl Default for UpOptions {
    fn default() -> Self {
        Self { dry_run: false, seed: false, include_all: false, lock_wait: LOCK_WAIT }
    }
}

/// What was applied, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// File names of migrations, in order.
    pub migrations: Vec<String>,
    /// Names of seed files, in order.
    pub seeds: Vec<String>,
    /// What the operator may want to know besides.
    pub notices: Vec<String>,
}

/// Migrates the database of one project.
#[derive(Clone, Debug)]
pub struct Migrator {
    endpoint: Endpoint,
    login: Login,
    project: String,
    database: String,
}

impl Migrator {
    /// For `project` on the cluster at `endpoint`.
    pub fn new(endpoint: &Endpoint, project: &Project) -> Self {
        Self::on_database(endpoint, project, &project.database)
    }

    /// For a database that will be the project's.
    pub(crate) fn on_database(endpoint: &Endpoint, project: &Project, database: &str) -> Self {
        Self {
            endpoint: endpoint.clone(),
            login: project.owner_login.clone(),
            project: project.name.clone(),
            database: database.to_owned(),
        }
    }

    /// How every migration of disk and database stands.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] if the database cannot be asked.
    pub async fn status(&self, folder: &MigrationFolder) -> Result<Vec<Status>, MigrateError> {
        let connection = self.connect().await?;
        let history = read_history(&connection).await;
        connection.close().await;
        Ok(history::compare(folder, &history?))
    }

    /// What [`Migrator::up`] would apply; checks that disk and database fit together.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] if they do not, or the database cannot be asked.
    pub async fn plan(
        &self,
        folder: &MigrationFolder,
        options: &UpOptions,
    ) -> Result<Report, MigrateError> {
        let connection = self.connect().await?;
        let mut report = Report { notices: folder.notices().to_vec(), ..Report::default() };
        let history = read_history(&connection).await?;
        for migration in history::pending(folder, &history, options.include_all)? {
            // What could be refused without asking the server is refused here too.
            Script::new(&migration.file)?;
            report.migrations.push(file_name(migration));
        }
        if options.seed {
            for seed in pending_seeds(&connection, folder, &mut report.notices).await? {
                Script::new(&seed.file)?;
                report.seeds.push(seed.name.clone());
            }
        }
        connection.close().await;
        Ok(report)
    }

    /// Applies what is pending, in order; stops at the first file that fails, with the files before it applied.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] with file, line and the server's words; nothing of the file that failed remains.
    pub async fn up(
        &self,
        folder: &MigrationFolder,
        options: &UpOptions,
    ) -> Result<Report, MigrateError> {
        if options.dry_run {
            return self.plan(folder, options).await;
        }
        // On a connection of its own, since a migration may say `discard all`, which would give the lock away.
        let lock = self.connect().await?;
        if !lock
            .lock(LOCK, options.lock_wait)
            .await
            .map_err(query("cannot take the lock for migrations"))?
        {
            return Err(MigrateError::Busy(options.lock_wait));
        }
        let report = self.up_locked(folder, options).await;
        lock.close().await;
        report
    }

    async fn up_locked(
        &self,
        folder: &MigrationFolder,
        options: &UpOptions,
    ) -> Result<Report, MigrateError> {
        let mut connection = self.connect().await?;
        connection
            .batch_execute(HISTORY_TABLES)
            .await
            .map_err(query("cannot make the tables of the history"))?;
        for (name, value) in folder.settings() {
            let set = "select plinth.set_setting($1, $2)";
            let doing = format!("cannot set {name} as config.toml says");
            connection.execute(set, &[name, value]).await.map_err(query(doing))?;
        }
        let mut report = Report { notices: folder.notices().to_vec(), ..Report::default() };
        let history = read_history(&connection).await?;
        for migration in history::pending(folder, &history, options.include_all)? {
            self.apply_migration(&mut connection, migration, &mut report.notices).await?;
            report.migrations.push(file_name(migration));
        }
        if options.seed {
            for seed in pending_seeds(&connection, folder, &mut report.notices).await? {
                self.apply_seed(&mut connection, seed, &mut report.notices).await?;
                report.seeds.push(seed.name.clone());
            }
        }
        connection.close().await;
        Ok(report)
    }

    async fn apply_migration(
        &self,
        connection: &mut Connection,
        migration: &MigrationFile,
        notices: &mut Vec<String>,
    ) -> Result<(), MigrateError> {
        let script = Script::new(&migration.file)?;
        let texts: Vec<&str> = script.statements.iter().map(|statement| statement.text).collect();
        let record = "insert into supabase_migrations.schema_migrations (version, statements, name) values ($1, $2, $3)";
        let values: &[&(dyn ToSql + Sync)] = &[&migration.version, &texts, &migration.name];
        self.run(connection, &script, record, values).await?;
        notices.extend(script.notice());
        tracing::info!(
            migration.version = migration.version,
            migration.name = migration.name,
            "migration applied"
        );
        Ok(())
    }

    async fn apply_seed(
        &self,
        connection: &mut Connection,
        seed: &SeedFile,
        notices: &mut Vec<String>,
    ) -> Result<(), MigrateError> {
        let script = Script::new(&seed.file)?;
        let record = "insert into supabase_migrations.seed_files (path, hash) values ($1, $2)";
        self.run(connection, &script, record, &[&seed.name, &seed.hash()]).await?;
        notices.extend(script.notice());
        tracing::info!(seed.path = seed.name, "seed applied");
        Ok(())
    }

    /// Runs `script` and `record` in one transaction, and leaves the session as it was.
    async fn run(
        &self,
        connection: &mut Connection,
        script: &Script<'_>,
        record: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<(), MigrateError> {
        let at_file = |what: &str| query(format!("{}: {what}", script.file.path.display()));
        let failed = |statement, error| {
            MigrateError::Statement(Box::new(StatementError::new(script.file, statement, &error)))
        };
        if script.alone {
            for statement in &script.statements {
                connection
                    .batch_execute(statement.text)
                    .await
                    .map_err(|error| failed(statement, error))?;
            }
        }
        let transaction =
            connection.client_mut().transaction().await.map_err(at_file("cannot begin"))?;
        let inside = script
            .statements
            .iter()
            .filter(|statement| !script.alone && kind(statement.text) != Kind::Boundary);
        for statement in inside {
            // History keeps what the file says.
            let own = setting::for_one_project(statement.text, &self.project);
            transaction
                .batch_execute(own.as_deref().unwrap_or(statement.text))
                .await
                .map_err(|error| failed(statement, error))?;
        }
        // The file may have changed who it is. Deferred constraints speak here, where the file can still be named.
        let settle = "reset session authorization; reset role; set constraints all immediate";
        transaction.batch_execute(settle).await.map_err(at_file("its end was refused"))?;
        transaction.execute(record, values).await.map_err(at_file("cannot be recorded"))?;
        transaction.commit().await.map_err(at_file("its commit was refused"))?;
        // What one file sets for its session (`set search_path = ''` in dumps) is not the next one's business.
        connection.batch_execute("reset all").await.map_err(at_file("cannot reset the session"))
    }

    async fn connect(&self) -> Result<Connection, MigrateError> {
        Ok(self.endpoint.connect_as(&self.login, &self.database).await?)
    }
}

/// A file's statements and how they must run.
struct Script<'a> {
    file: &'a SqlFile,
    statements: Vec<Statement<'a>>,
    /// The only statement is one that cannot run in a transaction.
    alone: bool,
    /// Some statements begin or end a transaction, which the file has anyway.
    own_transaction: bool,
}

/// What a statement means for the file's transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ordinary,
    /// `begin` or `commit`: left out.
    Boundary,
    /// Would undo the file, or leave it to someone else to finish.
    Undo,
    /// Cannot run in a transaction.
    Alone,
}

impl<'a> Script<'a> {
    fn new(file: &'a SqlFile) -> Result<Self, MigrateError> {
        let statements = split(&file.sql);
        let mut own_transaction = false;
        let mut alone = false;
        for statement in &statements {
            let refuse = |why| refused(file, statement, why);
            match kind(statement.text) {
                Kind::Ordinary => {}
                Kind::Boundary => own_transaction = true,
                Kind::Undo => {
                    return Err(refuse("cannot be in a migration: the file is one transaction"));
                }
                Kind::Alone if statements.len() > 1 => {
                    return Err(refuse(
                        "cannot run inside a transaction: move it to a file of its own",
                    ));
                }
                Kind::Alone => alone = true,
            }
        }
        Ok(Self { file, statements, alone, own_transaction })
    }

    fn notice(&self) -> Option<String> {
        let path = self.file.path.display();
        self.own_transaction
            .then(|| format!("{path}: begin and commit are left out, each file is one transaction"))
    }
}

fn refused(file: &SqlFile, statement: &Statement<'_>, why: &'static str) -> MigrateError {
    let (line, _) = place(&file.sql, statement.code);
    MigrateError::Refused {
        path: file.path.clone(),
        line,
        statement: words(statement.text, 4).join(" "),
        why,
    }
}

fn kind(sql: &str) -> Kind {
    let words = words(sql, TELLING_WORDS);
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let concurrently = || words.iter().any(|word| word == "concurrently");
    match (word(0), word(1)) {
        ("begin", _) | ("start", "transaction") => Kind::Boundary,
        ("commit" | "rollback", "prepared") | ("prepare", "transaction") | ("abort", _) => {
            Kind::Undo
        }
        ("commit" | "end", _) => Kind::Boundary,
        ("rollback", _) if words.iter().any(|word| word == "to") => Kind::Ordinary,
        ("rollback", _) => Kind::Undo,
        ("vacuum", _) | ("alter", "system") => Kind::Alone,
        ("create" | "drop", "database" | "tablespace" | "subscription") => Kind::Alone,
        ("create" | "drop", "index" | "unique") | ("reindex", _) if concurrently() => Kind::Alone,
        ("reindex", "database" | "system") => Kind::Alone,
        ("alter", "table") if words.iter().any(|word| word == "detach") && concurrently() => {
            Kind::Alone
        }
        _ => Kind::Ordinary,
    }
}

async fn read_history(connection: &Connection) -> Result<History, MigrateError> {
    let failed = || query("cannot read the history of migrations");
    let exists = "select to_regclass('supabase_migrations.schema_migrations') is not null";
    if !connection.query_one(exists, &[]).await.map_err(failed())?.get::<_, bool>(0) {
        return Ok(History::new());
    }
    let all = "select version, name, statements from supabase_migrations.schema_migrations";
    let rows = connection.query(all, &[]).await.map_err(failed())?;
    Ok(rows
        .iter()
        .map(|row| (row.get(0), Recorded { name: row.get(1), statements: row.get(2) }))
        .collect())
}

/// The seed files that were never applied. Of those that were and are different now, a notice is left.
async fn pending_seeds<'a>(
    connection: &Connection,
    folder: &'a MigrationFolder,
    notices: &mut Vec<String>,
) -> Result<Vec<&'a SeedFile>, MigrateError> {
    let mut pending = Vec::new();
    for seed in folder.seeds() {
        let recorded = "select hash from supabase_migrations.seed_files where path = $1";
        let row = connection
            .query_opt(recorded, &[&seed.name])
            .await
            .map_err(query("cannot read the applied seeds"))?;
        match row.map(|row| row.get::<_, String>(0)) {
            None => pending.push(seed),
            Some(hash) if hash == seed.hash() => {}
            Some(_) => {
                let name = &seed.name;
                notices.push(format!("{name} was changed after it was applied; `plinth migrate reset` applies it anew"));
            }
        }
    }
    Ok(pending)
}

fn file_name(migration: &MigrationFile) -> String {
    format!("{}_{}.sql", migration.version, migration.name)
}

fn query(doing: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> MigrateError {
    let doing = doing.into();
    move |source| MigrateError::Query { doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(sql: &str) -> Result<bool, String> {
        let file = SqlFile { path: "1_x.sql".into(), sql: sql.to_owned() };
        Script::new(&file).map(|script| script.alone).map_err(|error| error.to_string())
    }

    #[test]
    fn statements_are_told_by_their_first_words() {
        for (sql, expected) in [
            ("BEGIN", Kind::Boundary),
            ("start transaction isolation level serializable", Kind::Boundary),
            ("-- done\ncommit", Kind::Boundary),
            ("end", Kind::Boundary),
            ("rollback", Kind::Undo),
            ("rollback to savepoint a", Kind::Ordinary),
            ("abort", Kind::Undo),
            ("prepare transaction 'x'", Kind::Undo),
            ("savepoint a", Kind::Ordinary),
            ("create index concurrently i on t (a)", Kind::Alone),
            ("create unique index concurrently if not exists i on t (a)", Kind::Alone),
            ("create index i on t (concurrently)", Kind::Ordinary),
            ("alter table t detach partition p concurrently", Kind::Alone),
            ("refresh materialized view concurrently v", Kind::Ordinary),
            ("reindex (verbose) table concurrently t", Kind::Alone),
            ("vacuum analyze t", Kind::Alone),
            ("do $$ begin commit; end $$", Kind::Ordinary),
            ("select 'begin'", Kind::Ordinary),
        ] {
            assert_eq!(kind(sql), expected, "{sql}");
        }
    }

    #[test]
    fn what_cannot_be_in_a_transaction_has_a_file_of_its_own() {
        assert_eq!(script("-- why\ncreate index concurrently i on t (a);"), Ok(true));
        let error =
            script("create table t (a int);\n\ncreate index concurrently i on t (a);").unwrap_err();
        assert!(error.starts_with("1_x.sql:3: `create index concurrently i`"), "{error}");
    }

    #[test]
    fn a_file_cannot_roll_itself_back() {
        assert_eq!(script("begin; select 1; commit;"), Ok(false));
        assert!(script("select 1;\nrollback;").unwrap_err().starts_with("1_x.sql:2: `rollback`"));
    }
}
