//! Opens what sealed columns of a project hold, with its key pair from the registry.

use std::sync::Arc;

use plinth_postgres::{Project, SEALED, SealingError, SealingKey};
use plinth_wire::Secret;
use plinth_work::{Opener, Opening, Unopened};
use tokio::task::spawn_blocking;

/// What to do where the key is another one.
const RESTORE: &str = "restore the control database that has that key, or write the value once more to have it sealed with this one";

/// The key pair of one project; none before a manifest of it has sealed columns.
pub(super) struct ProjectKey(Option<Arc<SealingKey>>);

impl ProjectKey {
    pub(super) fn of(project: &Project) -> Self {
        let read = project.sealing_key.as_ref().map(SealingKey::read).transpose();
        let key = read.inspect_err(|error| {
            tracing::error!(project.name = %project.name, error = %error, "sealed columns cannot be opened");
        });
        Self(key.ok().flatten().map(Arc::new))
    }

    async fn open(&self, sealed: &str) -> Result<Secret, Unopened> {
        let Some(key) = self.0.clone() else {
            return Err(match sealed.starts_with(SEALED) {
                true => {
                    Unopened::NoKey(format!("this project has no key that opens it; {RESTORE}"))
                }
                false => never(&SealingError::Plain),
            });
        };
        let text = sealed.to_owned();
        let opened = spawn_blocking(move || key.open(&text)).await;
        match opened.unwrap_or(Err(SealingError::Key)) {
            Ok(secret) if secret.expose().starts_with(SEALED) => Err(Unopened::Never(
                "it was sealed twice, as what is copied from a sealed column is; write the value itself".to_owned(),
            )),
            Ok(secret) => Ok(secret),
            Err(error @ SealingError::OtherKey { .. }) => {
                Err(Unopened::NoKey(format!("{error}; {RESTORE}")))
            }
            Err(error) => Err(never(&error)),
        }
    }
}

impl Opener for ProjectKey {
    fn open<'a>(&'a self, sealed: &'a str) -> Opening<'a> {
        Box::pin(self.open(sealed))
    }
}

fn never(error: &SealingError) -> Unopened {
    let hint = match error {
        SealingError::Plain => "; name its column in `[sealed]`, or take the path out of `open`",
        _ => "; write the value once more",
    };
    Unopened::Never(format!("{error}{hint}"))
}
