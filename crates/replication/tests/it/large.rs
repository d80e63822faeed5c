//! Transactions that are larger than memory should be.

use std::sync::atomic::Ordering;

use plinth_replication::{
    ChangeHub, Filter, GapReason, HubOptions, Overflow, QueueBounds, Subscription,
};

use crate::support::{Place, change, changes, gap, hub, live, on_database, told};

/// Takes as much as comes.
async fn listen(hub: &ChangeHub) -> Subscription {
    let bounds = QueueBounds { events: 1_000_000, bytes: 1 << 30 };
    let mut subscription = hub.subscribe("test", Filter::all(), bounds, Overflow::CutOff);
    live(&mut subscription).await;
    subscription
}

/// A server that sends what is larger than 64 kB before it is committed.
fn uncommitted(place: &Place) -> HubOptions {
    let mut options = HubOptions { take_uncommitted: true, ..place.options() };
    options.connect.settings.push(("logical_decoding_work_mem".to_owned(), "64kB".to_owned()));
    options
}

async fn is_whole(all: &mut Subscription, rows: usize) {
    let mut transaction = None;
    for number in 1..=rows {
        let change = change(all).await;
        assert_eq!(told(&change), format!("item + {number}|null|null"));
        let of = transaction.get_or_insert_with(|| change.transaction.clone());
        assert_eq!(*of, change.transaction);
    }
}

#[test]
fn postgresql_holds_a_large_transaction_until_it_is_committed() {
    on_database(async |place| {
        let hub = place.hub();
        let mut all = listen(&hub).await;
        place.run("insert into item select generate_series(1, 30000)").await;
        is_whole(&mut all, 30_000).await;
        hub.close().await;
    });
}

#[test]
fn changes_that_come_before_the_commit_are_given_out_at_the_commit() {
    on_database(async |place| {
        let hub = hub(uncommitted(place));
        let mut all = listen(&hub).await;
        place.run("begin; insert into item select generate_series(1, 20000)").await;
        // Other transactions pass it by.
        let other = plinth_wire::Connection::open(&place.connect, 0).await;
        let (mut other, sql) = (other.unwrap(), "insert into item values (-1)");
        other.run(&one(sql)).await.unwrap();
        assert_eq!(changes(&mut all, 1).await, ["item + -1|null|null"]);
        assert!(hub.counters().bytes.load(Ordering::Relaxed) > 500_000, "parts have come");
        place.run("commit").await;
        is_whole(&mut all, 20_000).await;
        hub.close().await;
    });
}

fn one(sql: &str) -> plinth_wire::Batch {
    let statement = plinth_wire::Statement {
        sql: sql.into(),
        params: Vec::new(),
        format: plinth_wire::Format::Text,
    };
    plinth_wire::Batch {
        role: "test".into(),
        statements: vec![statement],
        lane: plinth_wire::Lane::Write,
        rollback: false,
    }
}

#[test]
fn parts_that_were_rolled_back_are_forgotten() {
    on_database(async |place| {
        let hub = hub(uncommitted(place));
        let mut all = listen(&hub).await;
        place.run("begin; insert into item select generate_series(1, 10000); rollback").await;
        place
            .run(
                "begin; insert into item select generate_series(1, 5000); savepoint s;
                 alter table item add more int default 0;
                 insert into item select generate_series(10001, 20000); rollback to s;
                 insert into item select generate_series(5001, 9000); commit",
            )
            .await;
        is_whole(&mut all, 9_000).await;
        place.run("insert into item values (0)").await;
        assert_eq!(changes(&mut all, 1).await, ["item + 0|null|null"]);
        hub.close().await;
    });
}

#[test]
fn parts_that_hold_too_much_cost_a_gap() {
    on_database(async |place| {
        let hub = hub(HubOptions { spool_bytes: 100_000, ..uncommitted(place) });
        let mut all = listen(&hub).await;
        place.run("insert into item select generate_series(1, 20000)").await;
        assert_eq!(gap(&mut all).await, GapReason::Unreadable);
        live(&mut all).await;
        place.run("insert into item values (0)").await;
        assert_eq!(changes(&mut all, 1).await, ["item + 0|null|null"]);
        hub.close().await;
    });
}

#[test]
fn a_row_that_is_larger_than_may_be_held_costs_a_gap() {
    on_database(async |place| {
        let hub = hub(HubOptions { message_bytes: 100_000, ..place.options() });
        let mut all = listen(&hub).await;
        place.run("insert into item values (1, repeat('x', 90000))").await;
        assert_eq!(changes(&mut all, 1).await, [format!("item + 1|{}|null", "x".repeat(20))]);
        place.run("insert into item values (2, repeat('x', 100000))").await;
        assert_eq!(gap(&mut all).await, GapReason::Unreadable);
        live(&mut all).await;
        place.run("insert into item values (3)").await;
        assert_eq!(changes(&mut all, 1).await, ["item + 3|null|null"]);
        hub.close().await;
    });
}
