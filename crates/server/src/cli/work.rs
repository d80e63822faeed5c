//! `plinth work …`

use clap::{Args, Subcommand, ValueEnum};

use super::WorkFormat;
use crate::config::Span;

/// Whose jobs, and how to print them.
#[derive(Debug, Clone, Args)]
pub struct WorkTarget {
    /// The project [default: the default project].
    #[arg(long, env = "PLINTH_PROJECT", value_name = "NAME")]
    pub project: Option<String>,
    /// How to print the result.
    #[arg(short, long, value_enum, default_value_t = WorkFormat::Pretty)]
    pub output: WorkFormat,
}

/// Which jobs.
#[derive(Debug, Clone, Default, Args)]
pub struct JobFilter {
    /// Only jobs of this binding, hook or schedule.
    #[arg(long, value_name = "NAME")]
    pub binding: Option<String>,
    /// Only jobs about the row with this key.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Only jobs made in the last time, such as 1h or 7d.
    #[arg(long, value_name = "DURATION")]
    pub since: Option<Span>,
    /// At most so many.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: Option<u32>,
}

/// Which jobs to change: some by their numbers, or those that a filter lets through.
#[derive(Debug, Clone, Default, Args)]
pub struct JobChoice {
    /// Jobs, by their numbers.
    #[arg(value_name = "JOB")]
    pub jobs: Vec<i64>,
    /// Which jobs.
    #[command(flatten)]
    pub filter: JobFilter,
    /// All of them, without a filter.
    #[arg(long, conflicts_with = "jobs")]
    pub all: bool,
}

/// What a job can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum JobState {
    /// It can be taken.
    Queued,
    /// It waits: for another attempt, a time, an event or another job.
    Waiting,
    /// Somebody works on it.
    Running,
    /// It failed for good.
    Dead,
    /// It succeeded.
    Done,
    /// It was cancelled.
    Cancelled,
    /// It was dead and was discarded.
    Discarded,
}

impl JobState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Dead => "dead",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Discarded => "discarded",
        }
    }
}

/// `plinth work …`
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  plinth work list --project shop                   what waits, runs or is dead, and the bindings
  plinth work list --state done,dead --since 1h --binding post
  plinth work show 4711
  plinth work dead --binding post -o json
  plinth work retry --binding post --since 1d       every dead job of the last day
  plinth work pause post && plinth work resume post")]
pub enum WorkCommand {
    /// List bindings and jobs.
    #[command(after_help = "Examples:
  plinth work list
  plinth work list --state done --binding post --limit 20
  plinth work list --key 9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d -o json")]
    List {
        /// Only jobs in these states [default: queued,waiting,running,dead].
        #[arg(long, value_enum, value_delimiter = ',', value_name = "STATES")]
        state: Vec<JobState>,
        /// Which jobs.
        #[command(flatten)]
        filter: JobFilter,
        /// Whose.
        #[command(flatten)]
        target: WorkTarget,
    },
    /// Show all that is known of a job: input, output, error, steps.
    #[command(after_help = "Example:
  plinth work show 4711 -o json | jq .steps")]
    Show {
        /// The job's number.
        job: i64,
        /// Whose.
        #[command(flatten)]
        target: WorkTarget,
    },
    /// List dead jobs with their errors.
    #[command(after_help = "Examples:
  plinth work dead --binding post
  plinth work dead --since 1d -o json | jq -r '.jobs[].error'")]
    Dead {
        /// Which jobs.
        #[command(flatten)]
        filter: JobFilter,
        /// Whose.
        #[command(flatten)]
        target: WorkTarget,
    },
    /// Queue dead jobs again, their failures forgotten; a waiting job that is named runs at once.
    #[command(after_help = "Examples:
  plinth work retry 4711 4712
  plinth work retry --binding post --since 1h
  plinth work retry --all")]
    Retry {
        /// Which jobs.
        #[command(flatten)]
        choice: JobChoice,
        /// Whose.
        #[command(flatten)]
        target: WorkTarget,
    },
    /// End jobs that are queued, waiting or running.
    #[command(after_help = "Examples:
  plinth work cancel 4711
  plinth work cancel --binding post --state queued

A job that runs is told, and stops within seconds; what it has done by then is done.")]
    Cancel {
        /// Which jobs.
        #[command(flatten)]
        choice: JobChoice,
        /// Only jobs in these states [default: queued,waiting,running].
        #[arg(long, value_enum, value_delimiter = ',', value_name = "STATES")]
        state: Vec<JobState>,
        /// Whose.
        #[command(flatten)]
        target: WorkTarget,
    },
    /// Discard dead jobs: they stay in the history.
    #[command(after_help = "Examples:
  plinth work discard 4711
  plinth work discard --binding post --all")]
    Discard {
        /// Which jobs.
        #[command(flatten)]
        choice: JobChoice,
        /// Whose.
        #[command(flatten)]
        target: WorkTarget,
    },
    /// List deliveries to webhooks.
    #[command(after_help = "Examples:
  plinth work events --binding github
  plinth work events --limit 5 -o json")]
    Events {
        /// Only deliveries to this hook.
        #[arg(long, value_name = "NAME")]
        binding: Option<String>,
        /// At most so many.
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: Option<u32>,
        /// Whose.
        #[command(flatten)]
        target: WorkTarget,
    },
    /// Make another job of a delivery that is kept.
    #[command(after_help = "Example:
  plinth work replay 17")]
    Replay {
        /// The delivery's number.
        event: i64,
        /// Whose.
        #[command(flatten)]
        target: WorkTarget,
    },
    /// Let the jobs of a binding wait until it is resumed. Those that run end.
    #[command(after_help = "Example:
  plinth work pause post --project shop")]
    Pause {
        /// The binding, hook or schedule.
        binding: String,
        /// Whose.
        #[command(flatten)]
        target: WorkTarget,
    },
    /// Let the jobs of a binding run again.
    #[command(after_help = "Example:
  plinth work resume post --project shop")]
    Resume {
        /// The binding, hook or schedule.
        binding: String,
        /// Whose.
        #[command(flatten)]
        target: WorkTarget,
    },
}

impl WorkCommand {
    /// Whose jobs it is about, and how to print them.
    pub fn target(&self) -> &WorkTarget {
        match self {
            Self::List { target, .. }
            | Self::Show { target, .. }
            | Self::Dead { target, .. }
            | Self::Retry { target, .. }
            | Self::Cancel { target, .. }
            | Self::Discard { target, .. }
            | Self::Events { target, .. }
            | Self::Replay { target, .. }
            | Self::Pause { target, .. }
            | Self::Resume { target, .. } => target,
        }
    }
}
