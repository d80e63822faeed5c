//! A cluster of its own that waits for the disk, with one project whose rows move.

use std::sync::Arc;

use anyhow::{Context, Result};
use plinth_postgres::seal::KeyPlace;
use plinth_postgres::{
    Binaries, Cluster, Connection, CreateProject, ManagedOptions, Project, Registry, Secret,
};
use plinth_wire::{Budget, ConnectConfig, Pool, PoolOptions};
use plinth_work::Store;
use plinth_work::install::{RowBinding, install_triggers};
use plinth_work::manifest::Name;
use plinth_work::rule::{Retry, Rule, Script};

use crate::cpu::Cpu;

/// The project, and its database.
const PROJECT: &str = "bench";

/// Everybody's master key; what it seals is gone a minute later.
const MASTER_KEY: &str = "5d1c7f4c0e9b0a5f8f7c1d2e3f405162738495a6b7c8d9eafb0c1d2e3f6b8f0b";

/// What a cluster for tests leaves out, put back; and log enough to be counted afterwards.
const SETTINGS: [(&str, &str); 6] = [
    ("fsync", "on"),
    ("full_page_writes", "on"),
    ("synchronous_commit", "on"),
    ("max_wal_size", "4GB"),
    ("wal_keep_size", "8GB"),
    ("track_wal_io_timing", "on"),
];

/// Seats of each key, where jobs are limited, and keys.
const SEATS: (u32, u32) = (100, 20);

/// How many jobs may run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    None,
    /// So many of each key.
    Seats,
}

/// A cluster and its project. Both go with this process.
pub(super) struct Place {
    cluster: Cluster,
    project: Project,
    postmaster: u32,
}

impl Place {
    pub(super) async fn start() -> Result<Self> {
        let explicit = std::env::var_os("PLINTH_PG_BIN").map(std::path::PathBuf::from);
        let mut options = ManagedOptions::throwaway(Binaries::find(explicit.as_deref())?)?;
        let settings = SETTINGS.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        options.settings.extend(settings);
        let cluster = Cluster::managed(options).await?;
        let pgdata = &cluster.report().context("not a cluster of ours")?.pgdata;
        let pid = std::fs::read_to_string(pgdata.join("postmaster.pid"))?;
        let postmaster = pid.lines().next().context("no process id")?.trim().parse()?;
        let registry = Registry::open(&cluster, &KeyPlace::Given(Secret::new(MASTER_KEY))).await?;
        let project = registry.create(CreateProject::named(PROJECT)).await?;
        let place = Self { cluster, project, postmaster };
        let admin = place.admin().await?;
        admin.batch_execute("create extension if not exists pg_walinspect").await?;
        admin.close().await;
        Ok(place)
    }

    /// A session of the superuser in the project.
    pub(super) async fn admin(&self) -> Result<Connection> {
        Ok(self.cluster.connect(PROJECT).await?)
    }

    /// A session of the role that owns the project's tables, as an application might have.
    pub(super) async fn owner(&self) -> Result<Connection> {
        let login = &self.project.owner_login;
        Ok(self.cluster.endpoint().connect_as(login, PROJECT).await?)
    }

    /// The way of the change hub.
    pub(super) fn replication(&self) -> ConnectConfig {
        let endpoint = self.cluster.endpoint();
        endpoint.wire(&endpoint.admin, PROJECT, "plinth")
    }

    /// A new database for a peer; its URL.
    pub(super) async fn database(&self, name: &str) -> Result<Secret> {
        let admin = self.admin().await?;
        admin.batch_execute(&format!("create database {name} template template0")).await?;
        admin.close().await;
        Ok(self.cluster.url(&self.cluster.endpoint().admin, name))
    }

    /// A store as an instance has it.
    pub(super) fn store(&self) -> Arc<Store> {
        let login = &self.project.owner_login;
        let connect = self.cluster.endpoint().wire(login, PROJECT, "plinth work");
        let pool = Pool::new(Store::session(connect), Budget::new(32), PoolOptions::default());
        Arc::new(Store::new(Arc::new(pool), self.project.owner_role.as_str()))
    }

    /// What this process and PostgreSQL have used so far.
    pub(super) fn cpu(&self) -> Result<Cpu> {
        Cpu::of_server(self.postmaster)
    }

    pub(super) async fn stop(self) -> Result<()> {
        Ok(self.cluster.stop().await?)
    }

    /// Makes a table with a status column, and has its pending rows make jobs. The rule for them.
    pub(super) async fn table(&self, table: &str, action: &str, limit: Limit) -> Result<Rule> {
        let owner = self.owner().await?;
        create_table(&owner, table).await?;
        owner.close().await;
        self.bind(table, action, limit).await
    }

    /// Has the pending rows of a table make jobs. The rule for them.
    pub(super) async fn bind(&self, table: &str, action: &str, limit: Limit) -> Result<Rule> {
        let mut owner = self.owner().await?;
        let (seats, keys) = SEATS;
        let key = (limit == Limit::Seats).then(|| format!("(id % {keys})::text"));
        let spec = match &key {
            Some(key) => format!(r#"{{"concurrency": {{"key": "{key}", "max": {seats}}}}}"#),
            None => "{}".to_owned(),
        };
        let sql = "insert into plinth.binding (name, kind, spec) values ($1, 'row', $2::text::jsonb) returning id";
        let id = owner.query_one(sql, &[&table, &spec]).await?.get(0);
        let binding = RowBinding {
            id,
            schema: "public".to_owned(),
            table: table.to_owned(),
            when: "status = 'pending'".to_owned(),
            seat_key: key,
            ..RowBinding::default()
        };
        let transaction = owner.client_mut().transaction().await?;
        install_triggers(&transaction, &binding).await?;
        transaction.commit().await?;
        owner.close().await;
        let seats = (limit == Limit::Seats).then_some(seats);
        Ok(Rule { seats, ..rule(id, table, action) })
    }
}

/// Makes a table with a status column whose rows nobody looks at.
pub(super) async fn create_table(owner: &Connection, table: &str) -> Result<()> {
    let sql = format!(
        "create table {table} (id bigint generated by default as identity primary key,
           status text not null default 'pending', payload text not null default 'a line of text for somebody to work on')"
    );
    Ok(owner.batch_execute(&sql).await?)
}

/// Makes one as applications have them: a key of its own making, an owner, checks, and indexes for what is asked.
pub(super) async fn create_usual_table(owner: &Connection, table: &str) -> Result<()> {
    let sql = format!(
        "create table {table}_agent (id uuid primary key default gen_random_uuid());
         insert into {table}_agent select from generate_series(1, 100);
         create table {table} (
           id uuid primary key default gen_random_uuid(),
           agent_id uuid not null references {table}_agent (id) on delete cascade,
           content text not null default 'a line of text for somebody to work on',
           external_id text unique,
           status text not null default 'pending' check (status in ('pending', 'posted', 'failed', 'cancelled')),
           attempts integer not null default 0 check (attempts >= 0),
           next_attempt_at timestamptz not null default now(), error text,
           created_at timestamptz not null default now(), posted_at timestamptz
         );
         create index on {table} (agent_id, created_at);
         create index on {table} (next_attempt_at) where status = 'pending'"
    );
    Ok(owner.batch_execute(&sql).await?)
}

fn rule(id: i32, table: &str, action: &str) -> Rule {
    let done = format!("update public.{table} set status = 'done' where id = $1::bigint");
    Rule {
        id,
        name: table.to_owned(),
        action: action.to_owned(),
        with: serde_json::Value::Null,
        role: None,
        key_type: "bigint".into(),
        steps: Vec::new(),
        input: None,
        running: Vec::new(),
        done: vec![Script::new(done, [Name::Row])],
        failed: Vec::new(),
        each_step: Vec::new(),
        meters: [].into(),
        open: Vec::new(),
        retry: Retry {
            attempts: 3,
            first: std::time::Duration::from_secs(1),
            factor: 2.0,
            max: std::time::Duration::from_secs(60),
            jitter: 0.5,
        },
        timeout: std::time::Duration::from_secs(30),
        rate: None,
        seats: None,
        fair: false,
        priorities: vec![0],
        most: 100_000,
    }
}
