//! Samples, and the table made of them.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::memory::Memory;

/// What one measurement saw.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Latencies in microseconds, sorted.
    latencies: Vec<u32>,
    elapsed: Duration,
}

impl Sample {
    pub(crate) fn new(mut latencies: Vec<u32>, elapsed: Duration) -> Self {
        latencies.sort_unstable();
        Self { latencies, elapsed }
    }

    fn merge(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.latencies.sort_unstable();
        self.elapsed += other.elapsed;
    }

    fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
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
}

impl Measure {
    fn label(self) -> String {
        match self {
            Self::PipelinedReplay => "pgbench, one pipeline".to_owned(),
            Self::PlainReplay => "pgbench, four round trips".to_owned(),
            Self::Http { connections } => format!("Plinth over HTTP, {connections} connections"),
        }
    }
}

/// Everything that a run saw.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<(&'static str, Measure, Sample)>,
    /// After the load.
    pub(crate) loaded: Option<Memory>,
    /// Five idle projects.
    pub(crate) idle: Option<Memory>,
}

impl Report {
    pub(crate) fn add(&mut self, workload: &'static str, measure: Measure, sample: Sample) {
        match self.rows.iter_mut().find(|(w, m, _)| *w == workload && *m == measure) {
            Some((_, _, known)) => known.merge(sample),
            None => self.rows.push((workload, measure, sample)),
        }
    }

    fn ratio(&self, workload: &str, sample: &Sample) -> f64 {
        let yardstick =
            self.rows.iter().find(|(w, m, _)| *w == workload && *m == Measure::PipelinedReplay);
        yardstick.map_or(f64::NAN, |(_, _, replay)| sample.per_second() / replay.per_second())
    }

    pub(crate) fn to_markdown(&self) -> String {
        let mut text = String::from(
            "| work | how | req/s | p50 ms | p99 ms | ratio |\n|---|---|--:|--:|--:|--:|\n",
        );
        for (workload, measure, sample) in &self.rows {
            let _ = writeln!(
                text,
                "| {workload} | {} | {:.0} | {:.2} | {:.2} | {:.2} |",
                measure.label(),
                sample.per_second(),
                sample.quantile(0.5),
                sample.quantile(0.99),
                self.ratio(workload, sample),
            );
        }
        text.push('\n');
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
            .map(|(workload, measure, sample)| {
                json!({
                    "work": workload,
                    "how": measure.label(),
                    "per_second": sample.per_second(),
                    "p50_ms": sample.quantile(0.5),
                    "p99_ms": sample.quantile(0.99),
                    "ratio": self.ratio(workload, sample),
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
