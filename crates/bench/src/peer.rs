//! PostGraphile beside Plinth: what somebody could pick instead, asked for the same rows as the same user.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cpu::Cpu;
use crate::instance::{Target, free_address, terminate};
use crate::load;
use crate::report::{Measure, Sample};
use crate::workload::Workload;

/// Its program, its packages and the Node that they want.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/postgraphile");

/// Texts of the persisted operations, by name of the kind of request that they do the work of.
const OPERATIONS: &str = include_str!("../peers/postgraphile/operations.json");

/// HTTP connections to measure with.
const CONNECTIONS: usize = 32;

/// A running PostGraphile; stopped when dropped.
pub(crate) struct Peer {
    process: Child,
    address: String,
    operations: Value,
}

impl Peer {
    /// Starts it on the tables of `target`; `None` if it is not installed. Blocks.
    pub(crate) fn start(target: &Target) -> Result<Option<Self>> {
        let node = Path::new(FOLDER).join("node_modules/.bin/node");
        if !node.exists() {
            return Ok(None);
        }
        let address = free_address()?;
        let port = address.rsplit(':').next().context("an address without a port")?;
        let process = Command::new(node)
            .arg("server.mjs")
            .current_dir(FOLDER)
            .env("DATABASE_URL", &target.database_url)
            .env("JWT_SECRET", &target.jwt_secret)
            .env("PORT", port)
            .env("GRAPHILE_ENV", "production")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut peer = Self { process, address, operations: serde_json::from_str(OPERATIONS)? };
        let output = peer.process.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line == "ready\n", "PostGraphile ended before it was ready");
        Ok(Some(peer))
    }

    /// Measures the operation that does the work of `workload`, if there is one. Blocks.
    pub(crate) fn measure(
        &self,
        target: &Target,
        workload: &Workload,
        duration: Duration,
    ) -> Result<Option<(Measure, Sample)>> {
        if self.operations.get(workload.name).is_none() {
            return Ok(None);
        }
        let requests =
            workload.numbers(load::REQUESTS).map(|number| self.request(target, workload, number));
        let scripts = load::ready_made(requests.collect::<Vec<_>>().into());
        let cpu = || Cpu::with_peer(target.plinth, self.process.id());
        let sample = load::measure(&self.address, &scripts, CONNECTIONS, duration, cpu)
            .context("PostGraphile failed")?;
        Ok(Some((Measure::Peer { connections: CONNECTIONS }, sample)))
    }

    fn request(&self, target: &Target, workload: &Workload, number: u64) -> Vec<u8> {
        // GraphQL has no integers of 64 bits.
        let variables = json!({ "n": number.to_string() });
        let body = json!({ "documentId": workload.name, "variables": variables }).to_string();
        // This media type has mistakes in a request answered with a status that says so.
        format!(
            "POST /graphql HTTP/1.1\r\nhost: {}\r\naccept: application/graphql-response+json\r\n\
             authorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            target.token,
            body.len(),
        )
        .into_bytes()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = terminate(&mut self.process);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_does_the_work_of_a_kind_of_request() {
        let operations: serde_json::Map<String, Value> = serde_json::from_str(OPERATIONS).unwrap();
        let kinds: Vec<&str> = crate::workload::kinds().iter().map(|kind| kind.name).collect();
        assert!(operations.keys().all(|name| kinds.contains(&name.as_str())), "{kinds:?}");
    }
}
