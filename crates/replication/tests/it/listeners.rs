//! Those who listen: together, slowly, and not any more.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use plinth_replication::{
    ChangeHub, Ended, Event, Filter, GapReason, HubOptions, Overflow, QueueBounds,
};

use crate::support::{
    change, changes, event, gap, hub, listen, live, on_database, subscribe, told,
};

#[test]
fn nothing_runs_before_somebody_listens_and_the_slot_goes_some_time_after_the_last() {
    on_database(async |place| {
        let hub = hub(HubOptions { linger: Duration::from_millis(200), ..place.options() });
        assert_eq!((place.slots().await, hub.slot()), (0, None));
        let first = listen(&hub).await;
        let second = listen(&hub).await;
        assert_eq!(place.slots().await, 1);
        let named = hub.slot().unwrap();
        assert!(named.starts_with("plinth_test_"), "{named}");
        drop(first);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(place.slots().await, 1, "one is left");
        drop(second);
        assert_eq!(place.slots().await, 1, "it lingers");
        place.no_slots().await;
        // The next one begins anew, with another slot.
        let mut third = listen(&hub).await;
        assert_ne!(hub.slot().unwrap(), named);
        place.run("insert into item values (1)").await;
        assert_eq!(changes(&mut third, 1).await, ["item + 1|null|null"]);
        assert_eq!(hub.counters().starts.load(Ordering::Relaxed), 2);
        assert_eq!(hub.counters().restarts.load(Ordering::Relaxed), 0);
        drop(third);
        place.no_slots().await;
    });
}

#[test]
fn who_comes_back_while_the_stream_lingers_finds_it_running() {
    on_database(async |place| {
        let hub = place.hub();
        drop(listen(&hub).await);
        let slot = hub.slot();
        let mut again = listen(&hub).await;
        assert_eq!(hub.slot(), slot);
        place.run("insert into item values (1)").await;
        changes(&mut again, 1).await;
        hub.close().await;
        assert_eq!(place.slots().await, 0, "closing leaves no slot");
    });
}

#[test]
fn a_change_is_decoded_once_and_shared_and_not_at_all_when_nobody_wants_it() {
    on_database(async |place| {
        place.run("create table other (id int primary key)").await;
        let hub = hub(place.options_of(&["item", "other"]));
        let (mut one, mut two) = (listen(&hub).await, listen(&hub).await);
        place.run("insert into item values (1)").await;
        assert!(Arc::ptr_eq(&change(&mut one).await, &change(&mut two).await));
        drop((one, two));
        let items = Filter::tables([("public", "item")]);
        let mut items = hub.subscribe("items", items, QueueBounds::default(), Overflow::CutOff);
        live(&mut items).await;
        place.run("insert into other values (1); insert into item values (2)").await;
        assert_eq!(changes(&mut items, 1).await, ["item + 2|null|null"]);
        let counters = hub.counters();
        assert_eq!(counters.changes.load(Ordering::Relaxed), 2);
        assert_eq!(counters.changes_unwanted.load(Ordering::Relaxed), 1);
        assert!(counters.transactions.load(Ordering::Relaxed) >= 1);
        assert!(counters.bytes.load(Ordering::Relaxed) > 0);
        hub.close().await;
    });
}

#[test]
fn a_slow_listener_is_cut_off_or_told_and_nobody_waits_for_it() {
    on_database(async |place| {
        let hub = place.hub();
        let few = QueueBounds { events: 10, bytes: 1 << 20 };
        let mut cut = hub.subscribe("cut", Filter::all(), few, Overflow::CutOff);
        let mut told_of = hub.subscribe("told", Filter::all(), few, Overflow::Gap);
        let mut quick = listen(&hub).await;
        live(&mut cut).await;
        live(&mut told_of).await;
        place.run("insert into item select generate_series(1, 1000)").await;
        for number in 1..=1000 {
            assert_eq!(told(&*change(&mut quick).await), format!("item + {number}|null|null"));
        }
        let ended = loop {
            match cut.next().await {
                Ok(_) => {}
                Err(ended) => break ended,
            }
        };
        assert_eq!(ended, Ended::TooSlow);
        assert_eq!(hub.subscriptions(), 2);
        assert_eq!(hub.counters().cut_off.load(Ordering::Relaxed), 1);
        assert!(matches!(gap(&mut told_of).await, GapReason::Slow { dropped } if dropped > 0));
        live(&mut told_of).await;
        // It goes on behind the gap, without another hole, to the end.
        let mut last = told(&*change(&mut told_of).await);
        while let Ok(Some(Event::Change(change))) = told_of.try_next() {
            last = told(&change);
        }
        assert_eq!(last, "item + 1000|null|null");
        place.run("insert into item values (0)").await;
        assert_eq!(changes(&mut told_of, 1).await, ["item + 0|null|null"]);
        hub.close().await;
    });
}

#[test]
fn who_joins_gets_whole_transactions() {
    on_database(async |place| {
        let hub = place.hub();
        let bounds = QueueBounds { events: 100_000, bytes: 1 << 30 };
        let mut first = hub.subscribe("first", Filter::all(), bounds, Overflow::CutOff);
        live(&mut first).await;
        place.run("insert into item select generate_series(1, 20000)").await;
        change(&mut first).await;
        // The transaction is being given out now, or it was; in no case does the second get its rest.
        let mut second = listen(&hub).await;
        place.run("insert into item values (0)").await;
        let next = change(&mut second).await;
        assert!(["item + 0|null|null", "item + 1|null|null"].contains(&told(&next).as_str()));
        hub.close().await;
    });
}

#[test]
fn closing_ends_everybody() {
    on_database(async |place| {
        let hub = place.hub();
        let mut one = listen(&hub).await;
        place.run("insert into item values (1)").await;
        let inserted = event(&mut one).await;
        assert!(matches!(inserted, Event::Change(_)));
        hub.close().await;
        assert_eq!(one.next().await.unwrap_err(), Ended::Closed);
        assert_eq!(subscribe(&hub).next().await.unwrap_err(), Ended::Closed);
        assert_eq!(place.slots().await, 0);
    });
}

#[test]
fn a_process_that_just_ends_leaves_no_slot() {
    on_database(async |place| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let doomed = builder.worker_threads(1).enable_all().build().unwrap();
        let hub = ChangeHub::new(place.options(), doomed.handle().clone());
        let mut all = subscribe(&hub);
        live(&mut all).await;
        assert_eq!(place.slots().await, 1);
        doomed.shutdown_background();
        place.no_slots().await;
    });
}

#[test]
fn two_instances_read_the_same_database_side_by_side() {
    on_database(async |place| {
        let (one, two) = (place.hub(), place.hub());
        let (mut first, mut second) = (listen(&one).await, listen(&two).await);
        assert_eq!(place.slots().await, 2);
        place.run("insert into item values (1)").await;
        assert_eq!(changes(&mut first, 1).await, changes(&mut second, 1).await);
        one.close().await;
        place.run("insert into item values (2)").await;
        assert_eq!(changes(&mut second, 1).await, ["item + 2|null|null"]);
        two.close().await;
    });
}

#[test]
fn lag_is_what_the_server_wrote_and_we_have_not_given_out() {
    on_database(async |place| {
        let hub = place.hub();
        assert_eq!(hub.measure_lag().await.unwrap(), 0, "without a stream nothing is asked");
        let mut all = listen(&hub).await;
        place.run("insert into item values (1)").await;
        let change = change(&mut all).await;
        // Other tests write to the same log, so that nothing more can be said of the number.
        let lag = hub.measure_lag().await.unwrap();
        assert_eq!(hub.counters().lag_bytes.load(Ordering::Relaxed), lag);
        assert!(hub.position() >= change.transaction.commit_lsn || lag > 0);
        hub.close().await;
    });
}
