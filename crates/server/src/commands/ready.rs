//! `plinth rest --ready`: asks the admin server of a running instance.

use std::process::ExitCode;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cli::Output;
use crate::pgrst::{Place, Settings};

/// The status line of an answer is shorter.
const LONGEST_STATUS_LINE: u64 = 256;

/// Succeeds when the answer is 200.
pub(super) async fn run(settings: &Settings, output: Output) -> anyhow::Result<ExitCode> {
    let (host, port) = match &settings.admin {
        Some(Place::Tcp(host, port)) => (host, *port),
        _ => {
            return Ok(failed(
                output,
                "Admin server is not running. Please check admin-server-port config.",
            ));
        }
    };
    if ["*", "*4", "!4", "*6", "!6"].contains(&host.as_str()) {
        return Ok(failed(
            output,
            &format!(
                "The `--ready` flag cannot be used when server-host is configured as \"{host}\". Please update your server-host config to \"localhost\"."
            ),
        ));
    }
    let written = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let url = format!("http://{written}:{port}/ready");
    let Ok(stream) = TcpStream::connect((host.as_str(), port)).await else {
        return Ok(failed(output, &format!("connection refused to {url}")));
    };
    match status(stream, &written).await {
        Some(200) => {
            output.line(format!("OK: {url}"));
            Ok(ExitCode::SUCCESS)
        }
        _ => Ok(failed(output, &url)),
    }
}

fn failed(output: Output, what: &str) -> ExitCode {
    output.progress(format!("ERROR: {what}"));
    ExitCode::FAILURE
}

/// The status of `GET /ready`.
async fn status(mut stream: TcpStream, host: &str) -> Option<u16> {
    let request = format!("GET /ready HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.take(LONGEST_STATUS_LINE).read_to_end(&mut answer).await.ok()?;
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}
