//! Samples, and the table made of them.

use std::fmt::Write;
use std::time::Duration;

use plinth_auth::password::HasherSettings;
use serde_json::{Value, json};

use crate::cpu::Cpu;
use crate::flood::Flooded;
use crate::memory::Memory;
use crate::workload::{Workload, Yardstick};

/// What one measurement saw.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Latencies in microseconds, sorted.
    latencies: Vec<u32>,
    elapsed: Duration,
    cpu: Cpu,
    flooded: Option<Flooded>,
}

impl Sample {
    pub(crate) fn new(mut latencies: Vec<u32>, elapsed: Duration, cpu: Cpu) -> Self {
        latencies.sort_unstable();
        Self { latencies, elapsed, cpu, flooded: None }
    }

    /// The same, with what became of the log-ins that were offered meanwhile.
    pub(crate) fn beside(self, flooded: Flooded) -> Self {
        Self { flooded: Some(flooded), ..self }
    }

    fn merge(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.latencies.sort_unstable();
        self.elapsed += other.elapsed;
        self.cpu.add(other.cpu);
        if let (Some(own), Some(more)) = (&mut self.flooded, other.flooded) {
            own.offered += more.offered;
            own.accepted += more.accepted;
            own.elapsed += more.elapsed;
        }
    }

    fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Processor time of one party per request, in microseconds.
    fn each(&self, micros: u64) -> f64 {
        micros as f64 / self.latencies.len() as f64
    }

    /// The share of all processors that hashing passwords was given.
    fn hashing_share(&self) -> f64 {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        self.cpu.hashing as f64 / 1e6 / self.elapsed.as_secs_f64() / processors as f64
    }

    /// How much of the time the threads that hash passwords were hashing.
    fn hashing_threads(&self) -> f64 {
        let threads = HasherSettings::default().threads as f64;
        self.cpu.hashing as f64 / 1e6 / self.elapsed.as_secs_f64() / threads
    }

    /// Passwords that were compared per second.
    fn hashes_per_second(&self) -> f64 {
        match self.flooded {
            Some(flooded) => flooded.accepted as f64 / flooded.elapsed.as_secs_f64(),
            None => self.per_second(),
        }
    }

    /// A quantile in milliseconds.
    fn quantile(&self, share: f64) -> f64 {
        let index = ((self.latencies.len() as f64 - 1.0) * share).max(0.0) as usize;
        self.latencies.get(index).map_or(f64::NAN, |micros| f64::from(*micros) / 1000.0)
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// pgbench, all statements of a transaction in one pipeline: the yardstick.
    PipelinedReplay,
    /// pgbench, one round trip per statement.
    PlainReplay,
    /// Plinth over HTTP.
    Http {
        /// Connections kept busy.
        connections: usize,
    },
    /// PostGraphile over HTTP.
    Peer {
        /// Connections kept busy.
        connections: usize,
    },
}

impl Measure {
    fn label(self) -> String {
        match self {
            Self::PipelinedReplay => "pgbench, one pipeline".to_owned(),
            Self::PlainReplay => "pgbench, four round trips".to_owned(),
            Self::Http { connections } => format!("Plinth over HTTP, {connections} connections"),
            Self::Peer { connections } => format!("PostGraphile, {connections} connections"),
        }
    }
}

/// Everything that a run saw.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    /// After the load.
    pub(crate) loaded: Option<Memory>,
    /// Five idle projects.
    pub(crate) idle: Option<Memory>,
}

#[derive(Debug)]
struct Row {
    work: &'static str,
    measure: Measure,
    yardstick: Yardstick,
    bar: f64,
    rate: Option<f64>,
    flood: bool,
    sample: Sample,
}

impl Row {
    /// Whether passwords are hashed for it, or beside it.
    fn hashes(&self) -> bool {
        self.flood || self.yardstick == Yardstick::Hashing
    }
}

impl Report {
    pub(crate) fn add(&mut self, workload: &Workload, measure: Measure, sample: Sample) {
        let is_known = |row: &&mut Row| row.work == workload.name && row.measure == measure;
        match self.rows.iter_mut().find(is_known) {
            Some(row) => row.sample.merge(sample),
            None => self.rows.push(Row {
                work: workload.name,
                measure,
                yardstick: workload.yardstick,
                bar: workload.bar,
                rate: workload.rate,
                flood: workload.flood.is_some(),
                sample,
            }),
        }
    }

    /// How many times as many requests as the yardstick; 1 for the yardstick itself.
    fn ratio(&self, row: &Row) -> f64 {
        let (work, measure) = match row.yardstick {
            Yardstick::Replay => (row.work, Measure::PipelinedReplay),
            Yardstick::Workload(work) => (work, row.measure),
            Yardstick::Hashing => return row.sample.hashing_threads(),
        };
        let yardstick = self.rows.iter().find(|row| row.work == work && row.measure == measure);
        let left = if row.flood { 1.0 - row.sample.hashing_share() } else { 1.0 };
        yardstick
            .map_or(f64::NAN, |known| row.sample.per_second() / (known.sample.per_second() * left))
    }

    pub(crate) fn to_markdown(&self) -> String {
        let mut text = String::from(
            "| work | how | req/s | p50 ms | p99 ms | ratio | bar | CPU µs: load | server | PostgreSQL |\n\
             |---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for row in &self.rows {
            let Row { work, measure, sample, .. } = row;
            let bar = match measure {
                Measure::Http { .. } => match row.rate {
                    Some(rate) => format!("{:.2}, {rate:.0}/s", row.bar),
                    None => format!("{:.2}", row.bar),
                },
                _ => String::new(),
            };
            let _ = writeln!(
                text,
                "| {work} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {bar} | {:.1} | {:.1} | {:.1} |",
                measure.label(),
                sample.per_second(),
                sample.quantile(0.5),
                sample.quantile(0.99),
                self.ratio(row),
                sample.each(sample.cpu.load),
                sample.each(sample.cpu.plinth),
                sample.each(sample.cpu.postgres),
            );
        }
        text.push('\n');
        for row in self.rows.iter().filter(|row| row.hashes()) {
            let sample = &row.sample;
            let offered = sample.flooded.map_or_else(String::new, |flooded| {
                let rate = flooded.offered as f64 / flooded.elapsed.as_secs_f64();
                format!(" of {rate:.0} log-ins/s offered")
            });
            let _ = writeln!(
                text,
                "Passwords, {}: {:.1} hashes/s{offered}; hashing was given {:.1} % of all processors.",
                row.work,
                sample.hashes_per_second(),
                100.0 * sample.hashing_share(),
            );
        }
        for (label, memory) in [("after the load", self.loaded), ("five idle projects", self.idle)]
        {
            if let Some(memory) = memory {
                let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
                let _ = writeln!(
                    text,
                    "Memory, {label}: Plinth {:.1} MiB resident, PostgreSQL {:.1} MiB, together {:.1} MiB (PSS).",
                    mib(memory.plinth_rss),
                    mib(memory.postgres_pss),
                    mib(memory.plinth_pss + memory.postgres_pss),
                );
            }
        }
        text
    }

    pub(crate) fn to_json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "work": row.work,
                    "how": row.measure.label(),
                    "per_second": row.sample.per_second(),
                    "p50_ms": row.sample.quantile(0.5),
                    "p99_ms": row.sample.quantile(0.99),
                    "ratio": self.ratio(row),
                    "bar": row.bar,
                    "bar_per_second": row.rate,
                    "hashing_share": row.sample.hashing_share(),
                    "cpu_micros": {
                        "load": row.sample.each(row.sample.cpu.load),
                        "server": row.sample.each(row.sample.cpu.plinth),
                        "postgres": row.sample.each(row.sample.cpu.postgres),
                    },
                })
            })
            .collect();
        let memory = |memory: Option<Memory>| {
            memory.map(|m| {
                json!({
                    "plinth_rss_bytes": m.plinth_rss,
                    "plinth_pss_bytes": m.plinth_pss,
                    "postgres_pss_bytes": m.postgres_pss,
                })
            })
        };
        json!({ "rows": rows, "memory": { "loaded": memory(self.loaded), "idle": memory(self.idle) } })
    }
}
