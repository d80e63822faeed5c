//! Other queues on PostgreSQL, with as many jobs that do nothing, on the same cluster.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::place::Place;

/// Those from npm, with the Node that they want.
const NPM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/queues");

/// The one from the crate registry, which has a workspace of its own.
const AWA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/awa/release/plinth-bench-awa");

/// What is measured, and with which settings.
const PEERS: [(&str, &str); 6] = [
    ("awa", "default"),
    ("awa", "tuned"),
    ("graphile-worker", "default"),
    ("graphile-worker", "tuned"),
    ("pg-boss", "default"),
    ("pg-boss", "tuned"),
];

/// A queue and its jobs per second.
pub(super) struct PeerRate {
    pub(super) name: &'static str,
    pub(super) settings: &'static str,
    pub(super) rate: f64,
}

/// Measures those that are installed, each on a database of its own.
pub(super) async fn measure(place: &Place, jobs: u64) -> Result<Vec<PeerRate>> {
    let mut rates = Vec::new();
    for (number, (name, settings)) in PEERS.into_iter().enumerate() {
        let Some(mut command) = command(name) else {
            eprintln!("{name} is left out: `make bench` installs it");
            continue;
        };
        eprintln!("{name}, {settings} settings …");
        let url = place.database(&format!("peer_{number}")).await?;
        command.args([settings, &jobs.to_string()]).env("DATABASE_URL", url.expose());
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let problem = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{name} ended with {}: {problem}", output.status);
        rates.push(PeerRate { name, settings, rate: rate(&text)? });
    }
    Ok(rates)
}

fn command(name: &str) -> Option<Command> {
    let (program, script) = match name {
        "awa" => (PathBuf::from(AWA), None),
        _ => (Path::new(NPM).join("node_modules/.bin/node"), Some(["measure.mjs", name])),
    };
    program.exists().then(|| {
        let mut command = Command::new(program);
        command.current_dir(NPM).args(script.into_iter().flatten()).env("NODE_ENV", "production");
        command
    })
}

/// Jobs per second of the line that is JSON; the others are the peer's log.
fn rate(output: &str) -> Result<f64> {
    let line = output.lines().find(|line| line.starts_with('{')).context("no answer")?;
    let found: Value = serde_json::from_str(line)?;
    let number = |key: &str| found[key].as_f64().with_context(|| format!("no {key}"));
    Ok(number("jobs")? / number("seconds")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_how_many_and_how_long() {
        let output = "[core] INFO: begun\n{\"jobs\": 30, \"seconds\": 1.5}\n[core] INFO: ended\n";
        assert!((rate(output).unwrap() - 20.0).abs() < 1e-9);
        assert!(rate("noise").is_err() && rate("").is_err());
    }
}
