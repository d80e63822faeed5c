//! How fast changes come. Not run by itself: `cargo test -p plinth-replication --release -- --ignored --nocapture speed`.

use std::time::Instant;

use plinth_replication::{ChangeHub, Event, Filter, Overflow, QueueBounds, Subscription};

use crate::support::{Place, hub, live, on_database, signal};

const ROWS: usize = 300_000;

async fn listen(hub: &ChangeHub) -> Subscription {
    let bounds = QueueBounds { events: ROWS, bytes: 1 << 30 };
    let mut subscription = hub.subscribe("test", Filter::all(), bounds, Overflow::CutOff);
    live(&mut subscription).await;
    subscription
}

/// Changes per second, and our seconds of processor per million of them.
async fn measure(place: &Place, what: &str, rows: usize, sql: &str) {
    // The stream begins where it is stopped, so that it has everything to read at once.
    let hub = hub(place.options());
    let mut all = listen(&hub).await;
    let sender = place.sender().await;
    signal("-STOP", sender);
    place.run(sql).await;
    let (began, before) = (Instant::now(), processor());
    signal("-CONT", sender);
    let mut bytes = 0;
    for _ in 0..rows {
        let Event::Change(change) = all.next().await.unwrap() else { panic!("no change") };
        bytes += change.new_row().unwrap().values().count();
    }
    assert_eq!(bytes, rows * 3);
    let (took, used) = (began.elapsed().as_secs_f64(), processor() - before);
    let per_second = rows as f64 / took;
    let per_million = used * 1e6 / rows as f64;
    #[expect(clippy::print_stderr, reason = "the figures are what it is for")]
    {
        eprintln!("{what}: {per_second:.0} rows/s; {per_million:.2} s of our processor a million");
    }
    hub.close().await;
}

/// Seconds of processor that this process has used (proc(5)).
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let fields: Vec<f64> =
        after_name.split(' ').map(|field| field.parse().unwrap_or_default()).collect();
    (fields[11] + fields[12]) / 100.0
}

#[test]
#[ignore = "measures"]
fn speed() {
    on_database(async |place| {
        let insert = format!(
            "insert into item select n, 'name', md5(n::text) from generate_series(1, {ROWS}) n"
        );
        measure(place, "one transaction", ROWS, &insert).await;
        place.run("truncate item").await;
        place
            .run(
                "create procedure singly(rows int) language plpgsql as $$ begin
                 for n in 1..rows loop insert into item values (n, 'name', md5(n::text)); commit; end loop; end $$",
            )
            .await;
        let rows = ROWS / 3;
        measure(place, "a transaction each", rows, &format!("call singly({rows})")).await;
    });
}
