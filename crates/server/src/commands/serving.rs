//! What the serving commands have in common: runtime, log, signals.

use std::future::Future;
use std::io::IsTerminal;
use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::config::LogConfig;
use crate::gateway::{Gateway, Server};

/// Runs an asynchronous command to its end.
pub(super) fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(command)
}

/// Begins to log to standard error; `auto` is what `auto` in the configuration means. A second call
/// changes nothing, which suits tests.
pub(super) fn start_log(config: &LogConfig, auto: &str) -> anyhow::Result<()> {
    let wanted = if config.filter == "auto" { auto } else { &config.filter };
    let filter =
        EnvFilter::try_new(wanted).with_context(|| format!("`{wanted}` is no log filter"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let _ = if config.json { log.json().try_init() } else { log.try_init() };
    Ok(())
}

/// Becomes true when the process is told to stop: SIGTERM, SIGINT (Ctrl-C) or SIGHUP. A second
/// signal ends the process at once.
pub(super) fn stop_signal() -> anyhow::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {}
            }
            if sender.send_replace(true) {
                tracing::warn!("told to stop twice; ending at once");
                std::process::exit(130);
            }
        }
    });
    Ok(receiver)
}

/// Serves until told to stop.
pub(super) async fn serve(
    server: Server,
    gateway: Gateway,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    tracing::info!(http.address = %server.address(), "serving");
    server.run(Arc::new(gateway), stop).await?;
    tracing::info!("stopped serving");
    Ok(())
}
