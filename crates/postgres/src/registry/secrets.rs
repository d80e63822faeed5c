//! What opens projects, sealed: the control database alone gives nobody a key.
//!
//! All that is secret of a project is one text, sealed for the project's name. A marker that is sealed by the same master
//! key says which one that is, so that an instance with another one, or with none, stops at its start instead of making
//! projects that the others cannot open.

use plinth_wire::Secret;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use super::lifecycle::{add_auth_login, new_login};
use super::{Registry, RegistryError, query, store};
use crate::connection::{Connection, Login};
use crate::keys::Keys;
use crate::project::{self, Project};
use crate::seal::{KeyPlace, SealError, Sealer, master_key_name};
use crate::sealing::{SealingError, SealingKey};

/// What projects' secrets are sealed for.
const PURPOSE: &str = "plinth.project.secrets";
/// What the marker is sealed for, and its name among the settings.
const MARKER_PURPOSE: &str = "plinth.setting.value";
const MARKER: &str = "master_key";

/// A project as the registry keeps it: its secrets are sealed.
pub(super) struct Record {
    /// The project, whose logins have no passwords and whose secret keys are empty.
    pub(super) bare: Project,
    pub(super) sealed: String,
}

/// What is sealed of a project.
#[derive(Serialize, Deserialize)]
pub(super) struct Secrets {
    pub(super) owner_password: String,
    pub(super) authenticator_password: String,
    pub(super) auth_password: Option<String>,
    pub(super) jwt_secret: String,
    pub(super) service_role_key: String,
    pub(super) secret_key: String,
    /// Of its sealed columns; made when they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sealing_key: Option<String>,
}

impl Secrets {
    fn of(project: &Project) -> Self {
        let password = |login: &Login| login.password.as_ref().map(text);
        Self {
            owner_password: password(&project.owner_login).unwrap_or_default(),
            authenticator_password: password(&project.authenticator_login).unwrap_or_default(),
            auth_password: password(&project.auth_login),
            jwt_secret: text(&project.keys.jwt_secret),
            service_role_key: text(&project.keys.service_role_key),
            secret_key: text(&project.keys.secret_key),
            sealing_key: project.sealing_key.as_ref().map(text),
        }
    }

    fn seal(&self, sealer: &Sealer, project: &str) -> Result<String, SealError> {
        let plain = serde_json::to_vec(self).map_err(|_| SealError::Failed)?;
        sealer.seal(PURPOSE, project, &plain)
    }

    fn open(sealer: &Sealer, project: &str, sealed: &str) -> Result<Self, SealError> {
        let plain = sealer.open(PURPOSE, project, sealed)?;
        serde_json::from_slice(&plain).map_err(|_| SealError::Malformed)
    }

    fn into_project(self, bare: Project) -> Project {
        let login = |login: Login, password: String| Login {
            password: Some(Secret::new(password)),
            ..login
        };
        Project {
            owner_login: login(bare.owner_login, self.owner_password),
            authenticator_login: login(bare.authenticator_login, self.authenticator_password),
            auth_login: Login { password: self.auth_password.map(Secret::new), ..bare.auth_login },
            keys: Keys {
                jwt_secret: Secret::new(self.jwt_secret),
                service_role_key: Secret::new(self.service_role_key),
                secret_key: Secret::new(self.secret_key),
                ..bare.keys
            },
            sealing_key: self.sealing_key.map(Secret::new),
            ..bare
        }
    }
}

impl Registry {
    /// The key pair that columns of the project `name` are sealed with. It is made at the first call, and every instance
    /// hears of it; two who do so at once agree on one.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if there is no such project, or its secrets cannot be opened or written.
    pub async fn sealing_key(&self, name: &str) -> Result<SealingKey, RegistryError> {
        let failed = || query("cannot make the key of sealed columns");
        let mut control = self.control().await?;
        let transaction = control.client_mut().transaction().await.map_err(failed())?;
        let found = store::project_lock_secrets(&transaction, name).await.map_err(failed())?;
        let found = found.ok_or_else(|| RegistryError::NotFound(name.to_owned()))?;
        let mut secrets =
            Secrets::open(&self.sealer, name, &found).map_err(|source| sealed(name, source))?;
        let pair = match &secrets.sealing_key {
            Some(pair) => Secret::new(pair.as_str()),
            None => {
                let made = tokio::task::spawn_blocking(SealingKey::generate).await;
                let pair = made.unwrap_or(Err(SealingError::Key))?;
                secrets.sealing_key = Some(text(&pair));
                let anew =
                    secrets.seal(&self.sealer, name).map_err(|source| sealed(name, source))?;
                store::project_set_secrets(&transaction, name, &anew).await.map_err(failed())?;
                pair
            }
        };
        transaction.commit().await.map_err(failed())?;
        control.close().await;
        Ok(SealingKey::read(&pair)?)
    }
}

fn text(secret: &Secret) -> String {
    secret.expose().to_owned()
}

/// What the registry keeps of the secrets of `project`.
pub(super) fn seal(sealer: &Sealer, project: &Project) -> Result<String, RegistryError> {
    Secrets::of(project).seal(sealer, &project.name).map_err(|source| sealed(&project.name, source))
}

/// The whole project.
pub(super) fn open(sealer: &Sealer, record: Record) -> Result<Project, RegistryError> {
    let name = &record.bare.name;
    let secrets =
        Secrets::open(sealer, name, &record.sealed).map_err(|source| sealed(name, source))?;
    Ok(secrets.into_project(record.bare))
}

fn sealed(project: &str, source: SealError) -> RegistryError {
    RegistryError::Sealed { project: project.to_owned(), source }
}

/// The master key in `place`, when it is the one that the registry's secrets are sealed with; a new one when there are
/// none yet. The caller holds the lock of the cluster.
pub(super) async fn master_key(
    control: &Client,
    place: &KeyPlace,
) -> Result<Sealer, RegistryError> {
    let failed = || query("cannot read which master key the projects have");
    let marker = store::setting_find(control, MARKER).await.map_err(failed())?;
    let sealer = match place.load()? {
        Some(sealer) => sealer,
        None => {
            // Key pairs were sealed before there was a marker.
            let older = store::signing_key_exists(control).await.map_err(failed())?;
            if marker.is_some() || older {
                return Err(RegistryError::MasterKeyLost { place: place.clone() });
            }
            place.load_or_create()?
        }
    };
    let is_right = match &marker {
        Some(marker) => sealer.open(MARKER_PURPOSE, MARKER, marker).map(drop),
        None => Ok(()),
    };
    if is_right.is_err() {
        return Err(RegistryError::MasterKeyWrong {
            place: place.clone(),
            wanted: marker.as_deref().and_then(master_key_name).unwrap_or("unknown").to_owned(),
            found: sealer.names().collect::<Vec<_>>().join(", "),
        });
    }
    if marker.is_none_or(|marker| sealer.is_outdated(&marker)) {
        mark(control, &sealer).await?;
    }
    Ok(sealer)
}

/// Says that the projects' secrets are sealed by `sealer`.
async fn mark(control: &Client, sealer: &Sealer) -> Result<(), RegistryError> {
    let marker =
        sealer.seal(MARKER_PURPOSE, MARKER, b"").map_err(|source| sealed("plinth", source))?;
    store::setting_put(control, MARKER, &marker)
        .await
        .map_err(query("cannot note which master key the projects have"))
}

/// Seals what earlier versions kept in plain, and anew what an earlier master key sealed. The caller holds the lock of the
/// cluster. Ended at any point, the next start goes on.
pub(super) async fn seal_all(
    control: &mut Connection,
    sealer: &Sealer,
) -> Result<(), RegistryError> {
    let failed = || query("cannot seal the projects' secrets");
    let plain = store::plain_secret_list(control).await.map_err(failed())?;
    for name in &plain {
        seal_plain(control, sealer, name).await?;
    }
    if !plain.is_empty() {
        tracing::info!(projects = plain.len(), "sealed the secrets of projects");
        // Else what was deleted would stay in the files until its place is used again.
        if let Err(error) =
            control.batch_execute("vacuum (full) plinth.project, plinth.plain_secret").await
        {
            tracing::warn!(error = %error, "cannot wipe what is sealed now out of the files yet");
        }
    }
    for (name, text) in store::project_list_sealed(control).await.map_err(failed())? {
        if sealer.is_outdated(&text) {
            seal_anew(control, sealer, &name).await?;
        }
    }
    Ok(())
}

/// Seals the secrets of the project `name` with the master key of today. Somebody may add to them at this moment.
async fn seal_anew(
    control: &mut Connection,
    sealer: &Sealer,
    name: &str,
) -> Result<(), RegistryError> {
    let failed = || query("cannot seal the projects' secrets");
    let transaction = control.client_mut().transaction().await.map_err(failed())?;
    let found = store::project_lock_secrets(&transaction, name).await.map_err(failed())?;
    let Some(text) = found else { return Ok(()) };
    let anew = Secrets::open(sealer, name, &text)
        .and_then(|secrets| secrets.seal(sealer, name))
        .map_err(|source| sealed(name, source))?;
    store::project_set_secrets(&transaction, name, &anew).await.map_err(failed())?;
    transaction.commit().await.map_err(failed())
}

/// Seals the secrets of the project `name`, which were plain, and gives it sign-in's login if it is older than that; all
/// or nothing.
async fn seal_plain(
    control: &mut Connection,
    sealer: &Sealer,
    name: &str,
) -> Result<(), RegistryError> {
    let failed = || query("cannot seal the projects' secrets");
    let transaction = control.client_mut().transaction().await.map_err(failed())?;
    // It may have been dropped meanwhile.
    let Some((mut secrets, ready)) =
        store::plain_secret_take(&transaction, name).await.map_err(failed())?
    else {
        return Ok(());
    };
    if secrets.auth_password.is_none() && ready {
        let login = new_login(project::auth_login(name))?;
        add_auth_login(&transaction, name, &login).await.map_err(failed())?;
        secrets.auth_password = login.password.as_ref().map(text);
        tracing::info!(project.name = name, "made the login of sign-in");
    }
    let text = secrets.seal(sealer, name).map_err(|source| sealed(name, source))?;
    store::project_set_secrets(&transaction, name, &text).await.map_err(failed())?;
    transaction.commit().await.map_err(failed())
}
