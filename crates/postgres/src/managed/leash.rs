//! Throw-away clusters end with the process that started them, however it ends.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A shell that waits for the end of this process, seen as the end of its input, then stops the cluster and removes its
/// folder. It works when the process is killed, and for statics, which are never dropped.
#[derive(Debug)]
pub(crate) struct Leash {
    shell: Child,
}

/// `$0` is the folder to remove, `$1` the pid file.
const SCRIPT: &str = r#"
while read -r _; do :; done
pid=$(head -n 1 "$1" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && sleep 0.2
done
rm -rf "$0"
"#;

impl Leash {
    /// Ties the cluster in `pgdata` and the folder `dir` to this process.
    pub(crate) fn tie(dir: &Path, pgdata: &Path) -> std::io::Result<Self> {
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .arg(dir)
            .arg(pgdata.join("postmaster.pid"))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in the terminal is for the tests, not for who cleans up behind them.
            .process_group(0)
            .spawn()?;
        Ok(Self { shell })
    }

    /// Lets go and waits until the folder is gone.
    pub(crate) fn release(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
