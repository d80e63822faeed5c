//! What `plinth up` says when it is ready.

use std::fmt::Write;
use std::time::Duration;

use plinth_postgres::Project;

use super::admin::Admin;
use super::status::facts;
use crate::cli::Output;
use crate::config::local_origin;
use crate::config::{ClusterConfig, Config};

/// Keys that are shown for every project, as local development tools do.
const SHOWN: [(&str, &str); 5] = [
    ("API_URL", "API URL"),
    ("PUBLISHABLE_KEY", "publishable key"),
    ("SECRET_KEY", "secret key"),
    ("DB_URL", "database URL"),
    ("ANON_KEY", "anon key"),
];

/// With more projects than these, each has one line: people look at a screen, not at a list.
const SHOWN_IN_FULL: usize = 8;

/// Prints the banner.
pub(super) fn print(
    admin: &Admin,
    config: &Config,
    default: Option<&str>,
    projects: &[Project],
    took: Duration,
    output: Output,
) {
    let http = admin.http.unwrap_or(config.listen);
    let paint = output.paint;
    let mut text = String::new();
    let ready = format!("Plinth is ready at {}", local_origin(http));
    let _ = writeln!(
        text,
        "\n{} {}",
        paint.bold(paint.green(ready)),
        paint.dim(format!("({:.1} s)", took.as_secs_f64()))
    );
    if http.port() != config.listen.port() {
        let _ = writeln!(
            text,
            "  {}",
            paint.yellow(format!("port {} was taken", config.listen.port()))
        );
    }
    for project in projects {
        let facts = facts(admin, project, http);
        let mark = if default == Some(&project.name) {
            format!("  also at {}", local_origin(http))
        } else {
            String::new()
        };
        if projects.len() > SHOWN_IN_FULL {
            let url = facts.get("API_URL").and_then(|value| value.as_str()).unwrap_or_default();
            let _ = write!(text, "\n{}  {url}{}", paint.bold(&project.name), paint.dim(mark));
            continue;
        }
        let _ = writeln!(text, "\n{}{}", paint.bold(&project.name), paint.dim(mark));
        for (key, label) in SHOWN {
            let value = facts.get(key).and_then(|value| value.as_str()).unwrap_or_default();
            let _ = writeln!(text, "  {} {value}", paint.dim(format!("{label:>16}")));
        }
    }
    if projects.len() > SHOWN_IN_FULL {
        let _ = writeln!(text);
    }
    let _ = writeln!(text);
    for (label, value) in footer(admin, config) {
        let _ = writeln!(text, "  {} {value}", paint.dim(format!("{label:>16}")));
    }
    output.text(&text);
}

fn footer(admin: &Admin, config: &Config) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    match (&config.cluster, admin.cluster.report()) {
        (ClusterConfig::Managed { .. }, Some(report)) => {
            let taken = if report.port_was_taken { " (the wanted port was taken)" } else { "" };
            let version = &report.version;
            lines.push(("PostgreSQL", format!("{version} on 127.0.0.1:{}{taken}", report.port)));
            if let Some(user) = &report.user {
                lines.push(("runs as", format!("{user}, since PostgreSQL refuses to run as root")));
            }
            let data =
                if report.data_moved { report.pgdata.display() } else { config.data_dir.display() };
            lines.push(("data folder", data.to_string()));
        }
        _ => lines.push(("PostgreSQL", "external, left alone when Plinth stops".to_owned())),
    }
    lines.push(("all keys", "plinth status".to_owned()));
    lines.push(("shell", "plinth psql [project]".to_owned()));
    lines.push(("stop", "Ctrl-C".to_owned()));
    lines
}
