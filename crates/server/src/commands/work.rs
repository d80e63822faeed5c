//! `plinth work list | show | dead | retry | cancel | discard | events | replay | pause | resume`

use std::sync::Arc;

use plinth_postgres::{Connection, Project};
use plinth_wire::{Budget, Pool, PoolOptions};
use plinth_work::Store;
use plinth_work::hook::{self, EventFilter, StoredEvent};
use plinth_work::inspect::{self, Filter, UNFINISHED};
use serde_json::{Value, json};

mod choice;

use self::choice::chosen;
use super::admin::{Admin, Need};
use crate::cli::{GlobalArgs, JobFilter, JobState, Output, Paint, WorkCommand, WorkFormat, hinted};

/// How many jobs are listed when nobody says.
const LISTED: u32 = 50;

/// Longest error in a list, in characters.
const SHORT: usize = 100;

/// Runs one of the commands.
pub(super) async fn run(
    global: &GlobalArgs,
    command: &WorkCommand,
    output: Output,
) -> anyhow::Result<()> {
    Admin::with(global, Need::Started, output, async |admin, config| {
        let project = admin.project(config, command.target().project.as_deref()).await?;
        let connection = admin.connect_as_owner(&project).await?;
        let at = At { admin, project: &project, client: &connection, output };
        let done = at.execute(command).await;
        connection.close().await;
        done
    })
    .await
}

/// A command's project.
struct At<'a> {
    admin: &'a Admin,
    project: &'a Project,
    client: &'a Connection,
    output: Output,
}

impl At<'_> {
    async fn execute(&self, command: &WorkCommand) -> anyhow::Result<()> {
        let format = command.target().output;
        match command {
            WorkCommand::List { state, filter, .. } => {
                let states = names(state, &UNFINISHED);
                self.check_binding(filter.binding.as_deref()).await?;
                let mut bindings = inspect::binding_list(self.client).await?;
                let is_meant = |name: &Value| filter.binding.as_ref().is_none_or(|one| name == one);
                bindings.retain(|binding| is_meant(&binding["name"]));
                let jobs = inspect::job_list(self.client, &filtered(filter, &[], states)).await?;
                self.list(Some(&bindings), &jobs, format)
            }
            WorkCommand::Dead { filter, .. } => {
                let states = vec!["dead".to_owned()];
                self.check_binding(filter.binding.as_deref()).await?;
                let jobs = inspect::job_list(self.client, &filtered(filter, &[], states)).await?;
                self.list(None, &jobs, format)
            }
            WorkCommand::Show { job, .. } => {
                let found = inspect::job_show(self.client, *job).await?;
                let found = found.ok_or_else(|| self.no_job(*job))?;
                self.show(&found, format)
            }
            WorkCommand::Retry { choice, .. } => {
                let filter = chosen(choice, Vec::new())?;
                let unfit = self.unfit(&filter, &["dead", "waiting"]).await?;
                let count = inspect::job_retry(self.client, &filter).await?;
                self.changed("retried", count, format).await?;
                choice::refuse(unfit)
            }
            WorkCommand::Discard { choice, .. } => {
                let filter = chosen(choice, Vec::new())?;
                let unfit = self.unfit(&filter, &["dead"]).await?;
                let count = inspect::job_discard(self.client, &filter).await?;
                self.changed("discarded", count, format).await?;
                choice::refuse(unfit)
            }
            WorkCommand::Cancel { choice, state, .. } => {
                choice::check_cancelled(state)?;
                let states = names(state, &UNFINISHED[..3]);
                let fitting: Vec<&str> = states.iter().map(String::as_str).collect();
                let filter = chosen(choice, states.clone())?;
                let unfit = self.unfit(&filter, &fitting).await?;
                let ended = inspect::job_cancel(self.client, &filter).await?;
                if format == WorkFormat::Pretty && ended.told > 0 {
                    self.output.line(format!("told {} to stop", jobs(ended.told)));
                }
                match format {
                    WorkFormat::Json => {
                        self.output.line(json!({"cancelled": ended.ended, "told": ended.told}));
                    }
                    WorkFormat::Pretty => self.changed("cancelled", ended.ended, format).await?,
                }
                choice::refuse(unfit)
            }
            WorkCommand::Events { binding, limit, .. } => {
                let most = limit.unwrap_or(LISTED);
                self.check_binding(binding.as_deref()).await?;
                let filter = EventFilter { hook: binding.clone(), event: None, before: None, most };
                self.events(&hook::events(&self.store(), &filter).await?, format)
            }
            WorkCommand::Replay { event, .. } => {
                let job = hook::replay(&self.store(), *event).await?;
                let job = job.ok_or_else(|| {
                    hinted(
                        format!(
                            "project `{}` has no delivery {event}, or its hook is gone",
                            self.project.name
                        ),
                        "`plinth work events` lists those that are kept",
                    )
                })?;
                self.tell().await?;
                match format {
                    WorkFormat::Json => self.output.line(json!({"event": event, "job": job})),
                    WorkFormat::Pretty => {
                        self.output.line(format!("delivery {event} is job {job}"))
                    }
                }
                Ok(())
            }
            WorkCommand::Pause { binding, .. } => self.pause(binding, true, format).await,
            WorkCommand::Resume { binding, .. } => self.pause(binding, false, format).await,
        }
    }

    /// The project's database as engines see it.
    fn store(&self) -> Store {
        let project = self.project;
        let endpoint = self.admin.cluster.endpoint();
        let connect = endpoint.wire(&project.owner_login, &project.database, "plinth work");
        let pool = Pool::new(Store::session(connect), Budget::new(1), PoolOptions::default());
        Store::new(Arc::new(pool), project.owner_role.as_str())
    }

    fn events(&self, events: &[StoredEvent], format: WorkFormat) -> anyhow::Result<()> {
        if format == WorkFormat::Json {
            self.output.line(serde_json::to_string_pretty(&json!({"events": events}))?);
            return Ok(());
        }
        for event in events {
            let StoredEvent { id, hook, event, received_at, job, body_bytes } = event;
            let about = self.output.paint.dim(format!("{body_bytes} bytes  job {job}  {event}"));
            self.output.line(format!("{id:>8}  {received_at}  {hook:<24} {about}"));
        }
        if events.is_empty() {
            self.output.line("there are no such deliveries");
        }
        Ok(())
    }

    async fn pause(&self, binding: &str, paused: bool, format: WorkFormat) -> anyhow::Result<()> {
        if !inspect::binding_pause(self.client, binding, paused).await? {
            let known = inspect::binding_list(self.client).await?;
            let known: Vec<&str> = known.iter().filter_map(|one| one["name"].as_str()).collect();
            return Err(self.no_binding(binding, &known));
        }
        self.tell().await?;
        let state = if paused { "paused" } else { "active" };
        match format {
            WorkFormat::Json => self.output.line(json!({"binding": binding, "state": state})),
            WorkFormat::Pretty => self.output.line(format!("{binding} is {state}")),
        }
        Ok(())
    }

    async fn changed(&self, what: &str, count: i64, format: WorkFormat) -> anyhow::Result<()> {
        if count > 0 {
            self.tell().await?;
        }
        match format {
            WorkFormat::Json => self.output.line(json!({what: count})),
            WorkFormat::Pretty => self.output.line(format!("{what} {}", jobs(count))),
        }
        Ok(())
    }

    /// Has every instance look at the project now rather than later.
    async fn tell(&self) -> anyhow::Result<()> {
        let project = self.project;
        Ok(self.admin.registry.set_work(&project.name, None, project.has_work).await?)
    }

    fn no_job(&self, job: i64) -> anyhow::Error {
        hinted(
            format!("project `{}` has no job {job}", self.project.name),
            "finished jobs are kept for 7 days; `plinth work list` shows those that are not finished",
        )
    }

    fn list(
        &self,
        bindings: Option<&[Value]>,
        jobs: &[Value],
        format: WorkFormat,
    ) -> anyhow::Result<()> {
        if format == WorkFormat::Json {
            let all = match bindings {
                Some(bindings) => json!({"bindings": bindings, "jobs": jobs}),
                None => json!({"jobs": jobs}),
            };
            self.output.line(serde_json::to_string_pretty(&all)?);
            return Ok(());
        }
        let paint = self.output.paint;
        for binding in bindings.unwrap_or_default() {
            self.output.line(binding_line(binding, paint));
        }
        if bindings.is_some_and(|bindings| !bindings.is_empty()) && !jobs.is_empty() {
            self.output.line("");
        }
        jobs.iter().for_each(|job| self.output.line(job_line(job, paint)));
        if jobs.is_empty() && bindings.is_none_or(<[Value]>::is_empty) {
            self.output.line("there are no such jobs");
        }
        Ok(())
    }

    fn show(&self, job: &Value, format: WorkFormat) -> anyhow::Result<()> {
        if format == WorkFormat::Json {
            self.output.line(serde_json::to_string_pretty(job)?);
            return Ok(());
        }
        let paint = self.output.paint;
        self.output.line(job_line(job, paint));
        for (name, value) in job.as_object().into_iter().flatten() {
            let known = ["id", "binding", "state", "key", "error", "steps"];
            if known.contains(&name.as_str()) || value.is_null() || *value == json!(false) {
                continue;
            }
            self.output.line(format!("  {} {}", paint.dim(format!("{name:<13}")), shown(value)));
        }
        if let Some(error) = job["error"].as_str() {
            self.output.line(format!(
                "  {} {}",
                paint.dim(format!("{:<13}", "error")),
                paint.red(error)
            ));
        }
        for step in job["steps"].as_array().into_iter().flatten() {
            let what = step.get("error").or_else(|| step.get("out")).map(shown).unwrap_or_default();
            let state = step["state"].as_str().unwrap_or("done");
            self.output.line(format!(
                "  {} {} {state} {what}",
                paint.dim("step"),
                shown(&step["name"])
            ));
        }
        Ok(())
    }
}

fn names(states: &[JobState], else_these: &[&str]) -> Vec<String> {
    match states {
        [] => else_these.iter().map(|name| (*name).to_owned()).collect(),
        states => states.iter().map(|state| state.name().to_owned()).collect(),
    }
}

fn filtered(filter: &JobFilter, ids: &[i64], states: Vec<String>) -> Filter {
    Filter {
        ids: ids.to_vec(),
        binding: filter.binding.clone(),
        states,
        key: filter.key.clone(),
        since_seconds: filter.since.map(|since| since.duration().as_secs_f64()),
        limit: filter.limit.unwrap_or(LISTED).into(),
    }
}

fn jobs(count: i64) -> String {
    if count == 1 { "1 job".to_owned() } else { format!("{count} jobs") }
}

fn binding_line(binding: &Value, paint: Paint) -> String {
    let text = |name: &str| binding[name].as_str().unwrap_or("-").to_owned();
    let state = match text("state").as_str() {
        "active" => paint.green("active "),
        "paused" => paint.yellow("paused "),
        other => paint.red(format!("{other:<7}")),
    };
    let counts = ["queued", "waiting", "running", "dead"].map(|name| {
        let count = binding[name].as_i64().unwrap_or_default();
        let said = format!("{count} {name}");
        if count == 0 { paint.dim(said) } else { said }
    });
    let name = paint.bold(format!("{:<24}", text("name")));
    format!("{state} {name} {:<8} {:<14} {}", text("kind"), text("action"), counts.join("  "))
}

fn job_line(job: &Value, paint: Paint) -> String {
    let text = |name: &str| job[name].as_str().unwrap_or("-").to_owned();
    let state = format!("{:<9}", text("state"));
    let state = match text("state").as_str() {
        "dead" => paint.red(state),
        "waiting" => paint.yellow(state),
        "done" => paint.green(state),
        "cancelled" | "discarded" => paint.dim(state),
        _ => state,
    };
    let mut line = format!(
        "{:>8}  {state} {:<24} {}",
        job["id"].as_i64().unwrap_or_default(),
        text("binding"),
        text("key"),
    );
    let failures = job["failures"].as_i64().unwrap_or_default();
    if failures > 0 {
        line.push_str(&format!("  {}", paint.yellow(format!("failed {failures} times"))));
    }
    if let Some(error) = job["error"].as_str().filter(|_| failures > 0) {
        let first = error.lines().next().unwrap_or_default();
        let short: String = first.chars().take(SHORT).collect();
        line.push_str(&format!("  {}", paint.dim(short)));
    }
    line
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
