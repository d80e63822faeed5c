//! A connection that listens: one per live project, and one to the control database.

use std::future::poll_fn;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

/// Notifications kept while a reload is under way. What does not fit is dropped: the ones that are
/// kept cause a reload anyway, and a reload sees everything.
const MAX_NOTIFICATIONS: usize = 64;

/// How long opening the connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where and as whom to listen.
#[derive(Clone)]
pub struct Target(Config);

impl Target {
    /// The database that `login` may connect to.
    pub fn new(
        endpoint: &plinth_postgres::Endpoint,
        login: &plinth_postgres::Login,
        database: &str,
    ) -> Self {
        let mut config = Config::new();
        match &endpoint.host {
            plinth_postgres::Host::Unix(folder) => config.host_path(folder),
            plinth_postgres::Host::Tcp(name) => config.host(name),
        };
        config.port(endpoint.port).user(&login.role).dbname(database);
        if let Some(password) = &login.password {
            config.password(password.expose());
        }
        config
            .application_name("plinth listener")
            .ssl_mode(tokio_postgres::config::SslMode::Disable)
            .connect_timeout(CONNECT_TIMEOUT);
        Self(config)
    }
}

/// An open connection with its notifications.
pub struct Listener {
    /// For statements, between notifications.
    pub client: Client,
    payloads: mpsc::Receiver<String>,
    driver: JoinHandle<()>,
}

impl Listener {
    /// Connects and listens on `channel`. Everything that is committed after this returns is heard.
    ///
    /// # Errors
    ///
    /// When the server is not there or refuses.
    pub async fn open(target: &Target, channel: &str) -> Result<Self, tokio_postgres::Error> {
        let (client, mut connection) = target.0.connect(NoTls).await?;
        let (sender, payloads) = mpsc::channel(MAX_NOTIFICATIONS);
        let driver = tokio::spawn(async move {
            // Ends with the connection, and by that closes the channel.
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await
            {
                if let AsyncMessage::Notification(notification) = message {
                    let _ = sender.try_send(notification.payload().to_owned());
                }
            }
        });
        let listener = Self { client, payloads, driver };
        listener.client.batch_execute(&format!("listen \"{channel}\"")).await?;
        Ok(listener)
    }

    /// The payload of the next notification; `None` when the connection is gone.
    pub async fn next(&mut self) -> Option<String> {
        self.payloads.recv().await
    }

    /// A notification that is there already.
    pub fn try_next(&mut self) -> Option<String> {
        self.payloads.try_recv().ok()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Waiting times that double from 100 ms to 5 s.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    /// The next waiting time.
    pub fn next_delay(&mut self) -> Duration {
        let delay = Self::FIRST.saturating_mul(1 << self.failures.min(10)).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        delay
    }

    /// Begins anew after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Whether nothing has failed since the last success.
    pub fn is_fresh(&self) -> bool {
        self.failures == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_times_double_up_to_a_limit_and_begin_anew() {
        let mut backoff = Backoff::default();
        let delays: Vec<u128> = (0..8).map(|_| backoff.next_delay().as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        for _ in 0..100 {
            backoff.next_delay();
        }
        assert_eq!(backoff.next_delay(), Backoff::LONGEST);
        backoff.reset();
        assert_eq!(backoff.next_delay(), Backoff::FIRST);
    }
}
