//! The logs that were found in the data directories and are not open yet.
//!
//! A log waits until somebody comes to it, is being opened, and then is open, set aside or given up. One that is deleted
//! while it waits is never opened; one that is deleted while it is being opened is deleted when that is done.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};

use ottla_protocol::ids::TopicPartition;

use super::lock;
use crate::recovery::Opening;

/// See the module.
#[derive(Default)]
pub(super) struct Unopened {
    state: Mutex<State>,
    /// One was opened.
    opened: Condvar,
}

#[derive(Default)]
struct State {
    waiting: HashMap<TopicPartition, Found>,
    being_opened: HashMap<TopicPartition, Fate>,
    /// Nobody is to open any more.
    stopped: bool,
}

/// Where a log lies and how it is to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Index of its data directory.
    pub(super) dir: usize,
    pub(super) opening: Opening,
}

/// What is to become of a log once it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Serve,
    Delete,
}

impl Unopened {
    pub(super) fn new(waiting: HashMap<TopicPartition, Found>) -> Self {
        let state = State {
            waiting,
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            opened: Condvar::new(),
        }
    }

    /// Those that wait, by name: so they were created, more or less, and so they lie on the disk.
    pub(super) fn waiting(&self) -> Vec<TopicPartition> {
        let mut waiting: Vec<_> = lock(&self.state).waiting.keys().cloned().collect();
        waiting.sort_unstable();
        waiting
    }

    pub(super) fn contains(&self, partition: &TopicPartition) -> bool {
        let state = lock(&self.state);
        state.waiting.contains_key(partition) || state.being_opened.contains_key(partition)
    }

    /// Begin to open a log; `None` when it does not wait any more, or nobody is to open any more.
    pub(super) fn begin(&self, partition: &TopicPartition) -> Option<Found> {
        let mut state = lock(&self.state);
        if state.stopped {
            return None;
        }
        let found = state.waiting.remove(partition)?;
        state.being_opened.insert(partition.clone(), Fate::Serve);
        Some(found)
    }

    /// A log that is to be served is open now: nobody waits for it from here on. One that was deleted meanwhile stays
    /// one that is being opened, until [`Self::forget`].
    pub(super) fn end(&self, partition: &TopicPartition) -> Fate {
        let mut state = lock(&self.state);
        if state.being_opened.get(partition) == Some(&Fate::Delete) {
            return Fate::Delete;
        }
        state.being_opened.remove(partition);
        self.opened.notify_all();
        Fate::Serve
    }

    /// A log is deleted that was being opened.
    pub(super) fn forget(&self, partition: &TopicPartition) {
        lock(&self.state).being_opened.remove(partition);
        self.opened.notify_all();
    }

    /// A log is deleted: the one that waits is taken out, one that is being opened will be deleted then.
    pub(super) fn delete(&self, partition: &TopicPartition) -> Deleted {
        let mut state = lock(&self.state);
        if let Some(found) = state.waiting.remove(partition) {
            return Deleted::Waiting(found);
        }
        match state.being_opened.get_mut(partition) {
            Some(fate) => {
                *fate = Fate::Delete;
                Deleted::Later
            }
            None => Deleted::Unknown,
        }
    }

    /// Take a log out that waits, after the one of that name, if any, that is being opened.
    pub(super) fn take(&self, partition: &TopicPartition) -> Option<Found> {
        let state = lock(&self.state);
        let being_opened = |state: &mut State| state.being_opened.contains_key(partition);
        let waited = self.opened.wait_while(state, being_opened);
        waited
            .unwrap_or_else(PoisonError::into_inner)
            .waiting
            .remove(partition)
    }

    /// Open no more; returns when nothing is being opened.
    pub(super) fn stop(&self) {
        let mut state = lock(&self.state);
        state.stopped = true;
        let waited = self
            .opened
            .wait_while(state, |state| !state.being_opened.is_empty());
        drop(waited);
    }
}

/// What [`Unopened::delete`] has found.
pub(super) enum Deleted {
    /// It waited; it is not opened any more.
    Waiting(Found),
    /// It is being opened and will be deleted.
    Later,
    /// No such log is unopened.
    Unknown,
}
