//! `plinth blueprint …`

use clap::{Args, Subcommand, ValueEnum};

/// Which manifest, and for which project.
#[derive(Debug, Clone, Args)]
pub struct BlueprintTarget {
    /// A folder with `blueprint.toml`, that file, or the name of a blueprint [default: the project's blueprint, else the
    /// current folder].
    #[arg(value_name = "FOLDER|NAME")]
    pub blueprint: Option<String>,
    /// The project [default: the default project].
    #[arg(long, env = "PLINTH_PROJECT", value_name = "NAME")]
    pub project: Option<String>,
    /// How to print the result.
    #[arg(short, long, value_enum, default_value_t = WorkFormat::Pretty)]
    pub output: WorkFormat,
}

/// Ways to print what has no place in an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WorkFormat {
    /// For people.
    Pretty,
    /// For scripts.
    Json,
}

/// `plinth blueprint …`
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  plinth blueprint check                          ./blueprint.toml against the default project
  plinth blueprint diff ./my-system --project shop
  plinth blueprint apply ./my-system --project shop
  plinth blueprint apply echelon --project echelon -o json

A manifest declares what the rows of a project do by themselves: docs/work-manifest.md has every key, and
docs/blueprint.schema.json lets editors complete them. `plinth up` applies the manifests of its blueprints by itself.")]
pub enum BlueprintCommand {
    /// Make a project do what a manifest says: all of it, or nothing.
    #[command(after_help = "Examples:
  plinth blueprint apply --project shop
  plinth blueprint apply ./my-system --project shop -o json

Jobs that wait are kept, whatever changes. Those of a binding that is not in the manifest any more stay and do not run: put it
back and they do, or end them with `plinth work cancel --binding NAME`.")]
    Apply {
        /// Which manifest, and for which project.
        #[command(flatten)]
        target: BlueprintTarget,
    },
    /// Say what is wrong with a manifest, with file, line and column; changes nothing.
    #[command(after_help = "Examples:
  plinth blueprint check --project shop
  plinth blueprint check ./my-system -o json | jq -r '.problems[].message'

Every SQL text is prepared in the project's database as the role that it will run as; nothing is executed.")]
    Check {
        /// Which manifest, and for which project.
        #[command(flatten)]
        target: BlueprintTarget,
    },
    /// Say what `apply` would change.
    #[command(after_help = "Examples:
  plinth blueprint diff --project shop
  plinth blueprint diff ./my-system --project shop -o json")]
    Diff {
        /// Which manifest, and for which project.
        #[command(flatten)]
        target: BlueprintTarget,
    },
}

impl BlueprintCommand {
    /// Which manifest, and for which project.
    pub fn target(&self) -> &BlueprintTarget {
        match self {
            Self::Apply { target } | Self::Check { target } | Self::Diff { target } => target,
        }
    }
}
