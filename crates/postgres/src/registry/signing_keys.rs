//! Adding, rotating and revoking the key pairs of projects. Every instance hears of it as of any change of the registry.

use super::{Registry, RegistryError, query, store};
use crate::connection::has_code;
use crate::signing_key::{MAX_SIGNING_KEYS, NewSigningKey, SigningKeyState};
use crate::sqlstate;

impl Registry {
    /// Adds a key pair to the project `name`, on standby.
    ///
    /// # Errors
    ///
    /// [`RegistryError::SigningKeyExists`], [`RegistryError::TooManySigningKeys`] or [`RegistryError::NotFound`], or the
    /// statement failed.
    pub async fn signing_key_add(
        &self,
        name: &str,
        key: &NewSigningKey,
    ) -> Result<(), RegistryError> {
        let control = self.control().await?;
        let added = store::signing_key_insert(&control, name, key, MAX_SIGNING_KEYS).await;
        control.close().await;
        match added {
            Ok(true) => Ok(()),
            Ok(false) => Err(RegistryError::TooManySigningKeys(name.to_owned())),
            Err(error) if has_code(&error, sqlstate::UNIQUE_VIOLATION) => {
                Err(RegistryError::SigningKeyExists(key.kid.clone()))
            }
            Err(error) if has_code(&error, sqlstate::FOREIGN_KEY_VIOLATION) => {
                Err(RegistryError::NotFound(name.to_owned()))
            }
            Err(source) => Err(query("cannot add a signing key")(source)),
        }
    }

    /// Lets the key `kid` of the project `name` sign, which was on standby; the one that signed before is used to verify
    /// only from now on.
    ///
    /// # Errors
    ///
    /// [`RegistryError::SigningKeyNotFound`] unless there is such a key on standby, or the statement failed.
    pub async fn signing_key_rotate(&self, name: &str, kid: &str) -> Result<(), RegistryError> {
        let mut control = self.control().await?;
        let failed = || query("cannot rotate the signing key");
        let transaction = control.client_mut().transaction().await.map_err(failed())?;
        let (standby, in_use, used) =
            (SigningKeyState::Standby, SigningKeyState::InUse, SigningKeyState::PreviouslyUsed);
        // In this order, for there is never more than one in use.
        store::signing_key_retire(&transaction, name, in_use, used).await.map_err(failed())?;
        let rotated = store::signing_key_set_state(&transaction, name, kid, &[standby], in_use)
            .await
            .map_err(failed())?;
        if !rotated {
            return Err(not_found(name, kid, "on standby"));
        }
        transaction.commit().await.map_err(failed())?;
        control.close().await;
        Ok(())
    }

    /// Refuses the tokens of the key `kid` of the project `name` from now on. The one in use cannot be revoked: rotate
    /// first.
    ///
    /// # Errors
    ///
    /// [`RegistryError::SigningKeyNotFound`] unless there is such a key on standby or out of use, or the statement failed.
    pub async fn signing_key_revoke(&self, name: &str, kid: &str) -> Result<(), RegistryError> {
        let mut control = self.control().await?;
        let from = [SigningKeyState::Standby, SigningKeyState::PreviouslyUsed];
        let revoked = store::signing_key_set_state(
            &*control.client_mut(),
            name,
            kid,
            &from,
            SigningKeyState::Revoked,
        )
        .await
        .map_err(query("cannot revoke the signing key"));
        control.close().await;
        if revoked? { Ok(()) } else { Err(not_found(name, kid, "on standby or out of use")) }
    }
}

fn not_found(project: &str, kid: &str, wanted: &'static str) -> RegistryError {
    RegistryError::SigningKeyNotFound { project: project.to_owned(), kid: kid.to_owned(), wanted }
}
