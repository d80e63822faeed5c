//! Which of the client's preferences were heeded, as `Preference-Applied` tells.

use plinth_catalog::Relation;

use super::Job;
use crate::request::Action;
use crate::request::prefer::Preferences;

impl Job<'_> {
    /// What every request heeds.
    pub(super) fn applied(self) -> Preferences {
        Preferences {
            resolution: None,
            missing: None,
            representation: None,
            max_affected: None,
            ..self.preferences().clone()
        }
    }

    pub(super) fn applied_to_call(self) -> Option<String> {
        let max_affected = self.preferences().max_affected;
        Preferences { max_affected, ..self.applied() }.applied()
    }

    pub(super) fn applied_to_write(self, relation: &Relation) -> Option<String> {
        let given = self.preferences();
        let mut applied = Preferences { representation: given.representation, ..self.applied() };
        match self.request.action {
            Action::Create => {
                let keyed = !relation.primary_key.is_empty();
                let resolves = keyed || self.request.query.on_conflict.is_some();
                applied.resolution = given.resolution.filter(|_| resolves);
                applied.missing = given.missing;
            }
            Action::Update => {
                applied.missing = given.missing;
                applied.max_affected = given.max_affected;
            }
            Action::Delete => applied.max_affected = given.max_affected,
            _ => {}
        }
        applied.applied()
    }
}
