//! What a large schema costs: the time to read its catalog, and the memory that the catalog takes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use plinth_catalog::{Catalog, LoadOptions};
use tokio_postgres::{Client, NoTls};

use crate::instance::Target;
use crate::memory;

/// How often the catalog is read; the fastest counts.
const ROUNDS: usize = 5;

/// What reading a catalog cost.
#[derive(Debug)]
pub(crate) struct Cost {
    /// Number of relations, relationships and functions.
    pub(crate) size: (usize, usize, usize),
    /// The fastest of the reads.
    pub(crate) time: Duration,
    /// By how many bytes this process grew with the first read, whose catalog is kept.
    pub(crate) bytes: u64,
}

/// Makes a schema of `tables` tables with 15 columns, keys to two others, comments, views, functions and junctions, and
/// reads it.
pub(crate) async fn measure(target: &Target, tables: u32) -> Result<Cost> {
    let (mut client, connection) = tokio_postgres::connect(&target.database_url, NoTls).await?;
    tokio::spawn(connection);
    let sql = include_str!("schema.sql").replace("TABLES", &tables.to_string());
    // Sent one by one, because the loop commits.
    for statement in sql.split("\n\n") {
        client.batch_execute(statement).await.context("cannot make the schema")?;
    }
    let before = memory::of_this_process()?;
    let (kept, mut time) = read(&mut client).await?;
    let bytes = memory::of_this_process()?.saturating_sub(before);
    for _ in 1..ROUNDS {
        time = time.min(read(&mut client).await?.1);
    }
    Ok(Cost { size: kept.size(), time, bytes })
}

async fn read(client: &mut Client) -> Result<(Catalog, Duration)> {
    let options = LoadOptions { schemas: vec!["large".to_owned()], ..LoadOptions::default() };
    let start = Instant::now();
    let catalog = Catalog::load(client, &options).await?;
    Ok((catalog, start.elapsed()))
}
