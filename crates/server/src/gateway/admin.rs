//! The admin server: for probes and for Prometheus, on a port of its own that clients do not reach.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use plinth_catalog::Catalog;
use plinth_wire::Counters;
use serde_json::{Value, json};

use super::listen::Answering;
use super::response::{Answer, empty, json_answer, with_body};
use crate::config::HttpConfig;
use crate::runtime::{Live, Project};

/// What the admin server tells about.
pub struct Served {
    /// The project.
    pub project: Arc<Project>,
    /// The socket that clients use, if it is one in the file system.
    pub socket: Option<PathBuf>,
    /// Most connections.
    pub pool_size: usize,
}

/// Answers the admin server's requests.
pub struct Admin {
    served: Served,
    limits: HttpConfig,
}

impl Admin {
    /// An admin server of `served`.
    pub fn new(served: Served) -> Self {
        let limits = HttpConfig {
            body_bytes: 0,
            header_bytes: 16 << 10,
            header_count: 100,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            max_connections: 64,
            max_requests: 64,
            drain_timeout: Duration::from_secs(1),
            trusted_proxies: Vec::new(),
        };
        Self { served, limits }
    }
}

impl Answering for Admin {
    fn limits(&self) -> &HttpConfig {
        &self.limits
    }

    async fn handle(&self, request: Request<Incoming>) -> Answer {
        let served = &self.served;
        match request.uri().path() {
            "/live" if served.has_socket() => empty(StatusCode::OK),
            "/live" => empty(StatusCode::INTERNAL_SERVER_ERROR),
            "/ready" => empty(served.readiness()),
            "/schema_cache" => match served.project.current() {
                Some(live) => {
                    json_answer(StatusCode::OK, &schema_summary(&live.snapshot().catalog))
                }
                None => empty(StatusCode::OK),
            },
            "/metrics" => {
                let plain = HeaderValue::from_static("text/plain; charset=utf-8");
                with_body(StatusCode::OK, plain, Bytes::from(served.metrics()))
            }
            _ => empty(StatusCode::NOT_FOUND),
        }
    }
}

impl Served {
    fn has_socket(&self) -> bool {
        self.socket.as_ref().is_none_or(|path| path.exists())
    }

    fn readiness(&self) -> StatusCode {
        let fresh = |live: Arc<Live>| live.health().fresh.load(Ordering::Acquire);
        if !self.has_socket() {
            StatusCode::INTERNAL_SERVER_ERROR
        } else if self.project.current().is_some_and(fresh) {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }

    /// In Prometheus' text format, under PostgREST's names.
    fn metrics(&self) -> String {
        let Some(live) = self.project.current() else { return String::new() };
        let (pool, health) = (live.pool().status(), live.health());
        let count = |count: &std::sync::atomic::AtomicU64| float(count.load(Ordering::Relaxed));
        let (requests, hits, evictions) = self.project.rules().access.token_counts();
        let size = |number: usize| float(number as u64);
        let mut text = String::new();
        for (name, kind, help, samples) in [
            (
                "pgrst_db_pool_timeouts_total",
                COUNTER,
                "The total number of pool connection timeouts",
                vec![("", count(&health.pool_timeouts))],
            ),
            (
                "pgrst_db_pool_available",
                GAUGE,
                "Available connections in the pool",
                vec![("", size(pool.idle))],
            ),
            (
                "pgrst_db_pool_waiting",
                GAUGE,
                "Requests waiting to acquire a pool connection",
                vec![("", size(pool.waiting))],
            ),
            ("pgrst_db_pool_max", GAUGE, "Max pool connections", vec![("", size(self.pool_size))]),
            (
                "pgrst_schema_cache_loads_total",
                COUNTER,
                "The total number of times the schema cache was loaded",
                vec![
                    ("{status=\"SUCCESS\"}", count(&health.loads)),
                    ("{status=\"FAIL\"}", count(&health.failures)),
                ],
            ),
            (
                "pgrst_schema_cache_query_time_seconds",
                GAUGE,
                "The query time in seconds of the last schema cache load",
                vec![("", live.snapshot().load_time.as_secs_f64())],
            ),
            (
                "pgrst_jwt_cache_requests_total",
                COUNTER,
                "The total number of JWT cache lookups",
                vec![("", float(requests))],
            ),
            (
                "pgrst_jwt_cache_hits_total",
                COUNTER,
                "The total number of JWT cache hits",
                vec![("", float(hits))],
            ),
            (
                "pgrst_jwt_cache_evictions_total",
                COUNTER,
                "The total number of JWT cache evictions",
                vec![("", float(evictions))],
            ),
        ] {
            write_metric(&mut text, name, kind, help, &samples);
        }
        write_counters(&mut text, live.pool().counters());
        text
    }
}

/// What PostgREST has no name for: how batches travelled, and what became of connections.
fn write_counters(text: &mut String, counters: &Counters) {
    let count = |count: &std::sync::atomic::AtomicU64| float(count.load(Ordering::Relaxed));
    for (name, help, samples) in [
        (
            "plinth_wire_batches_total",
            "Batches by how they travelled: on connections that reads share, or on one of their own",
            vec![
                ("{lane=\"shared\"}", count(&counters.batches_shared)),
                ("{lane=\"alone\"}", count(&counters.batches_alone)),
            ],
        ),
        (
            "plinth_wire_groups_total",
            "Groups in which batches on shared connections travelled, one write each",
            vec![("", count(&counters.groups))],
        ),
        (
            "plinth_wire_reads_held_up_total",
            "Reads on shared connections that sent those behind them elsewhere",
            vec![
                ("{reason=\"slow\"}", count(&counters.slow_reads)),
                ("{reason=\"large\"}", count(&counters.large_reads)),
            ],
        ),
        (
            "plinth_wire_reads_repeated_total",
            "Reads on shared connections that were run a second time, alone",
            vec![("", count(&counters.repeated_reads))],
        ),
        (
            "plinth_wire_connections_total",
            "Connections to the database by what became of them",
            vec![
                ("{event=\"opened\"}", count(&counters.connections_opened)),
                ("{event=\"failed\"}", count(&counters.connections_failed)),
                ("{event=\"lost\"}", count(&counters.connections_lost)),
                ("{event=\"cancelled\"}", count(&counters.connections_cancelled)),
            ],
        ),
        (
            "plinth_wire_callers_refused_total",
            "Callers who waited too long for a connection, or found too many waiting",
            vec![("", count(&counters.callers_refused))],
        ),
    ] {
        write_metric(text, name, COUNTER, help, &samples);
    }
}

fn write_metric(text: &mut String, name: &str, kind: &str, help: &str, samples: &[(&str, f64)]) {
    // Writing into a string cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(text, "{name}{labels} {value:?}");
    }
}

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

#[expect(clippy::cast_precision_loss, reason = "the format knows no other numbers")]
fn float(number: u64) -> f64 {
    number as f64
}

/// What is known of a schema, in short.
pub fn schema_summary(catalog: &Catalog) -> Value {
    let relations: Vec<Value> = catalog
        .relations()
        .map(|relation| {
            let name = &relation.name;
            let columns: Vec<Value> = relation
                .columns
                .values()
                .map(|column| {
                    json!({"name": column.name, "type": column.type_name, "nullable": column.nullable})
                })
                .collect();
            let targets: Vec<&str> = catalog
                .relationships_from(name)
                .iter()
                .map(|relationship| relationship.to.name.as_str())
                .collect();
            json!({
                "schema": name.schema, "name": name.name, "primaryKey": relation.primary_key,
                "insertable": relation.insertable, "updatable": relation.updatable,
                "deletable": relation.deletable, "columns": columns, "relatedTo": targets,
            })
        })
        .collect();
    let functions: Vec<Value> = catalog
        .all_functions()
        .map(|function| json!({"schema": function.name.schema, "name": function.name.name}))
        .collect();
    json!({"relations": relations, "functions": functions})
}
