//! `plinth keys list | add | rotate | revoke`

use anyhow::Context;
use plinth_auth::token::{Algorithm, generate};
use plinth_postgres::{NewSigningKey, Project, Secret, SigningKey, SigningKeyState};
use serde_json::{Value, json};

use super::admin::{Admin, Need};
use crate::cli::{Format, GlobalArgs, KeysCommand, Output, hinted};
use crate::config::Config;
use crate::runtime::SIGNING_KEY_PURPOSE;

/// Runs one of the commands.
pub(super) async fn run(
    global: &GlobalArgs,
    command: &KeysCommand,
    output: Output,
) -> anyhow::Result<()> {
    Admin::with(global, Need::Started, output, async |admin, config| {
        execute(admin, config, command, output).await
    })
    .await
}

async fn execute(
    admin: &Admin,
    config: &Config,
    command: &KeysCommand,
    output: Output,
) -> anyhow::Result<()> {
    let target = command.target();
    let project = admin.project(config, target.project.as_deref()).await?;
    let kid = match command {
        KeysCommand::List { .. } => {
            print_all(&project.signing_keys, target.output, output)?;
            return Ok(());
        }
        KeysCommand::Add { algorithm, .. } => add(admin, &project, (*algorithm).into()).await?,
        KeysCommand::Rotate { kid, .. } => {
            let kid = match kid {
                Some(kid) => kid.clone(),
                None => newest_on_standby(&project)?,
            };
            admin.registry.signing_key_rotate(&project.name, &kid).await?;
            kid
        }
        KeysCommand::Revoke { kid, .. } => {
            admin.registry.signing_key_revoke(&project.name, kid).await?;
            kid.clone()
        }
    };
    let project = admin.project(config, Some(&project.name)).await?;
    let changed = project.signing_keys.iter().find(|key| key.key.kid == kid);
    let changed = changed.with_context(|| format!("the key {kid} was dropped meanwhile"))?;
    print_one(changed, target.output, output)
}

/// Makes a key pair and seals its private half; returns its name.
async fn add(admin: &Admin, project: &Project, algorithm: Algorithm) -> anyhow::Result<String> {
    let jwk = generate(algorithm).context("cannot make a key pair")?;
    let (kid, public) = jwk.kid().zip(jwk.public()).context("a key pair has two halves")?;
    let private = jwk.to_json();
    let sealed = admin
        .registry
        .sealer()
        .seal(SIGNING_KEY_PURPOSE, kid, private.expose().as_bytes())
        .context("cannot seal the private key")?;
    let key = NewSigningKey {
        kid: kid.to_owned(),
        algorithm: algorithm.name().to_owned(),
        sealed: Secret::new(sealed),
        public_jwk: json!(public).to_string(),
    };
    admin.registry.signing_key_add(&project.name, &key).await?;
    Ok(key.kid)
}

fn newest_on_standby(project: &Project) -> anyhow::Result<String> {
    let standby = project.signing_keys.iter().filter(|key| key.state == SigningKeyState::Standby);
    let newest = standby.max_by_key(|key| key.created_at).map(|key| key.key.kid.clone());
    newest.ok_or_else(|| {
        hinted(
            format!("project `{}` has no key on standby", project.name),
            format!("`plinth keys add --project {}` makes one", project.name),
        )
    })
}

/// What may be known of a key. The private half is not part of it.
fn facts(key: &SigningKey) -> Value {
    let time = |time| jiff::Timestamp::try_from(time).map(|time| time.to_string()).ok();
    json!({
        "kid": key.key.kid,
        "algorithm": key.key.algorithm,
        "state": key.state.as_str(),
        "created_at": time(key.created_at),
        "changed_at": time(key.changed_at),
        "public_jwk": serde_json::from_str::<Value>(&key.key.public_jwk).unwrap_or_default(),
    })
}

fn print_one(key: &SigningKey, format: Format, output: Output) -> anyhow::Result<()> {
    match format {
        Format::Json => output.line(serde_json::to_string_pretty(&facts(key))?),
        Format::Env => output.line(format!("KID=\"{}\"", key.key.kid)),
        Format::Pretty => output.line(line(key, output)),
    }
    Ok(())
}

fn print_all(keys: &[SigningKey], format: Format, output: Output) -> anyhow::Result<()> {
    match format {
        Format::Json => {
            let all: Vec<Value> = keys.iter().map(facts).collect();
            output.line(serde_json::to_string_pretty(&all)?);
        }
        Format::Env => {
            let kids: Vec<&str> = keys.iter().map(|key| key.key.kid.as_str()).collect();
            output.line(format!("KIDS=\"{}\"", kids.join(" ")));
        }
        Format::Pretty if keys.is_empty() => {
            output.line("The project's secret signs its tokens (HS256). `plinth keys add` makes a key pair.");
        }
        Format::Pretty => keys.iter().for_each(|key| output.line(line(key, output))),
    }
    Ok(())
}

fn line(key: &SigningKey, output: Output) -> String {
    let state = format!("{:<15}", key.state.as_str().replace('_', " "));
    let state = match key.state {
        SigningKeyState::InUse => output.paint.green(state),
        SigningKeyState::Revoked => output.paint.red(state),
        SigningKeyState::Standby | SigningKeyState::PreviouslyUsed => output.paint.yellow(state),
    };
    format!("{state}  {:<5}  {}", key.key.algorithm, output.paint.bold(&key.key.kid))
}
