//! What goes wrong, and that listeners are told and served again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use plinth_replication::{GapReason, HubOptions, Publication};
use plinth_wire::Host;

use crate::support::{
    Network, changes, gap, hub, listen, live, on_database, own_cluster, signal, subscribe,
};

#[test]
fn a_sender_that_is_terminated_costs_a_gap_and_no_more() {
    on_database(async |place| {
        let hub = place.hub();
        let mut all = listen(&hub).await;
        let slot = hub.slot();
        place.terminate_senders().await;
        assert_eq!(gap(&mut all).await, GapReason::Lost);
        live(&mut all).await;
        assert_ne!(hub.slot(), slot, "the old one went with its connection");
        assert_eq!(place.slots().await, 1);
        place.run("insert into item values (1)").await;
        assert_eq!(changes(&mut all, 1).await, ["item + 1|null|null"]);
        let counters = hub.counters();
        assert_eq!(counters.restarts.load(Ordering::Relaxed), 1);
        assert_eq!(counters.gaps.load(Ordering::Relaxed), 1);
        hub.close().await;
    });
}

#[test]
fn a_server_that_falls_silent_is_left() {
    on_database(async |place| {
        let silence = Duration::from_secs(2);
        let mut options = HubOptions { silence, ..place.options() };
        let network = Network::before(&options.connect).await;
        options.connect.host = Host::Tcp("127.0.0.1".to_owned());
        options.connect.port = network.port;
        let hub = hub(options);
        let mut all = listen(&hub).await;
        // Longer than the bound: it answers, though nothing happens.
        let nothing = tokio::time::timeout(2 * silence, all.next()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        let slot = hub.slot();
        network.swallow_what_runs();
        assert_eq!(gap(&mut all).await, GapReason::Lost);
        live(&mut all).await;
        assert_ne!(hub.slot(), slot);
        place.run("insert into item values (1)").await;
        assert_eq!(changes(&mut all, 1).await, ["item + 1|null|null"]);
        hub.close().await;
        drop(network);
        place.no_slots().await;
    });
}

#[test]
fn a_publication_that_is_dropped_is_made_again() {
    on_database(async |place| {
        let hub = place.hub();
        let mut all = listen(&hub).await;
        place.run("insert into item values (1)").await;
        assert_eq!(changes(&mut all, 1).await, ["item + 1|null|null"]);
        place.run("drop publication items").await;
        // The sender finds out when it looks for who publishes this.
        place.run("insert into item values (2)").await;
        assert_eq!(gap(&mut all).await, GapReason::Withdrawn);
        live(&mut all).await;
        place.run("insert into item values (3)").await;
        assert_eq!(changes(&mut all, 1).await, ["item + 3|null|null"]);
        hub.close().await;
    });
}

#[test]
fn without_a_publication_there_is_no_stream_and_listeners_know() {
    on_database(async |place| {
        let missing = vec![Publication::existing("missing")];
        let hub = hub(HubOptions::new(place.connect.clone(), missing));
        let mut all = subscribe(&hub);
        assert_eq!(gap(&mut all).await, GapReason::Unavailable);
        hub.close().await;
    });
}

#[test]
fn a_table_that_is_not_there_is_unavailable() {
    on_database(async |place| {
        let hub = hub(place.options_of(&["item", "missing"]));
        let mut all = subscribe(&hub);
        assert_eq!(gap(&mut all).await, GapReason::Unavailable);
        hub.close().await;
        assert_eq!(place.slots().await, 0);
    });
}

#[test]
fn a_slot_waits_for_older_transactions_and_is_given_up_with_its_listener() {
    on_database(async |place| {
        let hub = hub(HubOptions { linger: Duration::ZERO, ..place.options() });
        // Some transaction that has written something and does not end.
        place.run("begin; insert into item values (1)").await;
        let mut first = subscribe(&hub);
        let nothing = tokio::time::timeout(Duration::from_secs(1), first.next()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        assert_eq!(place.slots().await, 1, "it is being made");
        drop(first);
        // The sender waits for the transaction, which goes on; it notices all the same that nobody waits for it.
        place.no_slots().await;
        let mut second = subscribe(&hub);
        let nothing = tokio::time::timeout(Duration::from_secs(1), second.next()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        place.run("commit").await;
        live(&mut second).await;
        place.run("insert into item values (2)").await;
        assert_eq!(changes(&mut second, 1).await, ["item + 2|null|null"]);
        hub.close().await;
    });
}

#[tokio::test]
async fn a_restart_of_postgresql_is_survived() {
    let (cluster, place) = own_cluster(&[]).await;
    let hub = place.hub();
    let mut all = listen(&hub).await;
    let managed = cluster.as_managed().unwrap();
    managed.restart().await.unwrap();
    assert_eq!(gap(&mut all).await, GapReason::Lost);
    live(&mut all).await;
    let sql = cluster.endpoint().connect("postgres").await.unwrap();
    sql.batch_execute("insert into public.item values (1)").await.unwrap();
    assert_eq!(changes(&mut all, 1).await, ["item + 1|null|null"]);

    // The hard way, and with some time in between.
    signal("-QUIT", managed.pid().await);
    assert_eq!(gap(&mut all).await, GapReason::Lost);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(managed.ensure_running().await.unwrap());
    live(&mut all).await;
    let sql = cluster.endpoint().connect("postgres").await.unwrap();
    sql.batch_execute("insert into public.item values (2)").await.unwrap();
    assert_eq!(changes(&mut all, 1).await, ["item + 2|null|null"]);
    hub.close().await;
    let slots = "select count(*) from pg_replication_slots";
    assert_eq!(sql.query_one(slots, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_cluster_without_a_free_slot_is_asked_again() {
    let (_cluster, place) = own_cluster(&[("max_replication_slots", "1")]).await;
    place.run("select pg_create_physical_replication_slot('theirs')").await;
    let hub = place.hub();
    let mut all = subscribe(&hub);
    assert_eq!(gap(&mut all).await, GapReason::Unavailable);
    place.run("select pg_drop_replication_slot('theirs')").await;
    live(&mut all).await;
    place.run("insert into item values (1)").await;
    assert_eq!(changes(&mut all, 1).await, ["item + 1|null|null"]);
    hub.close().await;
}

#[tokio::test]
async fn a_cluster_that_does_not_write_for_slots_is_unavailable() {
    let (cluster, place) = own_cluster(&[("wal_level", "replica")]).await;
    let hub = place.hub();
    let mut all = subscribe(&hub);
    assert_eq!(gap(&mut all).await, GapReason::Unavailable);
    hub.close().await;
    let findings = cluster.check().await.unwrap();
    let level = findings.iter().find(|finding| finding.what.contains("wal_level")).unwrap();
    assert!(!level.fatal, "{level:?}");
}

#[tokio::test]
async fn a_slot_that_postgresql_gives_up_is_made_again() {
    let settings =
        [("max_slot_wal_keep_size", "16MB"), ("min_wal_size", "32MB"), ("max_wal_size", "32MB")];
    let (cluster, place) = own_cluster(&settings).await;
    let hub = place.hub();
    let mut all = listen(&hub).await;
    let slot = hub.slot().unwrap();
    // What the slot may need begins with the oldest transaction, so this one makes it hold the log.
    let old = cluster.endpoint().connect("postgres").await.unwrap();
    old.batch_execute("begin; insert into public.item values (1)").await.unwrap();
    for _ in 0..6 {
        place.run("select pg_logical_emit_message(false, 'fill', repeat('x', 1000000))").await;
        place.run("select pg_switch_wal(); checkpoint").await;
    }
    assert_eq!(gap(&mut all).await, GapReason::Lost);
    let log = std::fs::read_to_string(&cluster.report().unwrap().log).unwrap();
    assert!(log.contains(&format!("to release replication slot \"{slot}\"")), "{log}");
    old.batch_execute("commit").await.unwrap();
    live(&mut all).await;
    place.run("insert into item values (2)").await;
    assert_eq!(changes(&mut all, 1).await, ["item + 2|null|null"]);
    hub.close().await;
}
