//! Workers that serve the queue of short reads.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::{Inner, Lease};
use crate::lane::{Pending, Unserved};
use crate::{Connection, Rows, WireError};

/// An answer that takes longer holds its worker up: the reads behind it go to others.
const SLOW: Duration = Duration::from_millis(5);

/// Serves reads until none wait. A place in the lane was taken for it.
pub(super) async fn serve_reads(pool: Arc<Inner>) {
    let mut lease: Option<Lease> = None;
    loop {
        // Who waits for a connection of its own comes first; the queue for connections is fair.
        lease = lease.filter(|lease| lease.session.is_some() && !pool.is_wanted());
        if lease.is_none() {
            lease = connect(&pool).await;
        }
        let Some(lease) = &mut lease else { return };
        let Some(group) = pool.reads.take_group() else { return };
        if !serve(&pool, lease, group).await {
            return;
        }
    }
}

/// A connection, as long as somebody waits for it. Without one the place in the lane is free.
async fn connect(pool: &Arc<Inner>) -> Option<Lease> {
    loop {
        let patience = pool.reads.patience(pool.options.acquire_timeout)?;
        match tokio::time::timeout(patience, pool.acquire_unbounded()).await {
            Ok(Ok(lease)) => return Some(lease),
            Ok(Err(_)) => {
                // The callers try by themselves, and each learns the reason.
                pool.reads.give_up();
                return None;
            }
            Err(_elapsed) => {}
        }
    }
}

/// Sends a group in one write and hands out the answers as they come. False when the worker lost its
/// place over a slow read.
async fn serve(pool: &Arc<Inner>, lease: &mut Lease, group: Vec<Pending>) -> bool {
    let Some(session) = &mut lease.session else {
        return true;
    };
    let mut waiting = VecDeque::with_capacity(group.len());
    for pending in group {
        match session.connection.send(&pending.batch) {
            Ok(()) => waiting.push_back(pending),
            Err(error) => pending.answer(Err(Unserved::Failed(error))),
        }
    }
    let mut has_place = true;
    let mut reusable = true;
    while session.connection.is_busy() {
        let received = receive(pool, &mut session.connection, &mut waiting, &mut has_place).await;
        // Nobody is there for reads that were handed on.
        let pending = waiting.pop_front();
        match received {
            Ok(result) => reusable &= hand_out(pending, result),
            Err(error) => {
                fail(pending, waiting, error);
                reusable = false;
                break;
            }
        }
    }
    if !reusable {
        lease.session = None;
    }
    if has_place {
        pool.reads.went_well();
        return true;
    }
    pool.reads.come_back()
}

/// The answer to the oldest read under way. One that takes long costs the worker its place.
async fn receive(
    pool: &Arc<Inner>,
    connection: &mut Connection,
    waiting: &mut VecDeque<Pending>,
    has_place: &mut bool,
) -> Result<Result<Vec<Rows>, WireError>, WireError> {
    let mut receive = pin!(connection.receive());
    if let Ok(received) = tokio::time::timeout(SLOW, receive.as_mut()).await {
        return received;
    }
    if std::mem::take(has_place) {
        step_aside(pool, waiting);
    }
    let limit = pool.options.answer_timeout;
    let received = tokio::time::timeout(limit, receive).await;
    received.unwrap_or(Err(WireError::AnswerTimeout(limit)))
}

/// Leaves the reads behind a slow one, and the place, to another worker.
fn step_aside(pool: &Arc<Inner>, waiting: &mut VecDeque<Pending>) {
    let behind = waiting.split_off(waiting.len().min(1));
    if pool.reads.held_up(behind.into()) {
        tokio::spawn(serve_reads(pool.clone()));
    }
}

/// False when the session's prepared statements are out of date.
fn hand_out(pending: Option<Pending>, result: Result<Vec<Rows>, WireError>) -> bool {
    let Some(pending) = pending else { return true };
    match result {
        Err(WireError::Database(error)) if error.is_stale_statement() => {
            pending.give_back();
            false
        }
        result => {
            pending.answer(result.map_err(Unserved::Failed));
            true
        }
    }
}

/// The session is lost: the read that was being answered fails, those behind it are given back.
fn fail(current: Option<Pending>, behind: VecDeque<Pending>, error: WireError) {
    if let Some(pending) = current {
        pending.answer(Err(Unserved::Failed(error)));
    }
    behind.into_iter().for_each(Pending::give_back);
}
