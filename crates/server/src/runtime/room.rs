//! How many projects may be open at once.
//!
//! An open project holds a listening connection that no pool's budget counts. When all places are
//! taken, the project that was unused for longest makes room for the one that is asked now.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::project::Project;

/// The places of an instance.
pub struct Room {
    places: Arc<Semaphore>,
    projects: Mutex<Vec<Weak<Project>>>,
}

/// A place that is taken, until it is dropped.
pub type Place = OwnedSemaphorePermit;

impl Room {
    /// So many places.
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { places: Arc::new(Semaphore::new(places)), projects: Mutex::default() })
    }

    /// Makes a project known, so that it can be asked to make room.
    pub(super) fn register(&self, project: &Arc<Project>) {
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        projects.retain(|known| known.strong_count() > 0);
        projects.push(Arc::downgrade(project));
    }

    /// Takes a place; waits for one when every open project has requests under way. `None` only if
    /// the room is gone, which does not happen.
    pub(super) async fn enter(&self) -> Option<Place> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Some(place);
        }
        self.make_room();
        self.places.clone().acquire_owned().await.ok()
    }

    fn make_room(&self) {
        let projects: Vec<Arc<Project>> = {
            let projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
            projects.iter().filter_map(Weak::upgrade).collect()
        };
        let mut open: Vec<_> = projects.iter().filter(|one| one.current().is_some()).collect();
        open.sort_by_key(|project| std::cmp::Reverse(project.unused_for()));
        // The first that has no request under way goes to sleep.
        let _ = open.into_iter().any(|project| project.rest(Duration::ZERO));
    }
}
