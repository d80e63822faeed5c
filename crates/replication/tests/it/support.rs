//! Hubs on a database of the test's own.

use std::sync::Arc;
use std::time::Duration;

use plinth_postgres::{Binaries, Cluster, Connection, ManagedOptions};
use plinth_replication::{
    Change, ChangeHub, ChangeKind, Event, Filter, GapReason, HubOptions, Lsn, Overflow,
    Publication, QueueBounds, Subscription, Tuple, Value,
};
use plinth_testkit::{Template, TestDatabase, with_database};
use plinth_wire::ConnectConfig;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longer than anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database with `public.item`, published in `items`.
pub(crate) struct Place {
    pub(crate) connect: ConnectConfig,
    pub(crate) sql: Connection,
}

/// Runs `test` on a database of its own.
pub(crate) fn on_database(test: impl AsyncFnOnce(&Place)) {
    with_database(&Template::Empty, async |database| {
        let place = Place { connect: connect(database), sql: database.connect().await.unwrap() };
        place.run("create table item (id int primary key, name text, body text)").await;
        test(&place).await;
        place.sql.close().await;
    });
}

/// The administrator's way to a database.
pub(crate) fn connect(database: &TestDatabase) -> ConnectConfig {
    let endpoint = database.cluster().cluster().endpoint();
    endpoint.wire(&endpoint.admin, database.name(), "plinth")
}

/// A cluster of the test's own, for tests that do things to it.
pub(crate) async fn own_cluster(settings: &[(&str, &str)]) -> (Cluster, Place) {
    let explicit = std::env::var_os("PLINTH_PG_BIN").map(std::path::PathBuf::from);
    let binaries = Binaries::find(explicit.as_deref()).unwrap();
    let mut options = ManagedOptions::throwaway(binaries).unwrap();
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    options.settings.extend(settings);
    let cluster = Cluster::managed(options).await.unwrap();
    let endpoint = cluster.endpoint();
    let connect = endpoint.wire(&endpoint.admin, "postgres", "plinth");
    let sql = endpoint.connect_as(&endpoint.admin, "postgres").await.unwrap();
    let place = Place { connect, sql };
    place.run("create table item (id int primary key, name text, body text)").await;
    (cluster, place)
}

impl Place {
    pub(crate) async fn run(&self, sql: &str) {
        self.sql.batch_execute(sql).await.unwrap();
    }

    /// The options of a hub of `item`.
    pub(crate) fn options(&self) -> HubOptions {
        self.options_of(&["item"])
    }

    /// The options of a hub of tables in `public`.
    pub(crate) fn options_of(&self, tables: &[&str]) -> HubOptions {
        let tables = tables.iter().map(|table| ("public", *table));
        let publication = Publication::of_tables("items", tables);
        HubOptions::new(self.connect.clone(), vec![publication])
    }

    pub(crate) fn hub(&self) -> ChangeHub {
        hub(self.options())
    }

    /// Slots of this database.
    pub(crate) async fn slots(&self) -> i64 {
        let sql = "select count(*) from pg_replication_slots where database = current_database()";
        self.sql.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Waits until this database has no slot.
    pub(crate) async fn no_slots(&self) {
        let gone = async {
            while self.slots().await > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("a slot stays");
    }

    /// Process id of the sender of this database.
    pub(crate) async fn sender(&self) -> i32 {
        let sql = "select active_pid from pg_replication_slots where database = current_database()";
        self.sql.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Ends the senders of this database as an administrator would.
    pub(crate) async fn terminate_senders(&self) {
        self.run(
            "select pg_terminate_backend(active_pid) from pg_replication_slots
             where database = current_database()",
        )
        .await;
    }
}

/// A network between us and a server that can lose everything of the connections there are, which nobody notices by an error.
/// Dropping it ends them.
pub(crate) struct Network {
    pub(crate) port: u16,
    /// Connections younger than this number work.
    swallowed: watch::Sender<usize>,
    _connections: JoinSet<()>,
}

impl Network {
    pub(crate) async fn before(server: &ConnectConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, server) = (listener.local_addr().unwrap().port(), server.port);
        let swallowed = watch::Sender::new(0);
        let (mut connections, swallowing) = (JoinSet::new(), swallowed.clone());
        connections.spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let mut swallowing = swallowing.subscribe();
                let before = *swallowing.borrow();
                all.spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                    let lost = tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => false,
                        changed = swallowing.wait_for(|number| *number > before) => changed.is_ok(),
                    };
                    if lost {
                        // Both ends stay open, and nothing passes.
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self { port, swallowed, _connections: connections }
    }

    /// From now on nothing of the connections that run arrives, in either direction.
    pub(crate) fn swallow_what_runs(&self) {
        self.swallowed.send_modify(|number| *number += 1);
    }
}

/// Sends a signal to a process of a PostgreSQL of ours.
pub(crate) fn signal(signal: &str, pid: i32) {
    let status = std::process::Command::new("kill").args([signal, &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

pub(crate) fn hub(options: HubOptions) -> ChangeHub {
    ChangeHub::new(options, Handle::current())
}

/// Everything, cut off at the usual bounds.
pub(crate) fn subscribe(hub: &ChangeHub) -> Subscription {
    hub.subscribe("test", Filter::all(), QueueBounds::default(), Overflow::CutOff)
}

/// Everything, from where the stream is live.
pub(crate) async fn listen(hub: &ChangeHub) -> Subscription {
    let mut subscription = subscribe(hub);
    live(&mut subscription).await;
    subscription
}

pub(crate) async fn event(subscription: &mut Subscription) -> Event {
    let next = tokio::time::timeout(PATIENCE, subscription.next());
    next.await.expect("nothing comes").expect("the subscription has ended")
}

/// The next event says that the stream is live.
pub(crate) async fn live(subscription: &mut Subscription) -> Lsn {
    match event(subscription).await {
        Event::Live { from } => from,
        other => panic!("not live: {other:?}"),
    }
}

/// The next event is a gap.
pub(crate) async fn gap(subscription: &mut Subscription) -> GapReason {
    match event(subscription).await {
        Event::Gap { reason } => reason,
        other => panic!("no gap: {other:?}"),
    }
}

/// The next event is a change.
pub(crate) async fn change(subscription: &mut Subscription) -> Arc<Change> {
    match event(subscription).await {
        Event::Change(change) => change,
        other => panic!("no change: {other:?}"),
    }
}

/// The next `count` events are changes, as [`told`] tells them.
pub(crate) async fn changes(subscription: &mut Subscription, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(told(&*change(subscription).await));
    }
    all
}

/// A change in one line.
pub(crate) fn told(change: &Change) -> String {
    let table = &change.relation.name;
    match &change.kind {
        ChangeKind::Insert { new } => format!("{table} + {}", row(new)),
        ChangeKind::Update { old: None, new } => format!("{table} ~ {}", row(new)),
        ChangeKind::Update { old: Some(plinth_replication::Old::Key(old)), new } => {
            format!("{table} key {} ~ {}", row(old), row(new))
        }
        ChangeKind::Update { old: Some(plinth_replication::Old::Row(old)), new } => {
            format!("{table} row {} ~ {}", row(old), row(new))
        }
        ChangeKind::Delete { old } => format!("{table} - {}", row(old.tuple())),
        ChangeKind::Truncate { cascade, restart_identity } => {
            format!("{table} truncated cascade={cascade} restart={restart_identity}")
        }
    }
}

fn row(tuple: &Tuple) -> String {
    let values: Vec<String> = tuple
        .values()
        .map(|value| match value {
            Value::Null => "null".to_owned(),
            Value::Unchanged => "unchanged".to_owned(),
            value => value.text().unwrap().chars().take(20).collect(),
        })
        .collect();
    values.join("|")
}
