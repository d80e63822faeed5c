//! A project with a table, and what makes its rows move.

use std::sync::Arc;
use std::time::Duration;

use plinth_postgres::{Connection, Login};
use plinth_testkit::{Template, TestDatabase, with_database};
use plinth_wire::{Budget, Pool, PoolOptions};
use plinth_work::Store;
use plinth_work::install::{RowBinding, TriggerError, install_triggers};
use plinth_work::manifest::Name;
use plinth_work::rule::{Retry, Rule, Script};

/// A project of a test, with `setup` run as its owner.
pub(crate) struct Bench<'a> {
    pub(crate) database: &'a TestDatabase,
    pub(crate) owner: Connection,
}

/// Runs a test on a project of its own.
#[track_caller]
pub(crate) fn with_bench(setup: &str, test: impl AsyncFnOnce(&mut Bench<'_>)) {
    with_database(&Template::Platform, async |database| {
        let owner = open(database, &database.project().owner_login).await;
        owner.batch_execute(setup).await.unwrap();
        let mut bench = Bench { database, owner };
        test(&mut bench).await;
        bench.owner.close().await;
    });
}

async fn open(database: &TestDatabase, login: &Login) -> Connection {
    let endpoint = database.cluster().cluster().endpoint();
    endpoint.connect_as(login, database.name()).await.unwrap()
}

impl Bench<'_> {
    pub(crate) async fn run(&self, sql: &str) {
        self.owner.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The first value of the first row, as text.
    pub(crate) async fn text(&self, sql: &str) -> String {
        let row = self.owner.query_one(&format!("select ({sql})::text"), &[]).await.unwrap();
        row.get::<_, Option<String>>(0).unwrap_or_else(|| "null".to_owned())
    }

    /// Waits until the query says `wanted`; it always comes, or the test hangs and says where.
    pub(crate) async fn until(&self, sql: &str, wanted: &str) {
        while self.text(sql).await != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Another session of the owner.
    pub(crate) async fn session(&self) -> Connection {
        open(self.database, &self.database.project().owner_login).await
    }

    /// A store as an instance has it.
    pub(crate) fn store(&self) -> Arc<Store> {
        let project = self.database.project();
        let endpoint = self.database.cluster().cluster().endpoint();
        let connect = endpoint.wire(&project.owner_login, self.database.name(), "plinth work");
        let pool = Pool::new(Store::session(connect), Budget::new(8), PoolOptions::default());
        Arc::new(Store::new(Arc::new(pool), project.owner_role.as_str()))
    }

    /// A row in `plinth.binding`; its number.
    pub(crate) async fn binding(&self, name: &str) -> i32 {
        let sql =
            "insert into plinth.binding (name, kind, spec) values ($1, 'row', '{}') returning id";
        self.owner.query_one(sql, &[&name]).await.unwrap().get(0)
    }

    pub(crate) async fn install(&mut self, binding: &RowBinding) -> Result<u64, TriggerError> {
        let transaction = self.owner.client_mut().transaction().await.unwrap();
        let made = install_triggers(&transaction, binding).await?;
        transaction.commit().await.unwrap();
        Ok(made.backfilled)
    }
}

/// A binding on `public.task` for rows that are pending.
pub(crate) fn pending(id: i32) -> RowBinding {
    RowBinding {
        id,
        schema: "public".to_owned(),
        table: "task".to_owned(),
        when: "status = 'pending'".to_owned(),
        ..RowBinding::default()
    }
}

/// A rule whose action is `action`, and which marks its row when it is done.
pub(crate) fn rule(id: i32, action: &str) -> Rule {
    let row = |text: &str, names: &[Name]| vec![Script::new(text, names)];
    Rule {
        id,
        name: format!("rule-{id}"),
        action: action.to_owned(),
        with: serde_json::Value::Null,
        key_type: "bigint".into(),
        steps: Vec::new(),
        role: None,
        input: None,
        running: Vec::new(),
        done: row("update task set status = 'done' where id = $1::bigint", &[Name::Row]),
        failed: row(
            "update task set status = 'failed', error = $1 where id = $2::bigint",
            &[Name::Error, Name::Row],
        ),
        each_step: Vec::new(),
        meters: [].into(),
        open: Vec::new(),
        retry: Retry {
            attempts: 3,
            first: Duration::from_millis(10),
            factor: 1.0,
            max: Duration::from_secs(1),
            jitter: 0.0,
        },
        timeout: Duration::from_secs(30),
        rate: None,
        seats: None,
        fair: false,
        priorities: vec![0],
        most: 64,
    }
}
