//! The actions that manifests can name, and what they need.

use std::sync::Arc;
use std::time::Duration;

use plinth_auth::outgoing::{Outgoing, OutgoingPolicy};
use plinth_postgres::{Project, Secret};
use plinth_work::action::{Actions, HttpRequest, Noop, Secrets, SqlStatement, signing_secret};

use super::opener::ProjectKey;
use crate::runtime::variable;

/// Longest time that one request may take, whatever its attempt may.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3600);

/// The actions, for those who only ask for their names and whether settings will do.
pub fn actions() -> Actions {
    Kit::new(OutgoingPolicy::default()).of_secret(&Secret::new(String::new())).with_flow()
}

/// What the actions of all projects share.
pub(super) struct Kit {
    outgoing: Option<Outgoing>,
}

impl Kit {
    /// Whose requests go where `policy` allows.
    pub(super) fn new(policy: OutgoingPolicy) -> Self {
        let outgoing = Outgoing::new(policy, REQUEST_TIMEOUT)
            .inspect_err(|error| tracing::error!(error = %error, "there is no `http.request`"));
        Self { outgoing: outgoing.ok() }
    }

    /// The actions of a project.
    pub(super) fn actions(&self, project: &Project) -> Actions {
        let actions = self.of_secret(&project.keys.jwt_secret);
        actions.with_opener(ProjectKey::of(project)).with_flow()
    }

    fn of_secret(&self, secret: &Secret) -> Actions {
        let actions = Actions::default().with(Noop).with(SqlStatement);
        match &self.outgoing {
            Some(outgoing) => {
                let secrets = Arc::new(ProjectSecrets { signing: signing_secret(secret) });
                actions.with(HttpRequest::new(outgoing.clone(), secrets))
            }
            None => actions,
        }
    }
}

/// What requests of one project may know.
struct ProjectSecrets {
    signing: Secret,
}

impl Secrets for ProjectSecrets {
    fn variable(&self, _project: &str, name: &str) -> Option<Secret> {
        variable(name)
    }

    fn signing_key(&self, _project: &str) -> Option<Secret> {
        Some(self.signing.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_can_name_every_action_that_is_built_in() {
        assert_eq!(actions().names(), ["flow", "http.request", "noop", "sql"]);
    }
}
