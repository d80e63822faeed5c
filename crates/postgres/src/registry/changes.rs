//! Hearing of changes to the registry, whoever made them.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{CHANNEL, CONTROL_DATABASE};
use crate::connection::{Endpoint, Listener};

/// Pause before the first new attempt after the connection is lost; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The registry's revision as it moves. Holds one connection, which is opened again when it is lost; after that the
/// revision is read anew, so no change is missed. Ends when it is dropped.
#[derive(Debug)]
pub struct Changes {
    revision: watch::Receiver<i64>,
    task: JoinHandle<()>,
}

impl Changes {
    pub(super) fn watch(endpoint: Endpoint) -> Self {
        let (sender, revision) = watch::channel(-1);
        Self { revision, task: tokio::spawn(follow(endpoint, sender)) }
    }

    /// Waits until the revision is another one than at the last call and returns it. The first call returns as soon as
    /// the revision is known. `None` when the runtime shuts down.
    pub async fn next(&mut self) -> Option<i64> {
        self.revision.changed().await.ok()?;
        Some(*self.revision.borrow_and_update())
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(endpoint: Endpoint, sender: watch::Sender<i64>) {
    let mut pause = FIRST_PAUSE;
    loop {
        match endpoint.listen(&endpoint.admin, CONTROL_DATABASE, &[CHANNEL]).await {
            Ok(listener) => {
                pause = FIRST_PAUSE;
                if let Err(error) = relay(listener, &sender).await {
                    tracing::debug!(error = %error, "the connection that hears of projects was lost");
                }
            }
            Err(error) => tracing::debug!(error = %error, "cannot listen for changes to projects"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn relay(
    mut listener: Listener,
    sender: &watch::Sender<i64>,
) -> Result<(), tokio_postgres::Error> {
    loop {
        let row =
            listener.connection().query_one("select number from plinth.revision", &[]).await?;
        let revision: i64 = row.get(0);
        sender.send_if_modified(|current| std::mem::replace(current, revision) != revision);
        if listener.next().await.is_none() {
            return Ok(());
        }
    }
}
