//! What calls of actions use: kept while an attempt runs, written with what it came to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::manifest::{FLOW, MeterSpec};
use crate::rule::Script;

/// Most that one attempt keeps which is not written yet; what is reported beyond is not recorded.
pub const MAX_UNWRITTEN: usize = 1_000;

/// The type of `$row`, whatever the table's key is: one meter is for many tables.
const ROW: &str = "text";

/// SQL that records what calls used.
#[derive(Debug, Clone, PartialEq)]
pub struct Meter {
    /// Which calls it is for, and the SQL as it was written.
    spec: MeterSpec,
    record: Vec<Script>,
}

impl Meter {
    /// A meter of the manifest.
    pub fn new(spec: &MeterSpec) -> Self {
        let record = spec.record.iter().map(|sql| {
            let rendered = sql.render(ROW);
            Script::new(rendered.text, rendered.names)
        });
        Self { spec: spec.clone(), record: record.collect() }
    }

    /// Its SQL where it is for calls of this action.
    pub(crate) fn of(&self, action: &str) -> Option<&[Script]> {
        self.spec.covers(action).then_some(&self.record)
    }

    /// The role whose rights its SQL has; `None`: the owner role.
    pub(crate) fn role(&self) -> Option<&str> {
        self.spec.role.database_role()
    }
}

/// What one call used.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Used {
    pub(crate) action: String,
    /// The step that the call is.
    step: Option<String>,
    /// `None`: the call has succeeded and said nothing of what it used.
    pub(crate) usage: Option<Value>,
}

/// What the calls of one attempt used and what is not written yet, as one of these calls sees it.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    meters: Arc<[Meter]>,
    unwritten: Arc<Mutex<Vec<Used>>>,
    action: String,
    step: Option<String>,
    has_said: Arc<AtomicBool>,
}

impl Ledger {
    /// That of an attempt whose action this is.
    pub(crate) fn new(action: &str, meters: Arc<[Meter]>) -> Self {
        Self {
            meters,
            unwritten: Arc::default(),
            action: action.to_owned(),
            step: None,
            has_said: Arc::default(),
        }
    }

    /// The same one, as a step of the attempt sees it.
    pub(crate) fn of_step(&self, step: &str, action: &str) -> Self {
        Self {
            meters: Arc::clone(&self.meters),
            unwritten: Arc::clone(&self.unwritten),
            action: action.to_owned(),
            step: Some(step.to_owned()),
            has_said: Arc::default(),
        }
    }

    /// Whether the call is a step of a flow.
    pub(crate) fn is_step(&self) -> bool {
        self.step.is_some()
    }

    /// The call says what it used.
    pub(crate) fn report(&self, usage: Value) {
        self.has_said.store(true, Ordering::Relaxed);
        self.put(Some(usage));
    }

    /// The call's result is about to be taken. One that said nothing counts all the same. Steps of a flow are calls, the flow
    /// itself is none.
    pub(crate) fn accept(&self) {
        if self.action != FLOW && !self.has_said.swap(true, Ordering::Relaxed) {
            self.put(None);
        }
    }

    fn put(&self, usage: Option<Value>) {
        if self.meters.iter().all(|meter| meter.of(&self.action).is_none()) {
            return;
        }
        let mut unwritten = self.lock();
        if unwritten.len() < MAX_UNWRITTEN {
            let (action, step) = (self.action.clone(), self.step.clone());
            unwritten.push(Used { action, step, usage });
        } else {
            tracing::warn!(action.name = %self.action, "a call reports more of what it uses than is recorded");
        }
    }

    /// What this call used, for whoever writes it.
    pub(crate) fn take_own(&self) -> Vec<Used> {
        self.lock().extract_if(.., |used| used.step == self.step).collect()
    }

    /// What all calls of the attempt used.
    pub(crate) fn take_all(&self) -> Vec<Used> {
        std::mem::take(&mut *self.lock())
    }

    /// It was not written after all.
    pub(crate) fn give_back(&self, used: Vec<Used>) {
        self.lock().extend(used);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Used>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::Role;

    fn ledger(action: &str) -> Ledger {
        let (name, actions) = ("all".to_owned(), vec!["*".to_owned()]);
        let meter = MeterSpec { name, actions, record: Vec::new(), role: Role::Owner };
        Ledger::new(action, [Meter::new(&meter)].into())
    }

    fn usages(used: Vec<Used>) -> Vec<(String, Option<Value>)> {
        used.into_iter().map(|used| (used.action, used.usage)).collect()
    }

    #[test]
    fn a_result_that_is_taken_counts_once_unless_more_was_said() {
        let silent = ledger("x.post");
        silent.accept();
        silent.accept();
        assert_eq!(usages(silent.take_all()), [("x.post".to_owned(), None)]);
        silent.accept();
        assert!(silent.take_all().is_empty());
        let loud = ledger("x.post");
        loud.report(json!(1));
        loud.report(json!(2));
        loud.accept();
        let said = [Some(json!(1)), Some(json!(2))].map(|usage| ("x.post".to_owned(), usage));
        assert_eq!(usages(loud.take_all()), said);
        let flow = ledger("flow");
        flow.accept();
        assert!(flow.take_all().is_empty());
    }

    #[test]
    fn a_step_takes_its_own_and_the_end_takes_what_is_left() {
        let flow = ledger("flow");
        let (one, two) = (flow.of_step("one", "a.x"), flow.of_step("two", "b.y"));
        one.report(json!(1));
        two.report(json!(2));
        let own = one.take_own();
        assert_eq!(usages(own.clone()), [("a.x".to_owned(), Some(json!(1)))]);
        one.give_back(own);
        assert_eq!(flow.take_all().len(), 2);
    }

    #[test]
    fn what_is_not_written_is_bounded() {
        let calls = ledger("x.post");
        (0..MAX_UNWRITTEN + 5).for_each(|n| calls.report(json!(n)));
        assert_eq!(calls.take_all().len(), MAX_UNWRITTEN);
    }
}
