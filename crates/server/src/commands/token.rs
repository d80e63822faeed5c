//! `plinth token`: an access token for a user, as the auth service would issue it.

use anyhow::Context;
use plinth_postgres::Project;
use serde_json::{Value, json};
use uuid::Uuid;

use super::admin::{Admin, Need};
use super::status::{fact, facts};
use crate::cli::{GlobalArgs, Output, TokenArgs, hinted};
use crate::config::Config;
use crate::gateway::{sign, unix_now};

/// What the token says about its user.
struct User {
    id: Uuid,
    email: Option<String>,
    app_metadata: Value,
    user_metadata: Value,
}

/// Prints a token.
pub(super) async fn run(
    global: &GlobalArgs,
    args: &TokenArgs,
    output: Output,
) -> anyhow::Result<()> {
    let issue = async |admin: &Admin, config: &Config| issue(admin, config, args).await;
    output.line(Admin::with(global, Need::Started, output, issue).await?);
    Ok(())
}

async fn issue(admin: &Admin, config: &Config, args: &TokenArgs) -> anyhow::Result<String> {
    let project = admin.project(config, args.project.as_deref()).await?;
    let user = find_user(admin, &project, args).await?;
    let facts = facts(admin, &project, admin.http.unwrap_or(config.listen));
    let now = unix_now();
    let life = i64::try_from(args.expires.duration().as_secs()).context("--expires is too long")?;
    let claims = json!({
        "iss": format!("{}/auth/v1", fact(&facts, "API_URL")?),
        "aud": "authenticated",
        "role": args.role,
        "sub": user.id.to_string(),
        "email": user.email.unwrap_or_default(),
        "phone": "",
        "app_metadata": user.app_metadata,
        "user_metadata": user.user_metadata,
        "aal": "aal1",
        "is_anonymous": false,
        "iat": now,
        "exp": now.saturating_add(life),
    });
    sign(&claims, project.keys.jwt_secret.expose().as_bytes()).context("cannot sign the token")
}

/// The user in `auth.users`. One who is named by id need not be there.
async fn find_user(admin: &Admin, project: &Project, args: &TokenArgs) -> anyhow::Result<User> {
    let connection = admin.connect_as_owner(project).await?;
    let sub = args.sub.map(|id| id.to_string());
    let row = connection
        .query_opt(
            "select id::text, email::text, raw_app_meta_data::text, raw_user_meta_data::text from auth.users \
             where ($1::text is null or lower(email) = lower($1)) and ($2::text is null or id = $2::uuid) \
             order by created_at limit 1",
            &[&args.email, &sub],
        )
        .await
        .context("cannot look the user up in auth.users")?;
    connection.close().await;
    let object = |text: Option<&str>| {
        text.and_then(|text| serde_json::from_str(text).ok())
            .filter(Value::is_object)
            .unwrap_or_else(|| json!({}))
    };
    match (row, args.sub) {
        (Some(row), _) => Ok(User {
            id: row.get::<_, &str>(0).parse().context("auth.users has an id that is no UUID")?,
            email: row.get(1),
            app_metadata: object(row.get(2)),
            user_metadata: object(row.get(3)),
        }),
        (None, Some(id)) => {
            Ok(User { id, email: None, app_metadata: json!({}), user_metadata: json!({}) })
        }
        (None, None) => Err(hinted(
            format!(
                "project `{}` has no user {}",
                project.name,
                args.email.as_deref().unwrap_or_default()
            ),
            format!(
                "`plinth psql {} -- -c 'select id, email from auth.users'` lists them",
                project.name
            ),
        )),
    }
}
