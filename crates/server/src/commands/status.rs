//! `plinth status` and `plinth project show`: URLs and keys, in the shape of `supabase status`.

use std::net::SocketAddr;

use anyhow::Context;
use plinth_postgres::Project;
use plinth_work::action::signing_secret;
use serde_json::{Map, Value, json};

use super::admin::{Admin, Need, oldest};
use crate::cli::{Format, GlobalArgs, Output, StatusArgs};
use crate::config::{Config, local_origin};

/// Prints the status of all projects or of one.
pub(super) async fn run(
    global: &GlobalArgs,
    args: &StatusArgs,
    output: Output,
) -> anyhow::Result<()> {
    Admin::with(global, Need::Running, output, async |admin, config| {
        print(admin, config, args.project.as_deref(), args.output, output).await
    })
    .await
}

/// Prints the facts of `name`, or of every project.
pub(super) async fn print(
    admin: &Admin,
    config: &Config,
    name: Option<&str>,
    format: Format,
    output: Output,
) -> anyhow::Result<()> {
    let http = admin.http.unwrap_or(config.listen);
    // Without a name, the variables of a shell or of an .env file can only be those of one project.
    if name.is_some() || format == Format::Env {
        let project = admin.project(config, name).await?;
        let facts = facts(admin, &project, http);
        match format {
            Format::Json => output.line(serde_json::to_string_pretty(&facts)?),
            Format::Env => output.text(&env_lines(&facts)),
            Format::Pretty => output.text(&pretty(output, &project.name, &facts)),
        }
        return Ok(());
    }
    let projects = admin.registry.list().await?.projects;
    let default = default_name(config, &projects);
    if format == Format::Json {
        let all = overview(admin, default.as_deref(), &projects, http);
        output.line(serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    if projects.is_empty() {
        output.line("There is no project yet. Create one with `plinth project create NAME`.");
    }
    for project in &projects {
        output.text(&pretty(output, &project.name, &facts(admin, project, http)));
    }
    if let Some(default) = default {
        output.line(format!("{default} also answers at {}", local_origin(http)));
    }
    Ok(())
}

/// `{"default": …, "projects": {name: facts}}`
pub(super) fn overview(
    admin: &Admin,
    default: Option<&str>,
    projects: &[Project],
    http: SocketAddr,
) -> Value {
    let projects: Map<String, Value> = projects
        .iter()
        .map(|project| (project.name.clone(), Value::Object(facts(admin, project, http))))
        .collect();
    json!({"default": default, "projects": projects})
}

/// The project that answers at the root.
pub(super) fn default_name(config: &Config, projects: &[Project]) -> Option<String> {
    let configured = config.default_project.as_ref();
    match configured {
        Some(name) => {
            projects.iter().find(|project| project.name == *name).map(|found| found.name.clone())
        }
        None => oldest(projects).map(|project| project.name.clone()),
    }
}

/// Everything that a client or a tool needs to know of a project. Secrets are part of it.
pub(super) fn facts(admin: &Admin, project: &Project, http: SocketAddr) -> Map<String, Value> {
    let api = format!("{}/p/{}", local_origin(http), project.name);
    let keys = &project.keys;
    let mut facts = Map::new();
    let mut add = |name: &str, value: &str| {
        facts.insert(name.to_owned(), Value::String(value.to_owned()));
    };
    add("API_URL", &api);
    add("REST_URL", &format!("{api}/rest/v1"));
    add("DB_URL", admin.url(project).expose());
    add("JWT_SECRET", keys.jwt_secret.expose());
    add("ANON_KEY", keys.anon_key.expose());
    add("SERVICE_ROLE_KEY", keys.service_role_key.expose());
    add("PUBLISHABLE_KEY", keys.publishable_key.expose());
    add("SECRET_KEY", keys.secret_key.expose());
    add("WORK_SIGNING_SECRET", signing_secret(&keys.jwt_secret).expose());
    let messages = plinth_work::message::Keys::new(&project.name, keys.jwt_secret.clone());
    add("QSTASH_URL", &format!("{api}/work"));
    add("QSTASH_TOKEN", messages.token().expose());
    facts
}

/// `KEY="value"` lines; no value holds a quote, a backslash or a dollar sign, being URLs and keys,
/// but a database password of somebody else's may, so they are escaped as a shell reads them.
fn env_lines(facts: &Map<String, Value>) -> String {
    let escape = |text: &str| {
        text.chars().fold(String::new(), |mut safe, character| {
            if matches!(character, '"' | '\\' | '$' | '`') {
                safe.push('\\');
            }
            safe.push(character);
            safe
        })
    };
    let line = |(name, value): (&String, &Value)| {
        format!("{name}=\"{}\"\n", escape(value.as_str().unwrap_or_default()))
    };
    facts.iter().map(line).collect()
}

/// One project's facts for people.
pub(super) fn pretty(output: Output, name: &str, facts: &Map<String, Value>) -> String {
    let mut text = format!("{}\n", output.paint.bold(name));
    for (key, label) in [
        ("API_URL", "API URL"),
        ("REST_URL", "REST URL"),
        ("DB_URL", "DB URL"),
        ("PUBLISHABLE_KEY", "publishable key"),
        ("SECRET_KEY", "secret key"),
        ("ANON_KEY", "anon key"),
        ("SERVICE_ROLE_KEY", "service_role key"),
        ("JWT_SECRET", "JWT secret"),
        ("WORK_SIGNING_SECRET", "work secret"),
    ] {
        let value = facts.get(key).and_then(Value::as_str).unwrap_or_default();
        text.push_str(&format!("  {:>16}: {value}\n", label));
    }
    text
}

/// The value of one fact.
pub(super) fn fact<'a>(facts: &'a Map<String, Value>, name: &str) -> anyhow::Result<&'a str> {
    facts.get(name).and_then(Value::as_str).with_context(|| format!("no {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_lines_are_safe_for_a_shell() {
        let facts = json!({"A": "plain", "B": "a\"b\\c$d`e"});
        let lines = env_lines(facts.as_object().unwrap());
        assert_eq!(lines, "A=\"plain\"\nB=\"a\\\"b\\\\c\\$d\\`e\"\n");
    }
}
