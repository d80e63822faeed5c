//! The command line.

mod auth;
mod blueprint;
mod keys;
mod output;
mod rest;
mod work;

pub use auth::{AuthCommand, FileFormat, ImportArgs};
pub use blueprint::{BlueprintCommand, BlueprintTarget, WorkFormat};
pub use keys::{KeyAlgorithm, KeysCommand, KeysTarget};
pub use output::{Output, Paint, hinted};
pub use rest::RestArgs;
pub use work::{JobChoice, JobFilter, JobState, WorkCommand, WorkTarget};

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{ConfigError, Layers, RawConfig, Span, config_file, unknown_environment};

/// The backend of an agent product in one binary: REST over PostgreSQL with row level security,
/// many projects in one process.
#[derive(Debug, Parser)]
#[command(
    name = "plinth",
    version,
    propagate_version = true,
    after_help = "Examples:
  plinth up                               start PostgreSQL, make the five blueprints, serve them
  plinth up --empty --default-project my-app
  plinth project create mine --from path/to/supabase
  plinth status --project echelon -o env > .env
  plinth psql echelon -- -c 'select count(*) from agents'"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Settings for every command.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// Flags that every command understands.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Configuration file [default: plinth.toml, when it is there].
    #[arg(long, global = true, env = "PLINTH_CONFIG", value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Folder of the managed cluster [default: .plinth].
    #[arg(long, global = true, value_name = "PATH")]
    pub data_dir: Option<PathBuf>,
    /// Use this PostgreSQL (administrator's URL) instead of a managed one.
    #[arg(long, global = true, value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// What to log to standard error, such as `debug` or `plinth_server=debug,warn`.
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start PostgreSQL, make sure that the blueprints exist as projects, and serve them.
    Up(UpArgs),
    /// Serve the projects that exist; prints no keys. For production.
    Serve(ServeArgs),
    /// Create, list, show and drop projects.
    #[command(subcommand)]
    Project(ProjectCommand),
    /// Print URLs and keys, in the shape of `supabase status`.
    Status(StatusArgs),
    /// Run a project's SQL migrations (folders in Supabase's layout).
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// What a project's rows do by themselves: check, compare, apply a manifest.
    #[command(subcommand)]
    Blueprint(BlueprintCommand),
    /// Look at a project's jobs, and put right what went wrong.
    #[command(subcommand)]
    Work(WorkCommand),
    /// Open psql on a project's database, as its owner.
    Psql(PsqlArgs),
    /// Sign an access token for a user of a project.
    Token(TokenArgs),
    /// Keys that sign a project's tokens: list, add, rotate, revoke.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Manage a project's users.
    #[command(subcommand)]
    Auth(AuthCommand),
    /// Print the effective configuration, secrets hidden.
    Config(ConfigArgs),
    /// Generate code for clients.
    #[command(subcommand)]
    Gen(GenCommand),
    /// Serve the data API alone, at the root, over any database: a drop-in for PostgREST.
    Rest(Box<RestArgs>),
}

/// Where to serve.
#[derive(Debug, Clone, Default, Args)]
pub struct ListenArgs {
    /// Where to serve HTTP: address:port or a port [default: 127.0.0.1:5400].
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Where clients reach this instance, such as <https://example.org> [default: http://127.0.0.1:PORT].
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Project that answers at the root.
    #[arg(long, value_name = "NAME")]
    pub default_project: Option<String>,
    /// First port that the managed PostgreSQL tries [default: 54322].
    #[arg(long, value_name = "PORT")]
    pub pg_port: Option<u16>,
}

/// Flags of `plinth up`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  plinth up                          the five blueprints as projects
  plinth up --only echelon,domo      only these two
  plinth up --blueprint ./my-system  a project made from a folder of yours
  plinth up --empty                  one bare project, named by --default-project (app)")]
pub struct UpArgs {
    /// Where to serve.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Only these of the built-in blueprints, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "NAMES", conflicts_with = "empty")]
    pub only: Vec<String>,
    /// A blueprint, by name or by its folder; may be repeated.
    #[arg(long, value_name = "NAME|PATH", conflicts_with_all = ["empty", "only"])]
    pub blueprint: Vec<String>,
    /// No blueprints: one bare project.
    #[arg(long)]
    pub empty: bool,
    /// Print one line of JSON when ready instead of the banner.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `plinth serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  plinth serve --listen 0.0.0.0:5400
  plinth serve --database-url postgres://admin:secret@db.internal/postgres --default-project shop")]
pub struct ServeArgs {
    /// Where to serve.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Print one line of JSON when ready.
    #[arg(long)]
    pub json: bool,
}

/// `plinth project …`
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  plinth project create shop --from ./supabase
  plinth project list
  plinth project show shop -o env > .env
  plinth project drop shop")]
pub enum ProjectCommand {
    /// Create a project: a database with its own URL prefix, secret and keys.
    #[command(after_help = "Examples:
  plinth project create shop
  plinth project create shop --blueprint echelon
  plinth project create shop --from ./supabase     migrations/ and seed.sql in Supabase's layout")]
    Create {
        /// Lower-case letters, digits and `-`, 2 to 40 characters.
        name: String,
        /// A blueprint, by name or by its folder.
        #[arg(long, value_name = "NAME|PATH", conflicts_with = "from")]
        blueprint: Option<String>,
        /// A folder with `migrations/` and `seed.sql`.
        #[arg(long, value_name = "PATH")]
        from: Option<PathBuf>,
        /// Leave `seed.sql` out.
        #[arg(long)]
        no_seed: bool,
        /// How to print the result.
        #[arg(short, long, value_enum, default_value_t = Format::Pretty)]
        output: Format,
    },
    /// List the projects.
    List {
        /// How to print them.
        #[arg(short, long, value_enum, default_value_t = Format::Pretty)]
        output: Format,
    },
    /// Show one project: URLs, keys, database URL.
    Show {
        /// The project.
        name: String,
        /// How to print it.
        #[arg(short, long, value_enum, default_value_t = Format::Pretty)]
        output: Format,
    },
    /// Drop a project with its database and everything in it.
    Drop {
        /// The project.
        name: String,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

/// Flags of `plinth status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  plinth status
  plinth status --project echelon -o env > .env
  plinth status -o json | jq -r .projects.echelon.ANON_KEY")]
pub struct StatusArgs {
    /// Only this project.
    #[arg(long, env = "PLINTH_PROJECT", value_name = "NAME")]
    pub project: Option<String>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = Format::Pretty)]
    pub output: Format,
}

/// Which project and which folder a migration is about.
#[derive(Debug, Clone, Args)]
pub struct MigrateTarget {
    /// The project [default: the default project].
    #[arg(long, env = "PLINTH_PROJECT", value_name = "NAME")]
    pub project: Option<String>,
    /// The folder with the migrations: one with `supabase/` or `migrations/` in it
    /// [default: the project's blueprint, else the current folder].
    #[arg(long, value_name = "PATH")]
    pub dir: Option<PathBuf>,
}

/// `plinth migrate …`
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  plinth migrate new add_tasks
  plinth migrate up --project shop --dry-run
  plinth migrate status --project shop --dir ./supabase
  plinth migrate reset --project shop")]
pub enum MigrateCommand {
    /// Make an empty migration file with the current time in its name.
    New {
        /// What it does, such as `add_tasks`.
        name: String,
        /// The folder to make it in: one with `supabase/` or `migrations/` in it.
        #[arg(long, value_name = "PATH", default_value = ".")]
        dir: PathBuf,
    },
    /// Apply the migrations that are not applied yet.
    Up {
        /// Where.
        #[command(flatten)]
        target: MigrateTarget,
        /// Say what would be applied, and apply nothing.
        #[arg(long)]
        dry_run: bool,
        /// Also run the seed files that were not run yet.
        #[arg(long)]
        seed: bool,
        /// Also apply files that are older than the newest applied one.
        #[arg(long)]
        include_all: bool,
    },
    /// List migrations: applied, pending, changed, missing.
    Status {
        /// Where.
        #[command(flatten)]
        target: MigrateTarget,
        /// How to print them.
        #[arg(short, long, value_enum, default_value_t = Format::Pretty)]
        output: Format,
    },
    /// Empty the project's database and apply everything again, seed files included.
    Reset {
        /// Where.
        #[command(flatten)]
        target: MigrateTarget,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

/// Flags of `plinth psql`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  plinth psql
  plinth psql echelon -- -c 'select count(*) from agents'
  plinth psql echelon -- -f fix.sql")]
pub struct PsqlArgs {
    /// The project [default: the default project].
    pub project: Option<String>,
    /// Arguments for psql, after `--`.
    #[arg(last = true)]
    pub args: Vec<String>,
}

/// Flags of `plinth token`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  plinth token --project echelon --email ada@example.com
  plinth token --project echelon --sub a0000000-0000-4000-8000-000000000001 --expires 8h")]
pub struct TokenArgs {
    /// The project [default: the default project].
    #[arg(long, env = "PLINTH_PROJECT", value_name = "NAME")]
    pub project: Option<String>,
    /// The user, by the address in auth.users.
    #[arg(long, conflicts_with = "sub", required_unless_present = "sub")]
    pub email: Option<String>,
    /// The user, by id.
    #[arg(long, value_name = "UUID")]
    pub sub: Option<uuid::Uuid>,
    /// The database role that the token names.
    #[arg(long, default_value = "authenticated")]
    pub role: String,
    /// How long it is valid.
    #[arg(long, default_value = "1h", value_name = "DURATION")]
    pub expires: Span,
}

/// Flags of `plinth config`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  plinth config
  plinth config -o keys | grep -A1 auth.email
  GOTRUE_JWT_EXP=600 plinth config -o json | jq .auth.jwt_expiry

Settings of sign-in, later ones win: [auth] of plinth.toml, [project.NAME.auth], GOTRUE_* variables;
auth_config = \"supabase/config.toml\" in either table lays that file's [auth] below it.")]
pub struct ConfigArgs {
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = ConfigFormat::Toml)]
    pub output: ConfigFormat,
}

/// `plinth gen …`
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:
  plinth gen types --project echelon > database.types.ts")]
pub enum GenCommand {
    /// Print the types of a project's schemas.
    #[command(after_help = "Example:
  plinth gen types --lang typescript --project echelon > database.types.ts")]
    Types {
        /// The language.
        #[arg(long, value_enum, default_value_t = Language::Typescript)]
        lang: Language,
        /// The project [default: the default project].
        #[arg(long, env = "PLINTH_PROJECT", value_name = "NAME")]
        project: Option<String>,
        /// The schemas, separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "public")]
        schema: Vec<String>,
    },
}

/// Ways to print a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Pretty,
    /// For scripts.
    Json,
    /// KEY="value" lines.
    Env,
}

/// Ways to print the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConfigFormat {
    /// As `plinth.toml` would say it.
    Toml,
    /// For scripts.
    Json,
    /// Every key with its meaning and its environment variable.
    Keys,
}

/// Languages that types are generated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// The `Database` type of supabase-js.
    Typescript,
}

/// The variables of the process that are text.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
}

impl GlobalArgs {
    /// The effective configuration: defaults < file < environment < flags.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the layer and the key.
    pub fn raw_config(&self, listen: &ListenArgs) -> Result<RawConfig, ConfigError> {
        let mut layers = Layers::default();
        if let Some(path) = config_file(self.config.as_deref()) {
            layers = layers.file(&path)?;
        }
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        layers
            .environment(|name| std::env::var(name).ok())?
            .variables(variables().collect())
            .flag("data_dir", self.data_dir.as_ref().map(text))
            .flag("database_url", self.database_url.clone())
            .flag("log.filter", self.log.clone())
            .flag("listen", listen.listen.clone())
            .flag("http.public_url", listen.public_url.clone())
            .flag("default_project", listen.default_project.clone())
            .flag("postgres.port", listen.pg_port.map(i64::from))
            .finish()
    }

    /// Variables of the environment that look like settings and are none, as sentences.
    pub fn warnings(&self) -> Vec<String> {
        unknown_environment(variables().map(|(name, _)| name))
            .into_iter()
            .map(|(name, near)| match near {
                Some(near) => format!("{name} is no setting of Plinth; did you mean {near}?"),
                None => {
                    format!("{name} is no setting of Plinth; `plinth config -o keys` lists them")
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn parse(line: &str) -> Result<Cli, String> {
        Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())
    }

    #[test]
    fn lists_are_separated_by_commas() {
        let Command::Up(up) = parse("plinth up --only a,b --listen 1234").unwrap().command else {
            panic!("not up")
        };
        assert_eq!(up.only, ["a", "b"]);
        assert_eq!(up.listen.listen.as_deref(), Some("1234"));
    }

    #[test]
    fn global_flags_stand_before_and_after_the_command() {
        for line in ["plinth --data-dir x status", "plinth status --data-dir x"] {
            assert_eq!(parse(line).unwrap().global.data_dir, Some(PathBuf::from("x")), "{line}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "plinth up --empty --only a",
            "plinth up --only a --blueprint b",
            "plinth project create a --blueprint b --from c",
            "plinth token --email a --sub a0000000-0000-4000-8000-000000000001",
            "plinth token",
            "plinth token --sub nonsense",
            "plinth token --email a --expires 5",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
