//! What the sign-in of all projects shares, and how one is made from its settings.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use plinth_auth::config::AuthConfig;
use plinth_auth::external::{Directory, DirectorySettings};
use plinth_auth::outgoing::{self, Outgoing, OutgoingPolicy};
use plinth_auth::password::{Hasher, HasherSettings};
use plinth_auth::seal::Sealer;
use plinth_auth::token::{Jwk, KeyState, SigningKeys};
use plinth_auth::{Auth, Basis, Db, Parts, PartsError};
use plinth_postgres::{Secret, SigningKey, SigningKeyState};
use plinth_wire::Pool;
use tokio::runtime::Handle;

/// What the private halves of signing keys are sealed for.
pub const SIGNING_KEY_PURPOSE: &str = "signing_key";

/// How long an identity provider may take for one answer.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a project's sign-in cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The project was dropped, or is served without sign-in.
    #[error("the project has no sign-in")]
    Absent,
    /// No threads for hashes.
    #[error("passwords cannot be hashed")]
    Hasher(#[from] plinth_auth::password::HasherError),
    /// Identity providers cannot be asked.
    #[error("identity providers cannot be asked")]
    Outgoing(#[from] plinth_auth::outgoing::OutgoingError),
    /// The project's secret signs nothing.
    #[error("the project's tokens cannot be signed")]
    Keys(#[from] plinth_auth::token::KeyError),
    /// The project's settings make no sense.
    #[error("the project's settings of sign-in cannot be used")]
    Settings(#[from] PartsError),
    /// No TLS for what sign-in calls.
    #[error("sign-in cannot call other servers")]
    Client(#[source] outgoing::ClientError),
}

/// What the sign-in of all projects of an instance shares. Nothing of it is made before somebody signs in.
pub struct Desk {
    /// Opens the projects' key pairs, and what sign-in seals.
    sealer: Arc<Sealer>,
    /// Takes the mails of projects without a mail server.
    catcher: Option<SocketAddr>,
    /// Where mails are sent from: not on a thread that serves clients.
    background: Option<Handle>,
    shared: OnceLock<Shared>,
}

#[derive(Clone)]
struct Shared {
    hasher: Arc<Hasher>,
    client: outgoing::Client,
    directory: Arc<Directory>,
}

/// What a project brings.
pub(super) struct Applicant<'a> {
    pub(super) name: &'a Arc<str>,
    pub(super) config: &'a Arc<AuthConfig>,
    pub(super) pool: Pool,
    pub(super) secret: &'a Secret,
    /// Those of its settings.
    pub(super) configured: &'a [plinth_auth::token::SigningKey],
    /// Those of the registry.
    pub(super) keys: &'a [SigningKey],
    pub(super) external_url: &'a str,
}

impl Desk {
    /// For an instance whose registry's secrets are sealed by `sealer`.
    pub fn new(sealer: Arc<Sealer>, catcher: Option<SocketAddr>) -> Arc<Self> {
        let background = Handle::try_current().ok();
        Arc::new(Self { sealer, catcher, background, shared: OnceLock::new() })
    }

    fn shared(&self) -> Result<Shared, DeskError> {
        if let Some(shared) = self.shared.get() {
            return Ok(shared.clone());
        }
        let hasher = Arc::new(Hasher::start(HasherSettings::default())?);
        let client = outgoing::client().map_err(DeskError::Client)?;
        let shared = Shared { hasher, client, directory: self.directory()? };
        Ok(self.shared.get_or_init(|| shared).clone())
    }

    /// Makes the sign-in of a project anew, with the project's keys as they are now. It goes on from where it was.
    pub(super) fn renew(
        &self,
        auth: &Auth,
        project: Applicant<'_>,
    ) -> Result<Arc<Auth>, DeskError> {
        let keys = signing_keys(&project, &self.sealer)?;
        Ok(Arc::new(auth.with_keys(Arc::new(keys))))
    }

    /// Makes the sign-in of a project.
    pub(super) fn open(&self, project: Applicant<'_>) -> Result<Arc<Auth>, DeskError> {
        let Shared { hasher, client, directory } = self.shared()?;
        let keys = signing_keys(&project, &self.sealer)?;
        let basis = Basis {
            project: project.name.clone(),
            db: Db::new(Arc::new(project.pool)),
            keys: Arc::new(keys),
            secret: project.secret.clone(),
            external_url: project.external_url.to_owned(),
            hasher,
            sealer: self.sealer.clone(),
            client,
            mail_catcher: self.catcher,
            background: self.background.clone(),
            directory,
        };
        Ok(Arc::new(Auth::new(Parts::from_config(basis, project.config.clone())?)))
    }

    /// Whether other people's servers may be on this machine: where mails are caught, somebody develops.
    pub(super) fn allows_http_loopback(&self) -> bool {
        self.catcher.is_some()
    }

    /// What identity providers publish. Where mails are caught, providers may be on this machine too.
    fn directory(&self) -> Result<Arc<Directory>, DeskError> {
        let allow_http_loopback = self.allows_http_loopback();
        let policy = OutgoingPolicy { allow_http_loopback, ..OutgoingPolicy::default() };
        let outgoing = Outgoing::new(policy, PROVIDER_TIMEOUT)?;
        Ok(Directory::new(outgoing, DirectorySettings::default()))
    }
}

/// The project's key pairs, those of the registry opened. One that cannot be opened signs nothing any more. Where the
/// settings have keys, one of them signs, and those of the registry verify.
fn signing_keys(project: &Applicant<'_>, sealer: &Sealer) -> Result<SigningKeys, DeskError> {
    let mut keys = project.configured.to_vec();
    for found in project.keys {
        let (kid, sealed) = (&found.key.kid, found.key.sealed.expose());
        let jwk = match sealer.open_text(SIGNING_KEY_PURPOSE, kid, sealed) {
            Ok(text) => Jwk::parse(text.expose())?,
            Err(error) => {
                tracing::error!(
                    project.name = %project.name,
                    key.id = %kid,
                    error = %error,
                    "a signing key cannot be opened; was the master key exchanged?"
                );
                continue;
            }
        };
        let state = match found.state {
            SigningKeyState::Standby => KeyState::Standby,
            SigningKeyState::InUse if project.configured.is_empty() => KeyState::InUse,
            SigningKeyState::InUse | SigningKeyState::PreviouslyUsed => KeyState::PreviouslyUsed,
            SigningKeyState::Revoked => KeyState::Revoked,
        };
        keys.push(plinth_auth::token::SigningKey { jwk, state });
    }
    Ok(SigningKeys::with_keys(project.secret, &keys)?)
}
