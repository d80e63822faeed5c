//! The statements on the registry's tables, one function each.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use plinth_wire::Secret;
use serde::Deserialize;
use tokio_postgres::types::{Json, ToSql};
use tokio_postgres::{Client, Error, GenericClient, Row};

use super::secrets::{Record, Secrets};
use crate::connection::Login;
use crate::keys::Keys;
use crate::project::{self, Project};
use crate::quote::ident;
use crate::signing_key::{NewSigningKey, SigningKey, SigningKeyState};

/// How long to wait for someone who works on the same thing.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(60);

const COLUMNS: &str =
    "name, generation, owner_role, secrets, anon_key, publishable_key, blueprint, created_at";

/// What a project is not made with.
const WORK: &str = "manifest, has_work, work_revision";

/// A project's signing keys as one value beside its columns, so that they are of the same moment.
const SIGNING_KEYS: &str = "(select coalesce(json_agg(json_build_object('kid', kid, 'algorithm', algorithm, \
                               'sealed', sealed, 'public_jwk', public_jwk, 'state', state, \
                               'created_at', extract(epoch from signing_key.created_at), \
                               'changed_at', extract(epoch from changed_at)) \
                               order by signing_key.created_at, kid), '[]') \
                             from plinth.signing_key where signing_key.project = name) as signing_keys";

/// One of them.
#[derive(Deserialize)]
struct SigningKeyFacts {
    kid: String,
    algorithm: String,
    sealed: String,
    public_jwk: String,
    state: String,
    created_at: f64,
    changed_at: f64,
}

/// The owner role of the cluster, chosen at the first call and kept since.
pub(super) async fn owner_role(control: &Client) -> Result<String, Error> {
    // `postgres` where it is free to be an ordinary role; a cluster whose superuser it is keeps it.
    let choose = "insert into plinth.setting (name, value)
        select 'owner_role', case when exists (select from pg_roles where rolname = 'postgres' and rolsuper)
                                  then 'plinth_owner' else 'postgres' end
        on conflict (name) do nothing";
    control.execute(choose, &[]).await?;
    let row = control
        .query_one("select value from plinth.setting where name = 'owner_role'", &[])
        .await?;
    Ok(row.get(0))
}

/// What was noted for the whole cluster under `name`.
pub(super) async fn setting_find(control: &Client, name: &str) -> Result<Option<String>, Error> {
    let find = "select value from plinth.setting where name = $1";
    Ok(control.query_opt(find, &[&name]).await?.map(|row| row.get(0)))
}

pub(super) async fn setting_put(control: &Client, name: &str, value: &str) -> Result<(), Error> {
    let put = "insert into plinth.setting (name, value) values ($1, $2)
               on conflict (name) do update set value = excluded.value";
    control.execute(put, &[&name, &value]).await.map(drop)
}

/// The revision and what is ready at it.
pub(super) async fn project_list(control: &Client) -> Result<(i64, Vec<Record>), Error> {
    // One statement, so that revision and rows are of one moment.
    let all = format!(
        "select {COLUMNS}, {WORK}, {SIGNING_KEYS}, number from plinth.revision left join plinth.project on state = 'ready' order by name"
    );
    let rows = control.query(&all, &[]).await?;
    let revision = rows.first().map_or(0, |row| row.get("number"));
    let present = rows.iter().filter(|row| row.get::<_, Option<&str>>("name").is_some());
    Ok((revision, present.map(record_of).collect()))
}

pub(super) async fn project_find(control: &Client, name: &str) -> Result<Option<Record>, Error> {
    let one = format!(
        "select {COLUMNS}, {WORK}, {SIGNING_KEYS} from plinth.project where name = $1 and state = 'ready'"
    );
    Ok(control.query_opt(&one, &[&name]).await?.as_ref().map(record_of))
}

pub(super) async fn project_is_ready(control: &Client, name: &str) -> Result<bool, Error> {
    let one = "select exists (select from plinth.project where name = $1 and state = 'ready')";
    Ok(control.query_one(one, &[&name]).await?.get(0))
}

/// Name and state of the projects that are not ready.
pub(super) async fn project_unfinished(control: &Client) -> Result<Vec<String>, Error> {
    let rows = control
        .query("select name from plinth.project where state <> 'ready' order by name", &[])
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

pub(super) async fn project_is_dropping(control: &Client, name: &str) -> Result<bool, Error> {
    let one = "select exists (select from plinth.project where name = $1 and state = 'dropping')";
    Ok(control.query_one(one, &[&name]).await?.get(0))
}

/// Registers `project` as being created; `sealed` are its secrets.
pub(super) async fn project_insert(
    control: &impl GenericClient,
    project: &Project,
    sealed: &str,
) -> Result<(), Error> {
    let insert = format!(
        "insert into plinth.project ({COLUMNS}, state) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, 'creating')"
    );
    let values: [&(dyn ToSql + Sync); 8] = [
        &project.name,
        &project.generation,
        &project.owner_role,
        &sealed,
        &project.keys.anon_key.expose(),
        &project.keys.publishable_key.expose(),
        &project.blueprint,
        &project.created_at,
    ];
    control.execute(&insert, &values).await.map(drop)
}

pub(super) async fn project_set_state(
    control: &impl GenericClient,
    name: &str,
    state: &str,
) -> Result<(), Error> {
    control
        .execute("update plinth.project set state = $2 where name = $1", &[&name, &state])
        .await
        .map(drop)
}

pub(super) async fn project_next_generation(
    control: &impl GenericClient,
    name: &str,
) -> Result<(), Error> {
    // The new database has no bindings.
    let next = "update plinth.project set generation = generation + 1, manifest = null, has_work = false where name = $1";
    control.execute(next, &[&name]).await.map(drop)
}

/// Notes what there is to do; returns whether there is such a project.
pub(super) async fn project_set_work(
    control: &Client,
    name: &str,
    manifest: Option<&str>,
    has_work: bool,
) -> Result<bool, Error> {
    let update = "update plinth.project
                  set manifest = coalesce($2, manifest), has_work = $3, work_revision = work_revision + 1
                  where name = $1 and state = 'ready'";
    Ok(control.execute(update, &[&name, &manifest, &has_work]).await? == 1)
}

pub(super) async fn project_delete(control: &impl GenericClient, name: &str) -> Result<(), Error> {
    control.execute("delete from plinth.project where name = $1", &[&name]).await.map(drop)
}

/// Name and owner role of the ready projects whose databases are not known to have the platform of `digest`.
pub(super) async fn project_list_outdated(
    control: &Client,
    digest: &str,
) -> Result<Vec<(String, String)>, Error> {
    let outdated = "select name, owner_role from plinth.project
                    where state = 'ready' and platform is distinct from $1 order by name";
    Ok(control
        .query(outdated, &[&digest])
        .await?
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect())
}

pub(super) async fn project_set_platform(
    control: &impl GenericClient,
    names: &[&str],
    digest: &str,
) -> Result<(), Error> {
    let update = "update plinth.project set platform = $2 where name = any($1)";
    control.execute(update, &[&names, &digest]).await.map(drop)
}

/// Adds a key on standby unless the project has `most` already; returns whether it was added.
pub(super) async fn signing_key_insert(
    control: &Client,
    project: &str,
    key: &NewSigningKey,
    most: usize,
) -> Result<bool, Error> {
    let insert = "insert into plinth.signing_key (project, kid, algorithm, sealed, public_jwk)
                  select $1, $2, $3, $4, $5
                  where (select count(*) from plinth.signing_key where project = $1) < $6";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let (sealed, public) = (key.sealed.expose(), &key.public_jwk);
    let added = control
        .execute(insert, &[&project, &key.kid, &key.algorithm, &sealed, public, &most])
        .await?;
    Ok(added == 1)
}

/// Moves the keys of a project that are in state `from` to state `to`.
pub(super) async fn signing_key_retire(
    control: &impl GenericClient,
    project: &str,
    from: SigningKeyState,
    to: SigningKeyState,
) -> Result<(), Error> {
    let update = "update plinth.signing_key set state = $3, changed_at = now()
                  where project = $1 and state = $2";
    control.execute(update, &[&project, &from.as_str(), &to.as_str()]).await.map(drop)
}

/// Moves one key to state `to` if it is in one of the states `from`; returns whether it was.
pub(super) async fn signing_key_set_state(
    control: &impl GenericClient,
    project: &str,
    kid: &str,
    from: &[SigningKeyState],
    to: SigningKeyState,
) -> Result<bool, Error> {
    let update = "update plinth.signing_key set state = $4, changed_at = now()
                  where project = $1 and kid = $2 and state = any($3)";
    let from: Vec<&str> = from.iter().map(|state| state.as_str()).collect();
    Ok(control.execute(update, &[&project, &kid, &from, &to.as_str()]).await? == 1)
}

pub(super) async fn signing_key_exists(control: &Client) -> Result<bool, Error> {
    let any = "select exists (select from plinth.signing_key)";
    Ok(control.query_one(any, &[]).await?.get(0))
}

/// Names of the projects whose secrets are plain.
pub(super) async fn plain_secret_list(control: &Client) -> Result<Vec<String>, Error> {
    let all = "select project from plinth.plain_secret order by project";
    Ok(control.query(all, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// Takes the plain secrets of the project `name`, which is locked; also says whether it is ready.
pub(super) async fn plain_secret_take(
    control: &impl GenericClient,
    name: &str,
) -> Result<Option<(Secrets, bool)>, Error> {
    // First the project, in the order of those who drop one.
    let lock = "select state = 'ready' from plinth.project where name = $1 for update";
    let Some(ready) = control.query_opt(lock, &[&name]).await? else { return Ok(None) };
    let take = "delete from plinth.plain_secret where project = $1 returning *";
    let Some(row) = control.query_opt(take, &[&name]).await? else { return Ok(None) };
    let secrets = Secrets {
        owner_password: row.get("owner_password"),
        authenticator_password: row.get("authenticator_password"),
        auth_password: row.get("auth_password"),
        jwt_secret: row.get("jwt_secret"),
        service_role_key: row.get("service_role_key"),
        secret_key: row.get("secret_key"),
        sealing_key: None,
    };
    Ok(Some((secrets, ready.get(0))))
}

/// Name and sealed secrets of all projects that have some, whatever their state.
pub(super) async fn project_list_sealed(control: &Client) -> Result<Vec<(String, String)>, Error> {
    let all = "select name, secrets from plinth.project where secrets is not null order by name";
    let rows = control.query(all, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The sealed secrets of a project, which nobody else changes until the transaction ends.
pub(super) async fn project_lock_secrets(
    control: &impl GenericClient,
    name: &str,
) -> Result<Option<String>, Error> {
    let find =
        "select secrets from plinth.project where name = $1 and secrets is not null for update";
    Ok(control.query_opt(find, &[&name]).await?.map(|row| row.get(0)))
}

pub(super) async fn project_set_secrets(
    control: &impl GenericClient,
    name: &str,
    sealed: &str,
) -> Result<(), Error> {
    let update = "update plinth.project set secrets = $2 where name = $1";
    control.execute(update, &[&name, &sealed]).await.map(drop)
}

/// Moves a role out of the way whose name is needed, if there is one: whoever made it may still administer it, so that
/// it can never become ours.
pub(super) async fn role_move_away(control: &impl GenericClient, role: &str) -> Result<(), Error> {
    let find = "select rolname || ' taken ' || oid from pg_roles where rolname = $1";
    if let Some(row) = control.query_opt(find, &[&role]).await? {
        let elsewhere: String = row.get(0);
        tracing::warn!(role, elsewhere, "a role had the name of a login and was renamed");
        let rename = format!("alter role {} rename to {}", ident(role), ident(&elsewhere));
        control.batch_execute(&rename).await?;
    }
    Ok(())
}

/// Databases whose names begin with one of our prefixes for databases in the making.
pub(super) async fn database_list_scaffolds(
    control: &Client,
    prefix: &str,
) -> Result<Vec<String>, Error> {
    let all =
        "select datname::text from pg_database where starts_with(datname::text, $1) order by 1";
    Ok(control.query(all, &[&prefix]).await?.iter().map(|row| row.get(0)).collect())
}

pub(super) async fn database_exists(control: &Client, name: &str) -> Result<bool, Error> {
    let row = control
        .query_one("select exists (select from pg_database where datname = $1)", &[&name])
        .await?;
    Ok(row.get(0))
}

/// Lets sessions in again, if the database exists and refuses them.
pub(super) async fn database_open(control: &Client, name: &str) -> Result<(), Error> {
    let shut = "select exists (select from pg_database where datname = $1 and not datallowconn)";
    if control.query_one(shut, &[&name]).await?.get(0) {
        control
            .batch_execute(&format!("alter database {} allow_connections true", ident(name)))
            .await?;
    }
    Ok(())
}

pub(super) async fn database_sessions(control: &Client, name: &str) -> Result<i64, Error> {
    let count = "select count(*) from pg_stat_activity where datname = $1";
    Ok(control.query_one(count, &[&name]).await?.get(0))
}

/// Ends all sessions on a database, and drops the logical replication slots that keep it; returns how many are left.
pub(super) async fn database_vacate(control: &Client, name: &str) -> Result<i64, Error> {
    let sessions =
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1";
    let left: i64 = control.query_one(sessions, &[&name]).await?.get(0);
    let slots = "select slot_name::text, active from pg_replication_slots where database = $1";
    let rows = control.query(slots, &[&name]).await?;
    for row in rows.iter().filter(|row| !row.get::<_, bool>(1)) {
        let slot: &str = row.get(0);
        // It may have been taken or dropped this moment: the next round sees.
        let _ = control.execute("select pg_drop_replication_slot($1)", &[&slot]).await;
    }
    Ok(left + i64::try_from(rows.len()).unwrap_or(i64::MAX))
}

/// What was written to each database, by its name. The database's number and the time from which on it is counted are part
/// of it: a database that is made anew has been written to.
pub(super) async fn database_writes(control: &Client) -> Result<HashMap<String, String>, Error> {
    let counted =
        "select datname::text, concat_ws('/', datid, stats_reset, tup_inserted, tup_updated, tup_deleted)
         from pg_catalog.pg_stat_database where datname is not null";
    let rows = control.query(counted, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn record_of(row: &Row) -> Record {
    let secret = |column: &str| Secret::new(row.get::<_, String>(column));
    let sealed = || Secret::new(String::new());
    let name: String = row.get("name");
    let login = |role| Login { role, password: None };
    let bare = Project {
        database: name.clone(),
        generation: row.get("generation"),
        owner_role: row.get("owner_role"),
        owner_login: login(project::owner_login(&name)),
        authenticator_login: login(project::authenticator_login(&name)),
        auth_login: login(project::auth_login(&name)),
        keys: Keys {
            jwt_secret: sealed(),
            anon_key: secret("anon_key"),
            service_role_key: sealed(),
            publishable_key: secret("publishable_key"),
            secret_key: sealed(),
        },
        sealing_key: None,
        signing_keys: row
            .get::<_, Json<Vec<SigningKeyFacts>>>("signing_keys")
            .0
            .into_iter()
            .map(signing_key_of)
            .collect(),
        blueprint: row.get("blueprint"),
        manifest: row.get("manifest"),
        has_work: row.get("has_work"),
        work_revision: row.get("work_revision"),
        created_at: row.get("created_at"),
        name,
    };
    // Null is no sealed text either, and is refused as such.
    Record { bare, sealed: row.get::<_, Option<String>>("secrets").unwrap_or_default() }
}

fn signing_key_of(facts: SigningKeyFacts) -> SigningKey {
    let time = |seconds: f64| UNIX_EPOCH + Duration::from_secs_f64(seconds.max(0.0));
    SigningKey {
        key: NewSigningKey {
            kid: facts.kid,
            algorithm: facts.algorithm,
            sealed: Secret::new(facts.sealed),
            public_jwk: facts.public_jwk,
        },
        state: SigningKeyState::parse(&facts.state),
        created_at: time(facts.created_at),
        changed_at: time(facts.changed_at),
    }
}
