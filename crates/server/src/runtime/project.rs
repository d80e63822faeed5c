//! One project as the gateway sees it: cheap until somebody asks it something.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use http::HeaderName;
use plinth_auth::Auth;
use plinth_auth::token::Jwk;
use plinth_postgres::{Secret, SigningKey, SigningKeyState};
use plinth_wire::{Budget, ConnectConfig, Pool, PoolOptions, WireError};
use plinth_work::hook::Hooks;
use plinth_work::message::Messages;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::desk::DeskError;
use super::hooks::{HookDesk, HookParts};
use super::live::{Live, LiveError, Reload, Target};
use super::messages::{MessageDesk, MessageParts};
use super::room::Room;
use super::sign_in::{SignIn, SignInParts};
use super::snapshot::SnapshotOptions;
use crate::gateway::{KeySet, Rules};

/// After a failed attempt, further requests fail at once for this long.
const FAILURE_PAUSE: Duration = Duration::from_millis(250);

/// Idle connections of a project in use are closed after this long.
const CONNECTION_IDLE: Duration = Duration::from_secs(60);

/// What it takes to serve a project.
pub struct ProjectParts {
    /// The name.
    pub name: Arc<str>,
    /// The gateway's rules until the database has been asked for its settings.
    pub rules: Arc<Rules>,
    /// For the listener and the catalog.
    pub target: Target,
    /// For requests.
    pub connect: ConnectConfig,
    /// The cluster's connections.
    pub budget: Arc<Budget>,
    /// Bounds of the project's pool.
    pub pool: PoolOptions,
    /// How to read the catalog.
    pub snapshot: SnapshotOptions,
    /// The places for open projects.
    pub room: Arc<Room>,
    /// Its sign-in, if it has one.
    pub sign_in: Option<SignInParts>,
    /// Its webhooks, if it can have any.
    pub hooks: Option<HookParts>,
    /// Its messages, if it can have any.
    pub messages: Option<MessageParts>,
}

/// A project that can be served.
pub struct Project {
    parts: ProjectParts,
    sign_in: Option<SignIn>,
    hooks: Option<HookDesk>,
    messages: Option<MessageDesk>,
    live: RwLock<Option<Arc<Live>>>,
    /// Held while connecting, so that a hundred first requests cause one connection.
    opening: tokio::sync::Mutex<()>,
    last_failure: Mutex<Option<Instant>>,
    dropped: AtomicBool,
    /// Where the project was made. What it does besides answering requests happens there: reading a
    /// large catalog must not hold up a thread that serves clients.
    background: Option<Handle>,
    born: Instant,
    /// Milliseconds since `born`.
    last_used_ms: AtomicU64,
}

impl Project {
    /// A project that nobody has asked anything yet.
    pub fn new(mut parts: ProjectParts) -> Arc<Self> {
        let budget = parts.budget.clone();
        let project = Arc::new(Self {
            sign_in: parts.sign_in.take().map(|sign_in| SignIn::new(sign_in, budget.clone())),
            hooks: parts.hooks.take().map(|hooks| HookDesk::new(hooks, budget.clone())),
            messages: parts.messages.take().map(|messages| MessageDesk::new(messages, budget)),
            parts,
            live: RwLock::default(),
            opening: tokio::sync::Mutex::default(),
            last_failure: Mutex::default(),
            dropped: AtomicBool::new(false),
            background: Handle::try_current().ok(),
            born: Instant::now(),
            last_used_ms: AtomicU64::new(0),
        });
        if let Some(sign_in) = &project.sign_in
            && !sign_in.configured().is_empty()
        {
            project.accept_tokens(sign_in, &[]);
        }
        project.parts.room.register(&project);
        project
    }

    /// The name.
    pub fn name(&self) -> &Arc<str> {
        &self.parts.name
    }

    /// The gateway's rules.
    pub fn rules(&self) -> Arc<Rules> {
        match self.current() {
            Some(live) => live.snapshot().rules.clone(),
            None => self.parts.rules.clone(),
        }
    }

    /// Reads the catalog or the settings anew, if the project is open at all.
    pub fn reload(&self, what: Reload) {
        if let Some(live) = self.current() {
            live.reload(what);
        }
    }

    /// Connections and catalog, opened now if they are not open.
    ///
    /// # Errors
    ///
    /// [`LiveError`] when that is not possible; never waits longer than the limit for a connection.
    pub async fn live(&self) -> Result<Arc<Live>, LiveError> {
        self.last_used_ms.store(self.age_ms(), Ordering::Relaxed);
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let limit = self.parts.pool.acquire_timeout;
        // Opening is rare, and too large to be a part of every request.
        tokio::time::timeout(limit, Box::pin(self.open())).await.unwrap_or(Err(LiveError::Timeout))
    }

    async fn open(&self) -> Result<Arc<Live>, LiveError> {
        let _opening = self.opening.lock().await;
        if let Some(live) = self.current() {
            return Ok(live);
        }
        if self.dropped.load(Ordering::Acquire) {
            return Err(LiveError::Dropped);
        }
        if self.failed_recently() {
            return Err(LiveError::Recently);
        }
        let parts = &self.parts;
        let place = parts.room.enter().await.ok_or(LiveError::Dropped)?;
        let pool = Pool::new(parts.connect.clone(), parts.budget.clone(), parts.pool.clone());
        let (target, snapshot) = (parts.target.clone(), parts.snapshot.clone());
        let opening = Live::open(parts.name.clone(), target, snapshot, pool, place);
        let opened = match &self.background {
            Some(background) => background.spawn(opening).await.unwrap_or(Err(LiveError::Dropped)),
            None => opening.await,
        };
        let live = Arc::new(opened.inspect_err(|error| self.note_failure(error))?);
        let mut slot = self.live.write().unwrap_or_else(PoisonError::into_inner);
        // Dropped while it was being opened: then nobody would ever close it.
        if self.dropped.load(Ordering::Acquire) {
            return Err(LiveError::Dropped);
        }
        *slot = Some(live.clone());
        Ok(live)
    }

    /// Connections of sign-in's login, none of which is open before somebody signs in. They come out of the cluster's
    /// budget, as those of requests do. `None` for a project that was dropped, or a database that is served alone.
    pub fn auth_pool(&self) -> Option<Pool> {
        self.sign_in.as_ref()?.pool()
    }

    /// What answers the project's sign-in.
    ///
    /// # Errors
    ///
    /// [`DeskError`] when that cannot be made.
    pub fn auth(&self) -> Result<Arc<Auth>, DeskError> {
        self.last_used_ms.store(self.age_ms(), Ordering::Relaxed);
        self.sign_in.as_ref().ok_or(DeskError::Absent)?.auth()
    }

    /// What answers the project's webhooks. `None` for a project that was dropped, or a database that is served alone.
    pub fn hooks(&self) -> Option<Arc<Hooks>> {
        self.last_used_ms.store(self.age_ms(), Ordering::Relaxed);
        self.hooks.as_ref()?.hooks()
    }

    /// What answers for the project's messages; from the first time on, they are delivered. `None` for a project that was
    /// dropped, or a database that is served alone.
    pub fn messages(&self) -> Option<Arc<Messages>> {
        self.last_used_ms.store(self.age_ms(), Ordering::Relaxed);
        self.messages.as_ref()?.messages()
    }

    /// Delivers the project's messages from now on, if it has any.
    ///
    /// # Errors
    ///
    /// When that cannot be found out.
    pub async fn deliver(&self) -> Result<(), WireError> {
        match &self.messages {
            Some(messages) => messages.deliver().await,
            None => Ok(()),
        }
    }

    /// Delivers no more messages; waits for those under way, for a while.
    pub(super) async fn stop_delivering(&self) {
        if let Some(messages) = &self.messages {
            messages.stop_delivering().await;
        }
    }

    /// Told of every delivery to this instance that made a job. `None` for a database that is served alone.
    pub fn delivered(&self) -> Option<&Arc<Notify>> {
        self.hooks.as_ref().map(HookDesk::arrived)
    }

    /// The header in which a proxy tells sign-in whom a request is from, if the project's settings name one.
    pub fn client_header(&self) -> Option<&HeaderName> {
        self.sign_in.as_ref()?.client_header()
    }

    /// Where clients reach the project's sign-in, without a slash at the end; for links and issuers. `None` for a
    /// database that is served alone.
    pub fn external_url(&self) -> Option<&str> {
        self.sign_in.as_ref().map(SignIn::external_url)
    }

    /// The secret that signs tokens while no key pair does. `None` for a database that is served alone.
    pub fn jwt_secret(&self) -> Option<&Secret> {
        self.sign_in.as_ref().map(SignIn::jwt_secret)
    }

    /// The key pairs of the project's tokens at this moment, private halves sealed; none for a database that is served
    /// alone. Equal pointers mean equal keys.
    pub fn signing_keys(&self) -> Arc<[SigningKey]> {
        self.sign_in.as_ref().map(SignIn::signing_keys).unwrap_or_default()
    }

    /// Takes over what the registry says of the key pairs: tokens of revoked ones are refused from now on, however
    /// lately they were verified.
    pub fn set_signing_keys(&self, keys: &[SigningKey]) {
        let Some(sign_in) = &self.sign_in else { return };
        if *sign_in.signing_keys() == *keys {
            return;
        }
        // Verified before they sign.
        self.accept_tokens(sign_in, keys);
        sign_in.set_signing_keys(keys);
    }

    /// Takes tokens of the project's secret, of the key pairs of its settings, and of those `keys` of the registry that
    /// were not revoked.
    fn accept_tokens(&self, sign_in: &SignIn, keys: &[SigningKey]) {
        let configured: Vec<Jwk> =
            sign_in.configured().iter().filter_map(|key| key.jwk.public()).collect();
        let texts: Vec<Secret> = configured.iter().map(Jwk::to_json).collect();
        let configured = configured.iter().zip(&texts).filter_map(|(jwk, text)| {
            Some((jwk.kid()?, jwk.algorithm().ok()?.name(), text.expose()))
        });
        let valid = keys.iter().filter(|found| found.state != SigningKeyState::Revoked);
        let registered = valid.map(|found| {
            let key = &found.key;
            (key.kid.as_str(), key.algorithm.as_str(), key.public_jwk.as_str())
        });
        let secret = KeySet::secret(sign_in.jwt_secret().expose().as_bytes());
        self.parts.rules.access.set_keys(secret.with_public(configured.chain(registered)));
    }

    /// What is open, without opening anything.
    pub fn current(&self) -> Option<Arc<Live>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes what nobody uses: the whole live part after `idle`, single connections sooner.
    /// Returns whether the project was put to sleep.
    pub fn rest(&self, idle: Duration) -> bool {
        let unused = self.unused_for();
        if let Some(sign_in) = &self.sign_in {
            sign_in.close_idle(CONNECTION_IDLE.min(idle));
        }
        if let Some(hooks) = &self.hooks {
            hooks.close_idle(CONNECTION_IDLE.min(idle));
        }
        if let Some(messages) = &self.messages {
            messages.close_idle(CONNECTION_IDLE.min(idle));
        }
        let mut slot = self.live.write().unwrap_or_else(PoisonError::into_inner);
        let Some(live) = slot.as_ref() else { return false };
        // A request that is under way holds the other reference.
        if unused >= idle && Arc::strong_count(live) == 1 {
            *slot = None;
            return true;
        }
        live.pool().close_idle(CONNECTION_IDLE.min(idle));
        false
    }

    /// Ends the project's service at once: waiting and later requests fail, connections are closed.
    pub fn drop_now(&self) {
        self.dropped.store(true, Ordering::Release);
        let live = self.live.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(live) = live {
            live.pool().close();
        }
        if let Some(sign_in) = &self.sign_in {
            sign_in.close();
        }
        if let Some(hooks) = &self.hooks {
            hooks.close();
        }
        if let Some(messages) = &self.messages {
            messages.close();
        }
    }

    /// Time since the last request began.
    pub fn unused_for(&self) -> Duration {
        let last = self.last_used_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.age_ms().saturating_sub(last))
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn failed_recently(&self) -> bool {
        let last = *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|at| at.elapsed() < FAILURE_PAUSE)
    }

    fn note_failure(&self, error: &LiveError) {
        let mut last = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        // Said once per outage rather than four times a second.
        if last.is_none_or(|at| at.elapsed() > Duration::from_secs(5)) {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::warn!(project.name = %self.parts.name, error = %error, cause, "cannot open the project");
        }
        *last = Some(Instant::now());
    }
}
