//! Kills, freezes and cuts off everything around a few instances while rows move, and then proves that each job was
//! worked off as promised, and each tick of a schedule was one run.
//!
//! `PLINTH_CHAOS_SECONDS` says how long there are faults (8), `PLINTH_CHAOS_SEED` repeats a run's choices,
//! `PLINTH_CHAOS_INSTANCES` how many instances there are (2 or 3, by the seed), `PLINTH_CHAOS_ONLY` which faults there are, by the names in
//! `faults.rs` with commas in between. It ends by itself: when all jobs have ended, or when nothing moves any more.

mod bindings;
mod chance;
mod checker;
mod faults;
mod instance;
mod outside;
mod patience;
mod proxy;
mod report;
mod server;
mod watcher;
mod writers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use self::chance::Chance;
use self::faults::Faults;
use self::outside::Outside;
use self::proxy::Proxy;
use self::report::say;
use self::server::Server;
use self::watcher::Watcher;
use self::writers::Writers;

fn main() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    match std::env::var(instance::PLACE) {
        Ok(place) => runtime.block_on(instance::work(&place)),
        // Whoever runs tests asks a binary without the usual harness for a list as well.
        Err(_) if std::env::args().any(|argument| argument == "--list") => {}
        Err(_) => runtime.block_on(chaos()),
    }
}

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

async fn chaos() {
    let seed = setting("PLINTH_CHAOS_SEED", rand::random::<u32>().into());
    let faulty = Duration::from_secs(setting("PLINTH_CHAOS_SECONDS", 8));
    let instances = setting("PLINTH_CHAOS_INSTANCES", 2 + seed % 2);
    say(&format!("seed {seed}, {instances} instances, faults for {faulty:?}"));

    let server = Server::start().await;
    let outside = Outside::open(seed).await;
    let proxy = Proxy::before(server.port()).await;
    let writers = Writers::start(&server, seed);
    let watcher = Watcher::start(&server);
    let url = server.owner_url(proxy.port);
    let mut faults = Faults::new(Chance::new(seed), &server, &proxy, &url, outside.port, instances);

    let begun = Instant::now();
    while begun.elapsed() < faulty {
        faults.next().await;
    }
    faults.heal().await;
    let healed = Instant::now();
    server.until_moving().await;
    let moving = healed.elapsed().as_secs_f64();
    writers.stop().await;
    say(&format!("faults are over: {}", faults.told()));
    server.end_schedules().await;
    server.until_quiet().await;
    let ended = healed.elapsed().as_secs_f64();
    say(&format!(
        "after the last fault jobs ended again in {moving:.1} s, and all had in {ended:.1} s"
    ));

    let seen = watcher.stop().await;
    faults.stop().await;
    let calls = outside.close();
    let broken = checker::check(&server, &calls, seen).await;
    if broken.is_empty() {
        say("nothing is broken");
        return;
    }
    for line in &broken {
        say(line);
    }
    panic!("{} promises are broken; seed {seed}", broken.len());
}

/// Something that tasks of a run share.
type Shared<T> = Arc<std::sync::Mutex<T>>;
