//! How many short batches run at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// When nothing in the lane has finished for this long, who waits goes past it.
const STALLED_AFTER: Duration = Duration::from_millis(5);

/// A soft bound on batches that run at once.
///
/// Two backends per core answer short reads faster than thirty do, because the processor switches
/// less and its caches stay warm. The bound is soft because not every read is short: while slow ones
/// fill the lane, the others pass them, up to the pool's own bound.
#[derive(Debug)]
pub(crate) struct ReadLane {
    places: Arc<Semaphore>,
    epoch: Instant,
    /// When a batch last left the lane, in microseconds since `epoch`.
    last_left_us: Arc<AtomicU64>,
}

/// A place in the lane; leaving is noted when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    epoch: Instant,
    last_left_us: Arc<AtomicU64>,
}

impl ReadLane {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places.max(1))),
            epoch: Instant::now(),
            last_left_us: Arc::default(),
        }
    }

    /// Waits for a place; none when the lane is stalled and the caller had better pass it.
    pub(crate) async fn enter(&self) -> Option<Place> {
        if let Ok(permit) = self.places.clone().try_acquire_owned() {
            return Some(self.place(permit));
        }
        let permit = self.places.clone().acquire_owned();
        tokio::pin!(permit);
        loop {
            match tokio::time::timeout(STALLED_AFTER, &mut permit).await {
                Ok(Ok(permit)) => return Some(self.place(permit)),
                Err(_elapsed) if !self.is_stalled() => {}
                _ => return None,
            }
        }
    }

    fn place(&self, permit: OwnedSemaphorePermit) -> Place {
        let (epoch, last_left_us) = (self.epoch, self.last_left_us.clone());
        Place { _permit: permit, epoch, last_left_us }
    }

    fn is_stalled(&self) -> bool {
        let last = Duration::from_micros(self.last_left_us.load(Ordering::Relaxed));
        self.epoch.elapsed().saturating_sub(last) >= STALLED_AFTER
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.last_left_us.store(now, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_gets_the_next_place_while_the_lane_moves() {
        let lane = Arc::new(ReadLane::new(1));
        let place = lane.enter().await.unwrap();
        let waiting = tokio::spawn({
            let lane = lane.clone();
            async move { lane.enter().await.is_some() }
        });
        drop(place);
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn who_waits_passes_a_lane_that_does_not_move() {
        let lane = ReadLane::new(1);
        let _slow = lane.enter().await.unwrap();
        assert!(lane.enter().await.is_none());
        assert!(lane.enter().await.is_none());
    }
}
