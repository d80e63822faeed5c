//! `pgbench` replaying the statements of a workload over the Unix socket that Plinth uses too.

use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::cpu::Cpu;
use crate::instance::Target;
use crate::report::Sample;
use crate::workload::{Parameter, Workload};

/// Replays `workload` with `clients` sessions for `duration`: as one pipeline per transaction, or
/// as a driver's usual four round trips (begin, enter, query, commit).
pub(crate) fn replay(
    target: &Target,
    workload: &Workload,
    clients: usize,
    pipelined: bool,
    duration: Duration,
) -> Result<Sample> {
    let (script, variables) = script(workload, pipelined);
    let script_path = target.scratch.join("replay.sql");
    fs::write(&script_path, script)?;
    let log_prefix = target.scratch.join("replay-log");
    let url: tokio_postgres::Config = target.database_url.parse()?;
    let mut command = Command::new(target.pg_bin.join("pgbench"));
    command
        .args(["--no-vacuum", "--protocol=prepared", "--log"])
        .args(["--jobs=2", &format!("--client={clients}")])
        .arg(format!("--time={}", duration.as_secs()))
        .arg(format!("--log-prefix={}", log_prefix.display()))
        .arg(format!("--file={}", script_path.display()))
        .args(["--host", &target.socket_folder])
        .args(["--port", &url.get_ports().first().copied().unwrap_or(5432).to_string()])
        .args(["--username", url.get_user().unwrap_or_default()])
        .env(
            "PGPASSWORD",
            String::from_utf8_lossy(url.get_password().unwrap_or_default()).as_ref(),
        );
    for (name, value) in variables {
        command.arg(format!("--define={name}={value}"));
    }
    let cpu = Cpu::so_far(target.plinth)?;
    let output = command.arg(url.get_dbname().unwrap_or_default()).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let cpu = Cpu::so_far(target.plinth)? - cpu;
    Ok(Sample::new(latencies(target)?, duration, cpu))
}

/// The script, and the variables that hold its fixed parameters.
fn script(workload: &Workload, pipelined: bool) -> (String, Vec<(String, String)>) {
    let mut script = format!(
        "\\set n {} * random({}, {})\n\\set turn :turn + 1\n",
        workload.step, workload.first, workload.last
    );
    let mut variables = vec![("turn".to_owned(), "-1".to_owned())];
    script.push_str(if pipelined { "\\startpipeline\n" } else { "begin;\n" });
    for (position, statement) in workload.statements.iter().enumerate() {
        let mut sql = statement.sql.clone();
        // From the last one down, so that $1 does not match inside $10.
        for (index, parameter) in statement.parameters.iter().enumerate().rev() {
            let value = match parameter {
                Parameter::Number => ":n".to_owned(),
                Parameter::Fixed(value) => {
                    let name = format!("p{position}_{index}");
                    variables.push((name.clone(), value.clone()));
                    format!(":{name}")
                }
                Parameter::Null => "null".to_owned(),
                Parameter::Person => person("n"),
                Parameter::Client => person("client_id"),
                Parameter::Turn => ":turn".to_owned(),
            };
            sql = sql.replace(&format!("${}", index + 1), &value);
        }
        let _ = writeln!(script, "{};", sql.replace('\n', " "));
    }
    script.push_str(if pipelined { "\\endpipeline\n" } else { "commit;\n" });
    (script, variables)
}

/// The id of a person: pgbench knows no text, so PostgreSQL makes it, which costs the yardstick a microsecond.
fn person(variable: &str) -> String {
    format!("('00000000-0000-4000-8000-' || lpad(:{variable}::text, 12, '0'))")
}

/// Reads and removes pgbench's per-transaction logs, whose third column is microseconds.
fn latencies(target: &Target) -> Result<Vec<u32>> {
    let mut latencies = Vec::new();
    for entry in fs::read_dir(&target.scratch)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with("replay-log.") {
            continue;
        }
        for line in fs::read_to_string(&path)?.lines() {
            if let Some(value) = line.split(' ').nth(2).and_then(|value| value.parse().ok()) {
                latencies.push(value);
            }
        }
        fs::remove_file(&path)?;
    }
    Ok(latencies)
}
