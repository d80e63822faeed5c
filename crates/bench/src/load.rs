//! An HTTP/1.1 load generator that costs as little as it can: ready-made requests, one at a time
//! per connection, and no more parsing of answers than finding their end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::instance::{Target, dial};
use crate::report::Sample;
use crate::workload::Workload;

/// How many different requests are prepared per workload.
const REQUESTS: u64 = 1000;

/// Keeps `connections` busy for `duration`, after a short warm-up.
pub(crate) async fn run(
    target: &Target,
    workload: &Workload,
    connections: usize,
    duration: Duration,
) -> Result<Sample> {
    let requests: Arc<Vec<Vec<u8>>> = Arc::new(
        (workload.first..=workload.last.min(workload.first + REQUESTS - 1))
            .map(|n| workload.request(target, n * workload.step))
            .collect(),
    );
    drive(&target.address, &requests, connections, Duration::from_millis(500)).await?;
    let start = Instant::now();
    let latencies = drive(&target.address, &requests, connections, duration).await?;
    Ok(Sample::new(latencies, start.elapsed()))
}

async fn drive(
    address: &str,
    requests: &Arc<Vec<Vec<u8>>>,
    connections: usize,
    duration: Duration,
) -> Result<Vec<u32>> {
    let end = Instant::now() + duration;
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..connections {
        let (address, requests) = (address.to_owned(), requests.clone());
        tasks.spawn(async move {
            let mut client = Client::dial(&address).await?;
            let mut latencies = Vec::with_capacity(16 * 1024);
            // Connections start at different places, so that they do not ask in step.
            let mut next = connection * 37;
            while Instant::now() < end {
                let start = Instant::now();
                let status = client.send(&requests[next % requests.len()]).await?;
                if !(200..300).contains(&status) {
                    bail!("an answer had status {status}: {}", client.body());
                }
                latencies.push(u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX));
                next += 1;
            }
            Ok(latencies)
        });
    }
    let mut all = Vec::new();
    while let Some(task) = tasks.join_next().await {
        all.extend(task??);
    }
    Ok(all)
}

/// One GET without keys; the status of its answer.
pub(crate) async fn get(address: &str, path: &str) -> Result<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    Client::dial(address).await?.send(request.as_bytes()).await
}

struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    body_start: usize,
}

impl Client {
    async fn dial(address: &str) -> Result<Self> {
        Ok(Self {
            stream: dial(address).await?,
            buffer: Vec::with_capacity(64 * 1024),
            body_start: 0,
        })
    }

    async fn send(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head_end = loop {
            self.read().await?;
            if let Some(position) = find(&self.buffer, b"\r\n\r\n") {
                break position;
            }
        };
        self.body_start = head_end + 4;
        let head = std::str::from_utf8(&self.buffer[..head_end])?;
        let status = head.get(9..12).context("no status line")?.parse()?;
        let total = self.body_start + content_length(head).unwrap_or(0);
        while self.buffer.len() < total {
            self.read().await?;
        }
        Ok(status)
    }

    async fn read(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }

    fn body(&self) -> String {
        String::from_utf8_lossy(&self.buffer[self.body_start..]).into_owned()
    }
}

fn content_length(head: &str) -> Option<usize> {
    head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
