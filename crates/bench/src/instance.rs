//! A real `plinth up` on a data folder of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::memory::{self, Memory};

/// The user that every measured request is made by.
pub(crate) const USER: &str = "00000000-0000-4000-8000-000000000000";

/// How long a first start may take.
const START_LIMIT: Duration = Duration::from_secs(120);

/// A running `plinth up`; stopped and removed when dropped.
pub(crate) struct Instance {
    process: Child,
    program: PathBuf,
    folder: PathBuf,
    address: String,
}

/// Where and as whom requests are made.
pub(crate) struct Target {
    /// `host:port` of the gateway.
    pub(crate) address: String,
    /// Connection URL of the project's owner role.
    pub(crate) database_url: String,
    /// Folder of the cluster's Unix socket, which Plinth itself uses.
    pub(crate) socket_folder: String,
    /// The publishable or anon key.
    pub(crate) api_key: String,
    /// A signed token of [`USER`].
    pub(crate) token: String,
    /// What tokens are signed with.
    pub(crate) jwt_secret: String,
    /// Plinth's process.
    pub(crate) plinth: u32,
    /// Folder for pgbench's scripts and logs.
    pub(crate) scratch: PathBuf,
    /// Folder of PostgreSQL's programs.
    pub(crate) pg_bin: PathBuf,
}

impl Instance {
    pub(crate) async fn start(arguments: &[&str]) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("plinth");
        ensure!(program.exists(), "{} is not built", program.display());
        let folder = std::env::temp_dir().join(format!("plinth-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let address = free_address()?;
        let log = std::fs::File::create(folder.join("up.log"))?;
        let process = Command::new(&program)
            .args(["up", "--listen", &address])
            .arg("--data-dir")
            .arg(folder.join("data"))
            .args(arguments)
            .stdout(log.try_clone()?)
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()?;
        let mut instance = Self { process, program, folder, address };
        instance.wait_until_ready().await?;
        Ok(instance)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < START_LIMIT {
            if let Some(status) = self.process.try_wait()? {
                bail!("plinth ended with {status}: {}", self.log());
            }
            if crate::load::get(&self.address, "/ready").await.is_ok_and(|status| status == 200) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("plinth was not ready after {START_LIMIT:?}: {}", self.log())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("up.log")).unwrap_or_default()
    }

    /// Runs another `plinth` command beside the running one.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .args(arguments)
            .arg("--data-dir")
            .arg(self.folder.join("data"))
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(output.status.success(), "plinth {arguments:?} failed with {}", output.status);
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    pub(crate) fn target(&self, project: &str) -> Result<Target> {
        let status: Value = serde_json::from_str(&self.command(&[
            "status",
            "--project",
            project,
            "-o",
            "json",
        ])?)?;
        let text = |key: &str| -> Result<String> {
            Ok(status[key].as_str().with_context(|| format!("status has no {key}"))?.to_owned())
        };
        let database_url = text("DB_URL")?;
        Ok(Target {
            address: self.address.clone(),
            database_url,
            socket_folder: memory::socket_folder(self.process.id())?,
            api_key: text("ANON_KEY")?,
            token: self.command(&[
                "token",
                "--project",
                project,
                "--sub",
                USER,
                "--expires",
                "1d",
            ])?,
            jwt_secret: text("JWT_SECRET")?,
            plinth: self.process.id(),
            scratch: self.folder.clone(),
            pg_bin: pg_bin()?,
        })
    }

    /// What Plinth and its PostgreSQL hold now.
    pub(crate) fn memory(&self) -> Result<Memory> {
        memory::of_process_tree(self.process.id())
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        terminate(&mut self.process)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = terminate(&mut self.process);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Opens an administrative session.
pub(crate) async fn connect(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Has a process end, and waits for it.
pub(crate) fn terminate(process: &mut Child) -> Result<()> {
    if process.try_wait()?.is_none() {
        Command::new("kill").args(["-TERM", &process.id().to_string()]).status()?;
        process.wait()?;
    }
    Ok(())
}

/// An address that nobody listens on.
pub(crate) fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// PostgreSQL's programs as Plinth finds them: `PLINTH_PG_BIN`, or `.postgres/bin` above this binary.
fn pg_bin() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("PLINTH_PG_BIN") {
        return Ok(PathBuf::from(folder));
    }
    let program = std::env::current_exe()?;
    program
        .ancestors()
        .map(|folder: &Path| folder.join(".postgres/bin"))
        .find(|folder| folder.join("pgbench").exists())
        .context("no .postgres/bin with pgbench; run `make setup`")
}

/// Opens a connection to the gateway.
pub(crate) async fn dial(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
