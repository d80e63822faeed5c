#![doc = include_str!("../README.md")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod cpu;
mod flood;
mod instance;
mod load;
mod memory;
mod peer;
mod pgbench;
mod report;
mod schema;
mod sign_in;
mod work;
mod workload;

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use crate::instance::Instance;
use crate::peer::Peer;
use crate::report::{Measure, Report};
use crate::work::WorkOptions;
use crate::workload::{Workload, Yardstick};

/// Compare Plinth over HTTP with pgbench replaying the same transactions.
#[derive(Debug, Parser)]
#[command(after_help = "Example: plinth-bench --seconds 10 --rounds 3 --connections 8,32,128")]
struct Options {
    /// Seconds per measurement.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// How often every measurement is repeated, in turns with the others.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// HTTP connections to measure reads of one row with.
    #[arg(long, value_delimiter = ',', default_values_t = [8, 32, 128, 512])]
    connections: Vec<usize>,
    /// Clients of the pgbench replay.
    #[arg(long, default_value_t = 32)]
    pgbench_clients: usize,
    /// Replay with four round trips per transaction too, as drivers do.
    #[arg(long)]
    four_trips: bool,
    /// Only the kinds of request whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Leave out PostGraphile.
    #[arg(long)]
    no_peer: bool,
    /// Leave out the memory of five idle projects.
    #[arg(long)]
    no_memory: bool,
    /// Measure only what the catalog of so many tables costs.
    #[arg(long, value_name = "TABLES")]
    catalog: Option<u32>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Arguments for `plinth up`, separated by spaces, such as "--pool-size 8".
    #[arg(long, default_value = "")]
    up_args: String,
    #[command(flatten)]
    work: WorkOptions,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if let Some(tables) = options.catalog {
        return runtime.block_on(measure_catalog(tables));
    }
    if !options.work.work_only {
        let report = runtime.block_on(measure(&options))?;
        print_one(&options, || report.to_json().to_string(), || report.to_markdown());
    }
    // With requests of one kind asked for, the work plane is not.
    if options.work.work_only || !options.work.no_work && options.only.is_empty() {
        let report = runtime.block_on(work::measure(&options.work))?;
        print_one(&options, || report.to_json().to_string(), || report.to_markdown());
    }
    Ok(())
}

fn print_one(options: &Options, json: impl FnOnce() -> String, table: impl FnOnce() -> String) {
    if options.json {
        println!("{}", json());
    } else {
        print!("{}", table());
    }
}

async fn measure(options: &Options) -> Result<Report> {
    eprintln!("starting a fresh cluster with 100,000 rows …");
    let up_args: Vec<&str> = options.up_args.split_whitespace().collect();
    let instance =
        Instance::start(&[&["--empty", "--default-project", "bench"], &up_args[..]].concat())
            .await
            .context("cannot start plinth")?;
    let target = instance.target("bench")?;
    workload::fill(&target).await.context("cannot fill the tables")?;
    sign_in::fill(&target).await.context("cannot make people")?;
    let mut workloads = workload::all(&target).await?;
    if sign_in::is_asked(&options.only) {
        workloads.extend(sign_in::all(&target).await.context("cannot sign people in")?);
    }

    let peer = if options.no_peer { None } else { Peer::start(&target)? };
    if peer.is_none() && !options.no_peer {
        eprintln!("PostGraphile is left out: `make bench` installs it");
    }

    let mut report = Report::default();
    measure_rounds(options, &target, &workloads, peer.as_ref(), &mut report).await?;
    if sign_in::is_asked_for_key_pair(&options.only) {
        let workloads = sign_in::with_key_pair(&instance, &target).await?;
        measure_rounds(options, &target, &workloads, None, &mut report).await?;
    }
    drop(peer);
    report.loaded = Some(instance.memory()?);
    instance.stop().await?;
    if !options.no_memory {
        eprintln!("five idle projects …");
        report.idle = Some(idle_memory().await?);
    }
    Ok(report)
}

async fn measure_rounds(
    options: &Options,
    target: &instance::Target,
    workloads: &[Workload],
    peer: Option<&Peer>,
    report: &mut Report,
) -> Result<()> {
    let duration = Duration::from_secs(options.seconds);
    for round in 1..=options.rounds {
        for workload in workloads.iter().filter(|workload| workload.name.contains(&options.only)) {
            eprintln!("round {round} of {}: {} …", options.rounds, workload.name);
            if let Some(reset) = workload.reset {
                instance::connect(&target.database_url).await?.batch_execute(reset).await?;
            }
            measure_round(options, target, workload, duration, report)?;
            let beside = peer.map(|peer| peer.measure(target, workload, duration));
            if let Some((measure, sample)) = beside.transpose()?.flatten() {
                report.add(workload, measure, sample);
            }
        }
    }
    Ok(())
}

async fn measure_catalog(tables: u32) -> Result<()> {
    let instance = Instance::start(&["--empty", "--default-project", "bench"]).await?;
    let cost = schema::measure(&instance.target("bench")?, tables).await?;
    instance.stop().await?;
    let (relations, relationships, functions) = cost.size;
    println!(
        "{relations} relations, {relationships} relationships, {functions} functions: {} ms, {:.1} MB",
        cost.time.as_millis(),
        cost.bytes as f64 / 1e6
    );
    Ok(())
}

fn measure_round(
    options: &Options,
    target: &instance::Target,
    workload: &Workload,
    duration: Duration,
    report: &mut Report,
) -> Result<()> {
    let replayed = workload.yardstick == Yardstick::Replay;
    for pipelined in [true, false].into_iter().take(if options.four_trips { 2 } else { 1 }) {
        if replayed {
            let clients = options.pgbench_clients;
            let sample = pgbench::replay(target, workload, clients, pipelined, duration)
                .context("pgbench failed")?;
            let measure = if pipelined { Measure::PipelinedReplay } else { Measure::PlainReplay };
            report.add(workload, measure, sample);
        }
    }
    let given = workload.connections.as_slice();
    for &connections in if given.is_empty() { &options.connections } else { given } {
        let sample = load::run(target, workload, connections, duration)?;
        report.add(workload, Measure::Http { connections }, sample);
    }
    Ok(())
}

/// What `plinth up` with its five blueprints holds once it has settled.
async fn idle_memory() -> Result<memory::Memory> {
    let instance = Instance::start(&[]).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let memory = instance.memory()?;
    instance.stop().await?;
    Ok(memory)
}
