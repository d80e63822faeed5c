#![doc = include_str!("../README.md")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod instance;
mod load;
mod memory;
mod pgbench;
mod report;
mod schema;
mod workload;

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use crate::instance::Instance;
use crate::report::{Measure, Report};
use crate::workload::Workload;

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
    /// HTTP connections to measure with.
    #[arg(long, value_delimiter = ',', default_values_t = [8, 32, 128])]
    connections: Vec<usize>,
    /// Clients of the pgbench replay.
    #[arg(long, default_value_t = 32)]
    pgbench_clients: usize,
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
}

fn main() -> Result<()> {
    let options = Options::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if let Some(tables) = options.catalog {
        return runtime.block_on(measure_catalog(tables));
    }
    let report = runtime.block_on(measure(&options))?;
    if options.json {
        println!("{}", report.to_json());
    } else {
        print!("{}", report.to_markdown());
    }
    Ok(())
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
    let workloads = workload::all(&target).await?;

    let mut report = Report::default();
    let duration = Duration::from_secs(options.seconds);
    for workload in &workloads {
        for round in 1..=options.rounds {
            eprintln!("{}: round {round} of {} …", workload.name, options.rounds);
            measure_round(options, &target, workload, duration, &mut report).await?;
        }
    }
    report.loaded = Some(instance.memory()?);
    instance.stop().await?;
    if !options.no_memory {
        eprintln!("five idle projects …");
        report.idle = Some(idle_memory().await?);
    }
    Ok(report)
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

async fn measure_round(
    options: &Options,
    target: &instance::Target,
    workload: &Workload,
    duration: Duration,
    report: &mut Report,
) -> Result<()> {
    for pipelined in [true, false] {
        let sample =
            pgbench::replay(target, workload, options.pgbench_clients, pipelined, duration)
                .await
                .context("pgbench failed")?;
        let measure = if pipelined { Measure::PipelinedReplay } else { Measure::PlainReplay };
        report.add(workload.name, measure, sample);
    }
    for &connections in &options.connections {
        let sample = load::run(target, workload, connections, duration).await?;
        report.add(workload.name, Measure::Http { connections }, sample);
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
