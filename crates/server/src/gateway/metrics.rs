//! `/metrics`: what the work of all projects has come to, in Prometheus' text format, for this machine only.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use plinth_work::{BindingCounters, Depth, Histogram};

use super::response::{Answer, with_body};
use crate::runtime::Tally;

/// The answer to a scrape.
pub(super) fn answer(tallies: &[Tally]) -> Answer {
    let plain = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    with_body(StatusCode::OK, plain, Bytes::from(text(tallies)))
}

/// Names, kinds and meanings of what there is one of for each project.
type Counted = (&'static str, &'static str, fn(&plinth_work::Counters) -> &AtomicU64);

const COUNTERS: [Counted; 7] = [
    ("plinth_work_claims_total", "Jobs that were taken.", |one| &one.claims),
    ("plinth_work_done_total", "Jobs that are done.", |one| &one.done),
    ("plinth_work_retries_total", "Attempts after which a job waits for the next.", |one| {
        &one.retries
    }),
    ("plinth_work_dead_total", "Jobs that failed for good.", |one| &one.dead),
    ("plinth_work_cancelled_total", "Jobs that were cancelled while they ran.", |one| {
        &one.cancelled
    }),
    ("plinth_work_leases_lost_total", "Leases that this instance lost.", |one| &one.leases_lost),
    ("plinth_work_reaped_total", "Jobs of lost workers that were queued again.", |one| &one.reaped),
];

/// The same of what there is one of for each binding: at most as many as there are bindings.
type CountedByBinding = (&'static str, &'static str, fn(&BindingCounters) -> &AtomicU64);

const BY_BINDING: [CountedByBinding; 5] = [
    ("plinth_work_binding_claims_total", "Jobs of a binding that were taken.", |one| &one.claims),
    ("plinth_work_binding_done_total", "Jobs of a binding that are done.", |one| &one.done),
    (
        "plinth_work_binding_retries_total",
        "Attempts after which a job of a binding waits for the next.",
        |one| &one.retries,
    ),
    ("plinth_work_binding_dead_total", "Jobs of a binding that failed for good.", |one| &one.dead),
    (
        "plinth_work_binding_cancelled_total",
        "Jobs of a binding that were cancelled while they ran.",
        |one| &one.cancelled,
    ),
];

fn text(tallies: &[Tally]) -> String {
    let mut text = String::new();
    let per_project = |value: &dyn Fn(&Tally) -> f64| -> Vec<(String, f64)> {
        tallies.iter().map(|tally| (project(tally), value(tally))).collect()
    };
    gauge(
        &mut text,
        "plinth_work_bindings",
        "Bindings, hooks and schedules that are active.",
        &per_project(&|tally| float(tally.bindings as u64)),
    );
    gauge(
        &mut text,
        "plinth_work_engine_running",
        "Whether this instance works on the project's jobs at the moment.",
        &per_project(&|tally| f64::from(u8::from(tally.awake))),
    );
    for (name, help, of) in COUNTERS {
        let samples = per_project(&|tally| float(of(&tally.counters).load(Ordering::Relaxed)));
        metric(&mut text, name, "counter", help, &samples);
    }
    for (name, help, of) in BY_BINDING {
        let counted = |tally: &'_ Tally| {
            let bindings = tally.counters.bindings();
            let label =
                |binding: &str| format!("{},binding=\"{}\"", project(tally), escape(binding));
            let value = |one: &BindingCounters| float(of(one).load(Ordering::Relaxed));
            bindings.iter().map(|(name, one)| (label(name), value(one))).collect::<Vec<_>>()
        };
        let samples: Vec<_> = tallies.iter().flat_map(counted).collect();
        metric(&mut text, name, "counter", help, &samples);
    }
    let depths = |value: fn(&Depth) -> f64| -> Vec<(String, f64)> {
        let of = |tally: &'_ Tally| {
            let labels = |depth: &Depth| {
                format!(
                    "{},binding=\"{}\",state=\"{}\"",
                    project(tally),
                    escape(&depth.binding),
                    depth.state
                )
            };
            tally.depths.iter().map(|depth| (labels(depth), value(depth))).collect::<Vec<_>>()
        };
        tallies.iter().flat_map(of).collect()
    };
    gauge(
        &mut text,
        "plinth_work_jobs",
        "Jobs that are not finished, as they were counted last.",
        &depths(|depth| float(depth.jobs)),
    );
    gauge(
        &mut text,
        "plinth_work_oldest_seconds",
        "Age of the oldest job that is not finished.",
        &depths(|depth| depth.oldest_seconds),
    );
    let histograms =
        |value: fn(&plinth_work::Counters) -> &Histogram| -> Vec<(String, &Histogram)> {
            tallies.iter().map(|tally| (project(tally), value(&tally.counters))).collect()
        };
    histogram(
        &mut text,
        "plinth_work_wait_seconds",
        "Time from the making of a job to its first start.",
        &histograms(|counters| &counters.waits),
    );
    histogram(
        &mut text,
        "plinth_work_run_seconds",
        "Time of an attempt, from its start to what it came to.",
        &histograms(|counters| &counters.runs),
    );
    text
}

fn project(tally: &Tally) -> String {
    format!("project=\"{}\"", escape(&tally.project))
}

fn gauge(text: &mut String, name: &str, help: &str, samples: &[(String, f64)]) {
    metric(text, name, "gauge", help, samples);
}

fn metric(text: &mut String, name: &str, kind: &str, help: &str, samples: &[(String, f64)]) {
    // Writing into a string cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(text, "{name}{{{labels}}} {value}");
    }
}

fn histogram(text: &mut String, name: &str, help: &str, samples: &[(String, &Histogram)]) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
    for (labels, histogram) in samples {
        let seen = histogram.seen();
        for (limit, count) in &seen.buckets {
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{limit}\"}} {count}");
        }
        let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", seen.count);
        let _ = writeln!(text, "{name}_sum{{{labels}}} {}", seen.sum.as_secs_f64());
        let _ = writeln!(text, "{name}_count{{{labels}}} {}", seen.count);
    }
}

/// A label's value (exposition format 0.0.4).
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[expect(clippy::cast_precision_loss, reason = "the format knows no other numbers")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use plinth_work::Counters;

    use super::*;

    #[test]
    fn a_scrape_has_every_project_with_its_labels_escaped() {
        let counters = Arc::new(Counters::default());
        counters.done.store(3, Ordering::Relaxed);
        counters.keep(["a\"b", "c"].into_iter());
        counters.of_binding("c").retries.store(7, Ordering::Relaxed);
        counters.waits.observe(Duration::from_millis(3));
        counters.waits.observe(Duration::from_secs(9999));
        let depth =
            Depth { binding: "a\"b".to_owned(), state: "queued", jobs: 2, oldest_seconds: 1.5 };
        let tally = Tally {
            project: "shop".to_owned(),
            counters,
            awake: true,
            bindings: 1,
            depths: vec![depth],
        };
        let text = text(&[tally]);
        for line in [
            "plinth_work_done_total{project=\"shop\"} 3",
            "plinth_work_binding_done_total{project=\"shop\",binding=\"a\\\"b\"} 0",
            "plinth_work_binding_retries_total{project=\"shop\",binding=\"c\"} 7",
            "plinth_work_engine_running{project=\"shop\"} 1",
            "plinth_work_jobs{project=\"shop\",binding=\"a\\\"b\",state=\"queued\"} 2",
            "plinth_work_oldest_seconds{project=\"shop\",binding=\"a\\\"b\",state=\"queued\"} 1.5",
            "plinth_work_wait_seconds_bucket{project=\"shop\",le=\"0.005\"} 1",
            "plinth_work_wait_seconds_bucket{project=\"shop\",le=\"+Inf\"} 2",
            "plinth_work_wait_seconds_count{project=\"shop\"} 2",
            "# TYPE plinth_work_run_seconds histogram",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in {text}");
        }
    }
}
