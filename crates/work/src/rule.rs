//! A binding as the engine works with it.

mod of_spec;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use plinth_wire::{Format, Statement};
use serde_json::Value;

use crate::manifest::{Name, Step, variables};
use crate::meter::{Meter, Used};
use crate::store::Claimed;
use crate::value::{self, text};

/// Priorities that there are; higher ones first.
pub const PRIORITIES: u8 = 10;

/// Most jobs of a hook or a schedule that one instance works on at once.
pub const MOST: usize = 32;

/// What to do with the jobs of one binding.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its number in `plinth.binding`.
    pub id: i32,
    /// Its name.
    pub name: String,
    /// The action's name.
    pub action: String,
    /// Settings of the action.
    pub with: Value,
    /// The type of the row's key, as PostgreSQL writes it: that of `$row` in SQL of settings and steps.
    pub key_type: Arc<str>,
    /// Steps of the action `flow`.
    pub steps: Vec<Step>,
    /// The role whose rights its SQL has; `None`: the owner role.
    pub role: Option<String>,
    /// Makes the action's input, one value.
    pub input: Option<Script>,
    /// Paths of sealed values in the input, which the action gets opened.
    pub open: Vec<String>,
    /// Run before the action.
    pub running: Vec<Script>,
    /// Run with the end of a job that succeeded.
    pub done: Vec<Script>,
    /// Run with the end of a job that failed for good.
    pub failed: Vec<Script>,
    /// Run with the journal's entry of each step.
    pub each_step: Vec<Script>,
    /// Records of what its calls use.
    pub meters: Arc<[Meter]>,
    /// What happens after a failure.
    pub retry: Retry,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Most beginnings in a time.
    pub rate: Option<Rate>,
    /// Most jobs of a key at once, across instances.
    pub seats: Option<u32>,
    /// Whether turns are taken across a key.
    pub fair: bool,
    /// Priorities that its jobs may have, the highest first.
    pub priorities: Vec<u8>,
    /// Most jobs that one instance works on at once.
    pub most: usize,
}

impl Rule {
    /// Whether its jobs are taken one taker at a time, because they must be counted.
    pub fn is_limited(&self) -> bool {
        self.rate.is_some() || self.seats.is_some() || self.fair
    }

    /// The environment variables that its settings name.
    pub fn variables(&self) -> BTreeSet<&str> {
        let of_steps = self.steps.iter().flat_map(Step::variables);
        variables(&self.with).into_iter().chain(of_steps).collect()
    }
}

/// Most `max` beginnings in any `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub max: u32,
    /// In which time.
    pub per: Duration,
}

/// What happens after a failure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// Attempts altogether, from 1.
    pub attempts: u32,
    /// Wait after the first failure.
    pub first: Duration,
    /// What each wait is multiplied by for the next.
    pub factor: f64,
    /// Longest wait.
    pub max: Duration,
    /// The part of each wait that is left to chance, 0 to 1.
    pub jitter: f64,
}

impl Retry {
    /// How long to wait after so many failures; `None` when that was the last attempt. `chance` is between 0 and 1.
    pub fn delay(&self, failures: u32, chance: f64) -> Option<Duration> {
        if failures >= self.attempts {
            return None;
        }
        let steps = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let whole =
            (self.first.as_secs_f64() * self.factor.powi(steps)).min(self.max.as_secs_f64());
        let left_to_chance = whole * self.jitter;
        Some(Duration::from_secs_f64(whole - left_to_chance + left_to_chance * chance))
    }
}

/// One statement of a binding with named parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    text: Arc<str>,
    names: Arc<[Name]>,
}

/// The values that a [`Script`] may name.
#[derive(Debug, Clone, Default)]
pub struct Values {
    /// The row's key.
    pub row: Option<String>,
    /// What the action got.
    pub input: Option<Value>,
    /// What the action gave.
    pub out: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
    /// Which attempt it is.
    pub attempt: u32,
    /// The job.
    pub job: i64,
    /// The binding.
    pub binding: String,
    /// The action.
    pub action: String,
    /// The step that was journaled last.
    pub step: Option<Value>,
    /// All that were.
    pub steps: Option<Value>,
    /// What came to a hook, or when a schedule was due.
    pub given: Option<Value>,
    /// What a call used.
    pub usage: Option<Value>,
    /// What calls used that is written with this.
    pub(crate) used: Vec<Used>,
}

impl Script {
    /// Text with `$1 …`, and what these stand for.
    pub fn new(text: impl Into<Arc<str>>, names: impl Into<Arc<[Name]>>) -> Self {
        Self { text: text.into(), names: names.into() }
    }

    /// The script of an expression as a query.
    pub(crate) fn into_test(self) -> Self {
        // The line break ends a comment.
        Self { text: format!("select ({}\n)", self.text).into(), names: self.names }
    }

    /// What its parameters stand for, in their order.
    pub(crate) fn names(&self) -> &[Name] {
        &self.names
    }

    /// The statement with its values.
    pub(crate) fn statement(&self, values: &Values) -> Statement {
        let params = self.names.iter().map(|name| values.get(*name)).collect();
        Statement { sql: Arc::clone(&self.text), params, format: Format::Text }
    }
}

impl Values {
    /// The same for the record of what one call used.
    pub(crate) fn of_used(&self, used: &Used) -> Self {
        let (action, usage) = (used.action.clone(), used.usage.clone());
        Self { action, usage, used: Vec::new(), ..self.clone() }
    }

    /// What is known of a job before it runs.
    pub(crate) fn of(job: &Claimed, rule: &Rule) -> Self {
        let input: Option<Value> =
            job.input.as_ref().and_then(|input| serde_json::from_slice(input).ok());
        Self {
            row: job.key.clone(),
            attempt: job.failures + 1,
            job: job.id,
            binding: rule.name.clone(),
            action: rule.action.clone(),
            given: input.clone(),
            input,
            ..Self::default()
        }
    }

    fn get(&self, name: Name) -> value::Value {
        let json = |value: &Option<Value>| value.as_ref().and_then(text);
        let given = |field: &str| {
            let value = self.given.as_ref()?.get(field)?;
            text(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let given_json = |field: &str| text(self.given.as_ref()?.get(field)?);
        match name {
            Name::Row => self.row.as_ref().and_then(text),
            Name::Input => json(&self.input),
            Name::Out => json(&self.out),
            Name::Error => self.error.as_ref().and_then(text),
            Name::Attempt => text(self.attempt),
            Name::Job => text(self.job),
            Name::Step => json(&self.step),
            Name::Steps => json(&self.steps),
            Name::Body => given_json("body"),
            Name::Headers => given_json("headers"),
            Name::Event => given("event"),
            Name::Tick => given("tick"),
            Name::Usage => json(&self.usage),
            Name::Action => text(&self.action),
            Name::Binding => text(&self.binding),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry {
        attempts: 4,
        first: Duration::from_secs(2),
        factor: 3.0,
        max: Duration::from_secs(10),
        jitter: 0.5,
    };

    #[test]
    fn waits_grow_up_to_their_limit_and_end_with_the_attempts() {
        let delay = |failures| RETRY.delay(failures, 1.0).map(|delay| delay.as_secs());
        assert_eq!([delay(1), delay(2), delay(3), delay(4)], [Some(2), Some(6), Some(10), None]);
        assert_eq!(RETRY.delay(1, 0.0), Some(Duration::from_secs(1)));
    }

    #[test]
    fn names_become_values_in_their_order() {
        let script = Script::new(
            "update t set a = $1, b = $2 where id = $3",
            [Name::Out, Name::Error, Name::Row],
        );
        let values = Values {
            row: Some("7".to_owned()),
            out: Some(serde_json::json!({"a": [1]})),
            ..Values::default()
        };
        let statement = script.statement(&values);
        let params: Vec<_> = statement.params.iter().map(Option::as_deref).collect();
        assert_eq!(params, [Some(&br#"{"a":[1]}"#[..]), None, Some(&b"7"[..])]);
    }
}
