//! Whether a password is in a public list of leaked ones, without telling anybody the password.
//!
//! The range search of "Have I Been Pwned": the service is told the first 20 bits of the password's SHA-1 and
//! answers with all leaked hashes that begin so (k-anonymity).

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use lru::LruCache;
use reqwest::header::{HeaderName, HeaderValue, USER_AGENT};
use url::Url;

/// The service that most people mean.
pub const DEFAULT_BASE: &str = "https://api.pwnedpasswords.com";

/// Hexadecimal digits of the hash that the service is told.
const PREFIX_DIGITS: usize = 5;
/// Hexadecimal digits of the hash that it answers with.
const SUFFIX_DIGITS: usize = 35;
/// Longest answer that is read, in bytes. Real ones have about 40 KB.
const MAX_ANSWER_BYTES: usize = 512 * 1024;
/// Answers that are kept. Each takes about 60 KB.
const CACHED_RANGES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(31);
/// An answer is not believed for longer than this.
const CACHED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How the service is asked.
#[derive(Debug, Clone)]
pub struct LeakedSettings {
    /// Its address; `/range/{prefix}` is added.
    pub base: Url,
    /// How long an answer may take in all.
    pub timeout: Duration,
    /// Whether passwords are refused while the service is away.
    pub fail_closed: bool,
    /// What the service is told about who asks.
    pub user_agent: String,
}

/// Why nothing is known about a password.
#[derive(Debug, thiserror::Error)]
pub enum LeakError {
    /// The service was not reached, or not in time.
    #[error("the list of leaked passwords does not answer")]
    Unreachable(#[source] reqwest::Error),
    /// It answered something else than a list.
    #[error("the list of leaked passwords answered {0}")]
    Status(u16),
    /// The answer is too long.
    #[error("the list of leaked passwords answered too much")]
    TooLong,
    /// The address is none.
    #[error("the address of the list of leaked passwords cannot be used")]
    Address,
}

type Suffix = [u8; SUFFIX_DIGITS];
type Range = Arc<BTreeSet<Suffix>>;

/// Asks for leaked passwords, and remembers a few answers.
pub struct LeakedPasswords {
    client: reqwest::Client,
    settings: LeakedSettings,
    cache: Mutex<LruCache<String, (Instant, Range)>>,
}

impl std::fmt::Debug for LeakedPasswords {
    /// Without the cache: its keys are the beginnings of people's passwords' hashes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeakedPasswords").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl LeakedPasswords {
    /// Will ask through `client`.
    pub fn new(client: reqwest::Client, settings: LeakedSettings) -> Self {
        Self { client, settings, cache: Mutex::new(LruCache::new(CACHED_RANGES)) }
    }

    /// Whether passwords are refused while the service is away.
    pub const fn fails_closed(&self) -> bool {
        self.settings.fail_closed
    }

    /// Whether `password` is among the leaked ones.
    ///
    /// # Errors
    ///
    /// [`LeakError`] when nothing is known.
    pub async fn contains(&self, password: &str) -> Result<bool, LeakError> {
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        let (prefix, suffix) = hash.split_at(PREFIX_DIGITS);
        let range = match self.cached(prefix) {
            Some(range) => range,
            None => self.fetch(prefix).await?,
        };
        Ok(suffix_of(suffix).is_some_and(|suffix| range.contains(&suffix)))
    }

    fn cached(&self, prefix: &str) -> Option<Range> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, range) = cache.get(prefix)?;
        (since.elapsed() < CACHED_FOR).then(|| Arc::clone(range))
    }

    async fn fetch(&self, prefix: &str) -> Result<Range, LeakError> {
        let base = self.settings.base.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}/range/{prefix}")).map_err(|_| LeakError::Address)?;
        let agent =
            HeaderValue::from_str(&self.settings.user_agent).map_err(|_| LeakError::Address)?;
        let mut response = self
            .client
            .get(url)
            .timeout(self.settings.timeout)
            .header(USER_AGENT, agent)
            // All answers get about the same length, so that their length does not tell the prefix.
            .header(HeaderName::from_static("add-padding"), HeaderValue::from_static("true"))
            .send()
            .await
            .map_err(LeakError::Unreachable)?;
        if response.status() != 200 {
            return Err(LeakError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(LeakError::Unreachable)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(LeakError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let range = Arc::new(parse_range(&String::from_utf8_lossy(&body)));
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.put(prefix.to_owned(), (Instant::now(), Arc::clone(&range)));
        Ok(range)
    }
}

/// Lines of `SUFFIX:COUNT`; a count of zero is padding.
fn parse_range(text: &str) -> BTreeSet<Suffix> {
    text.lines()
        .filter_map(|line| line.trim().split_once(':'))
        .filter(|(_, count)| count.trim() != "0")
        .filter_map(|(suffix, _)| suffix_of(suffix))
        .collect()
}

fn suffix_of(text: &str) -> Option<Suffix> {
    let mut suffix: Suffix = text.as_bytes().try_into().ok()?;
    suffix.make_ascii_uppercase();
    Some(suffix)
}

#[cfg(test)]
mod tests {
    use super::super::policy::{PasswordProblem, PasswordRules, WeakReason};
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    /// SHA-1 of `password` is 5BAA6 1E4C9B93F3F0682250B6CF8331B7EE68FD8.
    const LEAKED: &str = "1E4C9B93F3F0682250B6CF8331B7EE68FD8:3730471\r\n";
    const PADDING: &str = "1E4C9B93F3F0682250B6CF8331B7EE68FD8:0\r\n";
    const OTHER: &str = "0018A45C4D1DEF81644B54AB7F969B88D65:10\r\n";

    /// A service that answers each request with the next of `answers` and reports what it was asked.
    async fn service(answers: Vec<String>) -> (Url, mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let (asked, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for answer in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let length = socket.read(&mut request).await.unwrap();
                asked.send(String::from_utf8_lossy(&request[..length]).into_owned()).unwrap();
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (url, requests)
    }

    fn ok(body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
    }

    fn list(base: Url, fail_closed: bool) -> LeakedPasswords {
        let timeout = Duration::from_secs(5);
        let user_agent = "plinth".to_owned();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        LeakedPasswords::new(client, LeakedSettings { base, timeout, fail_closed, user_agent })
    }

    fn rules(leaked: LeakedPasswords) -> PasswordRules {
        PasswordRules { min_length: 6, required_characters: Vec::new(), leaked: Some(leaked) }
    }

    #[tokio::test]
    async fn only_five_digits_leave_and_an_answer_is_used_again() {
        let (url, mut requests) = service(vec![ok(&format!("{OTHER}{LEAKED}"))]).await;
        let list = list(url, false);
        assert!(list.contains("password").await.unwrap());
        assert!(list.contains("password").await.unwrap(), "from memory: nobody answers any more");
        let request = requests.recv().await.unwrap().to_lowercase();
        assert!(request.starts_with("get /range/5baa6 http/1.1\r\n"), "{request}");
        assert!(request.contains("add-padding: true\r\n"), "{request}");
        assert!(!request.contains("1e4c9"), "{request}");
    }

    #[tokio::test]
    async fn padding_is_no_leak() {
        let (url, _requests) = service(vec![ok(&format!("{OTHER}{PADDING}"))]).await;
        assert!(!list(url, false).contains("password").await.unwrap());
    }

    #[tokio::test]
    async fn a_leaked_password_is_weak() {
        let (url, _requests) = service(vec![ok(LEAKED)]).await;
        let Err(PasswordProblem::Weak { reasons, message }) =
            rules(list(url, false)).check("password").await
        else {
            panic!("it leaked");
        };
        assert_eq!(reasons, [WeakReason::Pwned]);
        assert!(message.starts_with("Password is known to be weak and easy to guess"));
    }

    #[tokio::test]
    async fn the_setting_decides_when_the_service_is_away() {
        let away = "HTTP/1.1 503 Away\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned();
        let (url, _requests) = service(vec![away.clone(), away]).await;
        assert_eq!(rules(list(url.clone(), false)).check("password").await, Ok(()));
        let closed = rules(list(url, true)).check("password").await;
        assert_eq!(closed, Err(PasswordProblem::Unavailable));
    }

    #[tokio::test]
    async fn an_endless_answer_is_cut() {
        let (url, _requests) = service(vec![ok(&OTHER.repeat(20_000))]).await;
        assert!(matches!(list(url, false).contains("password").await, Err(LeakError::TooLong)));
    }
}
