//! Which jobs a command changes, and why it does not change some.

use plinth_work::inspect::{self, Filter, STATES, UNFINISHED};

use super::{At, filtered};
use crate::cli::{JobChoice, JobFilter, JobState, hinted};

/// The jobs to change. Without any word on which, none are: that was most likely a slip.
pub(super) fn chosen(choice: &JobChoice, states: Vec<String>) -> anyhow::Result<Filter> {
    let JobFilter { binding, key, since, .. } = &choice.filter;
    let says_which =
        !choice.jobs.is_empty() || binding.is_some() || key.is_some() || since.is_some();
    if !says_which && !choice.all {
        return Err(hinted(
            "it is not said which jobs",
            "name them by number, or filter with --binding, --key or --since; --all means all",
        ));
    }
    let mut filter = filtered(&choice.filter, &choice.jobs, states);
    if choice.filter.limit.is_none() {
        filter.limit = i64::MAX;
    }
    Ok(filter)
}

/// That jobs in these states can be cancelled.
pub(super) fn check_cancelled(states: &[JobState]) -> anyhow::Result<()> {
    let ended = states.iter().find(|state| !UNFINISHED[..3].contains(&state.name()));
    let Some(state) = ended else { return Ok(()) };
    let hint = match state {
        JobState::Dead => "`plinth work discard` puts dead jobs away",
        _ => "jobs that are queued, waiting or running can be",
    };
    Err(hinted(format!("jobs that are {} cannot be cancelled", state.name()), hint))
}

/// An error where there are reasons.
pub(super) fn refuse(unfit: Vec<String>) -> anyhow::Result<()> {
    match unfit.is_empty() {
        true => Ok(()),
        false => Err(anyhow::anyhow!(unfit.join("\n"))),
    }
}

impl At<'_> {
    /// Why jobs that are named are not changed, one line each. The binding of the filter must be there.
    pub(super) async fn unfit(
        &self,
        filter: &Filter,
        fitting: &[&str],
    ) -> anyhow::Result<Vec<String>> {
        self.check_binding(filter.binding.as_deref()).await?;
        if filter.ids.is_empty() {
            return Ok(Vec::new());
        }
        let states = STATES.map(str::to_owned).to_vec();
        let all = Filter { states, limit: i64::MAX, ..filter.clone() };
        let found = inspect::job_list(self.client, &all).await?;
        let is_filtered =
            filter.binding.is_some() || filter.key.is_some() || filter.since_seconds.is_some();
        let reason = |id: &i64| {
            let job = found.iter().find(|job| job["id"] == *id);
            match job.and_then(|job| job["state"].as_str()) {
                None if is_filtered => Some(format!("job {id}: there is no such job of those")),
                None => Some(format!("job {id}: there is no such job")),
                Some(state) if fitting.contains(&state) => None,
                Some(state) => Some(format!("job {id} is {state}, not {}", fitting.join(" or "))),
            }
        };
        Ok(filter.ids.iter().filter_map(reason).collect())
    }

    /// That there is a binding, hook or schedule of this name, or was one.
    pub(super) async fn check_binding(&self, name: Option<&str>) -> anyhow::Result<()> {
        let Some(name) = name else { return Ok(()) };
        let known = inspect::binding_names(self.client).await?;
        if known.iter().any(|known| known == name) {
            return Ok(());
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        Err(self.no_binding(name, &known))
    }

    pub(super) fn no_binding(&self, name: &str, known: &[&str]) -> anyhow::Error {
        let there = match known {
            [] => "it has none: `plinth blueprint apply` makes some".to_owned(),
            known => format!("there are: {}", known.join(", ")),
        };
        hinted(format!("project `{}` has no binding `{name}`", self.project.name), there)
    }
}
