//! The work plane: rows whose jobs are made by a trigger, taken, done and finished, on a cluster that waits for the disk.

mod drain;
mod idle;
mod latency;
mod peers;
mod place;
mod trigger;

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use plinth_work::engine::Options;
use serde_json::{Value, json};

use self::drain::Drained;
use self::latency::{Latencies, Wake, quantile};
use self::place::{Limit, Place};
use self::trigger::Table::{Small, Usual};

/// Rows per second that are offered when waits are measured.
const OFFERED: u64 = 500;

/// What of the work plane to measure, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct WorkOptions {
    /// Measure only the work plane.
    #[arg(long)]
    pub(crate) work_only: bool,
    /// Leave out the work plane.
    #[arg(long, conflicts_with = "work_only")]
    pub(crate) no_work: bool,
    /// Only these parts of the work plane: batch, single, limited, latency, trigger, idle, peers.
    #[arg(long, value_delimiter = ',')]
    work_part: Vec<String>,
    /// Jobs in batches, and of each peer.
    #[arg(long, default_value_t = 100_000)]
    work_jobs: u64,
    /// Jobs one at a time.
    #[arg(long, default_value_t = 10_000)]
    work_single_jobs: u64,
    /// Jobs that one claim takes, and that one transaction ends.
    #[arg(long)]
    work_batch: Option<usize>,
    /// Jobs that run at once.
    #[arg(long)]
    work_most: Option<usize>,
    /// Transactions that end jobs at once.
    #[arg(long)]
    work_finishers: Option<usize>,
    /// Transactions that end jobs at once, where each ends one.
    #[arg(long, default_value_t = 16)]
    work_single_finishers: usize,
    /// Seconds beside an idle transaction; 600 shows what days would.
    #[arg(long, default_value_t = 60)]
    work_idle_seconds: u64,
}

/// A figure with the bar that it has to reach.
struct Line {
    part: &'static str,
    what: String,
    value: f64,
    unit: &'static str,
    bar: Option<Bar>,
}

#[derive(Clone, Copy)]
enum Bar {
    AtLeast(f64),
    Below(f64),
}

/// What was measured.
pub(crate) struct WorkReport(Vec<Line>);

/// Measures the parts that are asked for, on a cluster of its own.
pub(crate) async fn measure(options: &WorkOptions) -> Result<WorkReport> {
    let mut report = WorkReport(Vec::new());
    eprintln!("starting a cluster for the work plane …");
    let place = Place::start().await.context("cannot start a cluster")?;
    if options.wants("batch") {
        eprintln!("jobs in batches …");
        let drained =
            drain::measure(&place, Limit::None, options.work_jobs, options.batches()).await?;
        report.drained("batch", &drained, Some((10_000.0, 0.1)));
    }
    if options.wants("single") {
        eprintln!("jobs one at a time …");
        let drained =
            drain::measure(&place, Limit::None, options.work_single_jobs, options.singles())
                .await?;
        report.drained("single", &drained, Some((1500.0, 3.0)));
    }
    if options.wants("limited") {
        eprintln!("jobs of limited keys …");
        let jobs = options.work_jobs;
        let drained = drain::measure(&place, Limit::Seats, jobs, options.batches()).await?;
        report.drained("limited", &drained, None);
    }
    if options.wants("latency") {
        for wake in [Wake::Hub, Wake::Poll(Duration::from_millis(50))] {
            eprintln!("{OFFERED} rows per second, {wake:?} …");
            let time = Duration::from_secs(15);
            let latencies = latency::measure(&place, wake, OFFERED, time).await?;
            report.latency(wake, &latencies);
        }
    }
    if options.wants("trigger") {
        for (table, clients) in [(Small, 1), (Small, 8), (Usual, 1), (Usual, 8)] {
            eprintln!("the trigger on inserts of {clients} sessions, {table:?} table …");
            let time = Duration::from_secs(20);
            report.trigger(&trigger::measure(&place, table, clients, time).await?);
        }
    }
    if options.wants("idle") {
        let time = Duration::from_secs(options.work_idle_seconds);
        for (part, limit) in [("idle", Limit::None), ("idle, limited", Limit::Seats)] {
            eprintln!("{part}: {} s beside an idle transaction …", time.as_secs());
            let intervals = idle::measure(&place, limit, time, options.batches()).await?;
            report.idle(part, &intervals);
        }
    }
    if options.wants("peers") {
        for peer in peers::measure(&place, options.work_jobs).await? {
            report.peer(&peer);
        }
    }
    place.stop().await?;
    Ok(report)
}

impl WorkOptions {
    fn wants(&self, part: &str) -> bool {
        self.work_part.is_empty() || self.work_part.iter().any(|wanted| wanted == part)
    }

    fn batches(&self) -> Options {
        let usual = Options::default();
        Options {
            batch: self.work_batch.unwrap_or(usual.batch),
            finish_batch: self.work_batch.unwrap_or(usual.finish_batch),
            most: self.work_most.unwrap_or(usual.most),
            finishers: self.work_finishers.unwrap_or(usual.finishers),
            ..usual
        }
    }

    fn singles(&self) -> Options {
        let finishers = self.work_single_finishers;
        Options { batch: 1, finish_batch: 1, most: 2 * finishers, finishers, ..Options::default() }
    }
}

impl WorkReport {
    fn add(
        &mut self,
        part: &'static str,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        bar: Option<Bar>,
    ) {
        self.0.push(Line { part, what: what.into(), value, unit, bar });
    }

    /// `bars` are those of the rate and of commits for each.
    fn drained(&mut self, part: &'static str, drained: &Drained, bars: Option<(f64, f64)>) {
        let cost = &drained.cost;
        let mut add = |what: &str, value, unit, bar| self.add(part, what, value, unit, bar);
        let (rate, commits) = bars.unzip();
        add("end to end", drained.rate(), "jobs/s", rate.map(Bar::AtLeast));
        let each = |total| drained.each(total);
        add("commits that write log", each(cost.commits), "/job", commits.map(Bar::Below));
        add("flushes of the log", each(cost.flushes), "/job", None);
        add("log", each(cost.wal_bytes), "bytes/job", None);
        add("dead row versions in `plinth`", each(cost.dead), "/job", None);
        add("of these left after the run", each(cost.dead_left), "/job", None);
        add("processor time, engine", each(cost.cpu.load), "µs/job", None);
        add("processor time, PostgreSQL", each(cost.cpu.postgres), "µs/job", None);
    }

    fn latency(&mut self, wake: Wake, latencies: &Latencies) {
        let (how, bars) = match wake {
            Wake::Hub => ("change hub".to_owned(), [5.0, 30.0].map(|bar| Some(Bar::Below(bar)))),
            Wake::Poll(poll) => (format!("poll every {} ms", poll.as_millis()), [None, None]),
        };
        let millis = |waits: &[Duration], share| quantile(waits, share).as_secs_f64() * 1e3;
        let committed = &latencies.committed;
        self.add("latency", format!("{how}, p50"), millis(committed, 0.5), "ms", bars[0]);
        self.add("latency", format!("{how}, p99"), millis(committed, 0.99), "ms", bars[1]);
        let sent = format!("{how}, from sending the insert, p50");
        self.add("latency", sent, millis(&latencies.sent, 0.5), "ms", None);
        let sent = format!("{how}, from sending the insert, p99");
        self.add("latency", sent, millis(&latencies.sent, 0.99), "ms", None);
    }

    fn trigger(&mut self, cost: &trigger::TriggerCost) {
        let table = if cost.table == Usual { "a usual table" } else { "three columns" };
        let clients = format!("{table}, {} sessions", cost.clients);
        for (which, name) in ["without", "with"].into_iter().enumerate() {
            let what = format!("{clients}, {name}");
            self.add("trigger", what, cost.rate[which], "inserts/s", None);
            let what = format!("{clients}, {name}: processor time of PostgreSQL");
            self.add("trigger", what, cost.micros[which], "µs/insert", None);
        }
        let lost = format!("{clients}, lost");
        self.add("trigger", lost, cost.lost() * 100.0, "%", Some(Bar::Below(15.0)));
    }

    fn idle(&mut self, part: &'static str, intervals: &[idle::Interval]) {
        let (Some(first), Some(last)) = (intervals.first(), intervals.last()) else { return };
        for (number, interval) in intervals.iter().enumerate() {
            self.add(part, format!("interval {}", number + 1), interval.rate, "jobs/s", None);
        }
        self.add(part, "first interval, processor time", first.micros, "µs/job", None);
        self.add(part, "last interval, processor time", last.micros, "µs/job", None);
        let lost = (1.0 - last.rate / first.rate) * 100.0;
        self.add(part, "lost from first to last", lost, "%", Some(Bar::Below(10.0)));
    }

    fn peer(&mut self, peer: &peers::PeerRate) {
        let what = format!("{}, {} settings", peer.name, peer.settings);
        self.add("peers", what, peer.rate, "jobs/s", None);
    }

    pub(crate) fn to_markdown(&self) -> String {
        let mut text = String::from("\n| Work plane | | figure | bar |\n|---|---|--:|---|\n");
        for Line { part, what, value, unit, bar } in &self.0 {
            let digits = if value.abs() < 10.0 { 3 } else { usize::from(value.abs() < 100.0) };
            let bar = bar.map_or_else(String::new, |bar| bar.verdict(*value));
            let _ = writeln!(text, "| {part} | {what} | {value:.digits$} {unit} | {bar} |");
        }
        text
    }

    pub(crate) fn to_json(&self) -> Value {
        let line = |line: &Line| {
            let held = line.bar.map(|bar| bar.holds(line.value));
            json!({ "part": line.part, "what": line.what, "value": line.value, "unit": line.unit, "held": held })
        };
        self.0.iter().map(line).collect()
    }
}

impl Bar {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bar) => value >= bar,
            Self::Below(bar) => value < bar,
        }
    }

    fn verdict(self, value: f64) -> String {
        let verdict = if self.holds(value) { "held" } else { "MISSED" };
        match self {
            Self::AtLeast(bar) => format!("≥ {bar}: {verdict}"),
            Self::Below(bar) => format!("< {bar}: {verdict}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_that_is_missed_is_said_to_be() {
        let mut report = WorkReport(Vec::new());
        report.add("batch", "end to end", 9_999.0, "jobs/s", Some(Bar::AtLeast(10_000.0)));
        report.add("latency", "p50", 4.9, "ms", Some(Bar::Below(5.0)));
        let text = report.to_markdown();
        assert!(text.contains("9999 jobs/s | ≥ 10000: MISSED"), "{text}");
        assert!(text.contains("4.900 ms | < 5: held"), "{text}");
        assert_eq!(report.to_json()[0]["held"], false);
    }
}
