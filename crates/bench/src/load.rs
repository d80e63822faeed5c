//! An HTTP/1.1 load generator that costs as little as it can: ready-made requests, one at a time
//! per connection, and no more parsing of answers than finding their end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::JoinSet;

use crate::cpu::Cpu;
use crate::instance::{Target, dial};
use crate::report::Sample;
use crate::workload::Workload;

/// How many different requests are prepared per workload.
pub(crate) const REQUESTS: u64 = 1000;

/// Threads that make the load.
const THREADS: usize = 2;

/// Requests before the measurement begins.
const WARM_UP: Duration = Duration::from_millis(500);

/// What a connection asks, one request after the other.
pub(crate) trait Script: Send {
    /// The bytes of the next request.
    fn next(&mut self) -> Result<&[u8]>;

    /// Hears what was answered to it, with status 2xx.
    fn answered(&mut self, _body: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// Makes the script of a connection of that number.
pub(crate) type Scripts<'a> = &'a (dyn Fn(usize) -> Box<dyn Script> + Sync);

/// Ready-made requests in turn.
struct ReadyMade {
    requests: Arc<[Vec<u8>]>,
    next: usize,
}

impl Script for ReadyMade {
    fn next(&mut self) -> Result<&[u8]> {
        let place = self.next % self.requests.len();
        self.next += 1;
        Ok(&self.requests[place])
    }
}

/// Scripts of `requests`.
pub(crate) fn ready_made(
    requests: Arc<[Vec<u8>]>,
) -> impl Fn(usize) -> Box<dyn Script> + Sync + 'static {
    // Connections start at different places, so that they do not ask in step.
    move |connection| Box::new(ReadyMade { requests: requests.clone(), next: connection * 37 })
}

/// Keeps `connections` busy for `duration`, after a short warm-up. Blocks.
pub(crate) fn run(
    target: &Target,
    workload: &Workload,
    connections: usize,
    duration: Duration,
) -> Result<Sample> {
    let so_far = || Cpu::so_far(target.plinth);
    let scripts = workload.scripts(target);
    let Some(flood) = &workload.flood else {
        return measure(&target.address, &*scripts, connections, duration, so_far);
    };
    flood.beside(&target.address, || {
        measure(&target.address, &*scripts, connections, duration, so_far)
    })
}

/// Sends requests to `address`, as [`run`] does; `so_far` reads the processor time of all parties.
pub(crate) fn measure(
    address: &str,
    scripts: Scripts<'_>,
    connections: usize,
    duration: Duration,
    so_far: impl Fn() -> Result<Cpu>,
) -> Result<Sample> {
    drive(address, scripts, connections, WARM_UP)?;
    let (start, cpu) = (Instant::now(), so_far()?);
    let latencies = drive(address, scripts, connections, duration)?;
    Ok(Sample::new(latencies, start.elapsed(), so_far()? - cpu))
}

/// Each thread has connections of its own, so that no request crosses from one to the other.
fn drive(
    address: &str,
    scripts: Scripts<'_>,
    connections: usize,
    duration: Duration,
) -> Result<Vec<u32>> {
    let end = Instant::now() + duration;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let numbers = (thread..connections).step_by(THREADS);
                scope.spawn(move || {
                    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
                    let clients =
                        numbers.map(|number| keep_busy(address.to_owned(), scripts(number), end));
                    runtime.block_on(all(clients))
                })
            })
            .collect();
        let mut latencies = Vec::new();
        for thread in threads {
            latencies.extend(thread.join().map_err(|_| anyhow!("a load thread panicked"))??);
        }
        Ok(latencies)
    })
}

async fn all(
    clients: impl Iterator<Item = impl Future<Output = Result<Vec<u32>>> + Send + 'static>,
) -> Result<Vec<u32>> {
    let mut tasks: JoinSet<Result<Vec<u32>>> = clients.collect();
    let mut latencies = Vec::new();
    while let Some(task) = tasks.join_next().await {
        latencies.extend(task??);
    }
    Ok(latencies)
}

async fn keep_busy(address: String, mut script: Box<dyn Script>, end: Instant) -> Result<Vec<u32>> {
    let mut client = Client::dial(&address).await?;
    let mut latencies = Vec::with_capacity(16 * 1024);
    while Instant::now() < end {
        let start = Instant::now();
        let status = client.send(script.next()?).await?;
        if !(200..300).contains(&status) {
            bail!("an answer had status {status}: {}", String::from_utf8_lossy(client.body()));
        }
        latencies.push(u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX));
        script.answered(client.body())?;
    }
    Ok(latencies)
}

/// One GET without keys; the status of its answer.
pub(crate) async fn get(address: &str, path: &str) -> Result<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    Client::dial(address).await?.send(request.as_bytes()).await
}

/// A connection that asks one thing at a time.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    body_start: usize,
}

impl Client {
    pub(crate) async fn dial(address: &str) -> Result<Self> {
        Ok(Self {
            stream: dial(address).await?,
            buffer: Vec::with_capacity(64 * 1024),
            body_start: 0,
        })
    }

    /// Sends a request; the status of its answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<u16> {
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

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        &self.buffer[self.body_start..]
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
