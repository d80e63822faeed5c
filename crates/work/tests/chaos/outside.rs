//! The world outside of the database: it keeps what jobs had happen there, with one clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::Shared;
use crate::chance::Chance;

/// One call of an action.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    pub(crate) binding: String,
    pub(crate) job: i64,
    pub(crate) row: i64,
    pub(crate) step: String,
    pub(crate) tenant: String,
    pub(crate) begun: Instant,
    /// When it was answered, or the caller was gone.
    pub(crate) ended: Option<Instant>,
    /// What it was answered, if anything.
    pub(crate) said: Option<&'static str>,
}

/// A listener that answers calls.
pub(crate) struct Outside {
    pub(crate) port: u16,
    calls: Shared<Vec<Called>>,
    task: JoinHandle<()>,
}

impl Outside {
    pub(crate) async fn open(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let calls = Shared::default();
        let task = tokio::spawn(serve(listener, seed, Arc::clone(&calls)));
        Self { port, calls, task }
    }

    /// All calls; the place of each is its number.
    pub(crate) fn close(self) -> Vec<Called> {
        self.task.abort();
        self.calls.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, seed: u64, calls: Shared<Vec<Called>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, seed, Arc::clone(&calls)));
    }
}

async fn answer(stream: TcpStream, seed: u64, calls: Shared<Vec<Called>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let asked: Value = serde_json::from_str(&line).ok()?;
    let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
    let called = Called {
        binding: text("binding"),
        job: asked["job"].as_i64()?,
        row: text("row").parse().ok()?,
        step: text("step"),
        tenant: text("tenant"),
        begun: Instant::now(),
        ended: None,
        said: None,
    };
    let (before, number) = {
        let mut calls = calls.lock().unwrap();
        let same = |other: &&Called| other.job == called.job && other.step == called.step;
        let before = calls.iter().rev().take(5000).filter(same).count();
        calls.push(called.clone());
        (before as u64, calls.len() - 1)
    };
    let words = [called.row.cast_unsigned(), called.step.len() as u64, before];
    let mut chance = Chance::of(seed, &words);
    let wait = if chance.below(30) == 0 { 500 + chance.below(1500) } else { chance.below(30) };
    let mut more = [0];
    let gone = tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(wait)) => false,
        _ = stream.read(&mut more) => true,
    };
    let says = match chance.below(100) {
        0 => "never",
        1..=8 => "failed",
        9..=12 => "later",
        _ => "done",
    };
    {
        let mut calls = calls.lock().unwrap();
        calls[number].ended = Some(Instant::now());
        calls[number].said = (!gone).then_some(says);
    }
    let line = json!({"call": number, "says": says});
    stream.write_all(format!("{line}\n").as_bytes()).await.ok()
}
