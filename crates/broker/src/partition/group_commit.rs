//! How far one partition's log is on disk, and who waits for more of it.
//!
//! All who wait while a flush runs share the next one: `Idle -> Queued` by the first who waits, back to `Idle` when a
//! flush leaves nobody waiting. The flush itself is the [`flusher`](super::flusher)'s business.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottla_protocol::ids::Offset;
use tokio::sync::Notify;

/// What one request sleeps on until all flushes it needs have been tried. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct FlushWait(Arc<Remaining>);

#[derive(Debug, Default)]
struct Remaining {
    flushes: AtomicUsize,
    none_left: Notify,
}

impl FlushWait {
    /// Resolves when every flush asked for has been tried. What became of it, [`GroupCommit::is_flushed`] tells.
    pub async fn done(&self) {
        while !self.is_done() {
            self.0.none_left.notified().await;
        }
    }

    /// Whether every flush asked for has been tried.
    pub fn is_done(&self) -> bool {
        self.0.flushes.load(Ordering::Acquire) == 0
    }

    fn one_more(&self) {
        self.0.flushes.fetch_add(1, Ordering::Relaxed);
    }

    fn one_less(&self) {
        if self.0.flushes.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.notify_one();
        }
    }
}

/// The waiting list of one partition.
#[derive(Debug)]
pub struct GroupCommit {
    flushed: AtomicI64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A flush is queued or runs.
    queued: bool,
    waiting: Vec<(Offset, FlushWait)>,
}

impl GroupCommit {
    /// Of a log that is on disk up to `flushed`.
    pub fn new(flushed: Offset) -> Self {
        Self {
            flushed: AtomicI64::new(flushed.0),
            state: Mutex::default(),
        }
    }

    /// Whether everything below `upto` is on disk.
    pub fn is_flushed(&self, upto: Offset) -> bool {
        self.flushed.load(Ordering::Acquire) >= upto.0
    }

    /// Have `wait` wait until everything below `upto` is on disk, if it is not. True when a flush is to be queued for it:
    /// [`Self::flush_done`] must follow then.
    #[must_use = "without a flush it waits for ever"]
    pub fn wait_for(&self, upto: Offset, wait: &FlushWait) -> bool {
        let mut state = self.lock();
        if self.is_flushed(upto) {
            return false;
        }
        wait.one_more();
        state.waiting.push((upto, wait.clone()));
        !std::mem::replace(&mut state.queued, true)
    }

    /// As [`Self::wait_for`], for a flush that nobody waits for.
    #[must_use = "without a flush nothing gets on disk"]
    pub fn want(&self, upto: Offset) -> bool {
        let mut state = self.lock();
        !self.is_flushed(upto) && !std::mem::replace(&mut state.queued, true)
    }

    /// The queued flush has ended: everything below `flushed` is on disk, or with `None` it failed, which is for all who
    /// wait. True when some came too late for it: another one is to be queued.
    #[must_use = "without a flush they wait for ever"]
    pub fn flush_done(&self, flushed: Option<Offset>) -> bool {
        let mut state = self.lock();
        let upto = flushed.unwrap_or(Offset(i64::MAX));
        if let Some(flushed) = flushed {
            self.flushed.fetch_max(flushed.0, Ordering::AcqRel);
        }
        state.waiting.retain(|(wanted, wait)| {
            let over = *wanted <= upto;
            if over {
                wait.one_less();
            }
            !over
        });
        state.queued = !state.waiting.is_empty();
        state.queued
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_come_during_a_flush_share_the_next_one() {
        let commit = GroupCommit::new(Offset(3));
        let waits: Vec<FlushWait> = (0..4).map(|_| FlushWait::default()).collect();
        assert!(!commit.wait_for(Offset(3), &waits[0]), "it is on disk");
        assert!(waits[0].is_done());
        assert!(commit.wait_for(Offset(4), &waits[1]));
        // The flush runs; it was planned when the log ended at 5.
        assert!(!commit.wait_for(Offset(5), &waits[2]));
        assert!(!commit.wait_for(Offset(6), &waits[3]));
        assert!(commit.flush_done(Some(Offset(5))), "one came too late");
        let done: Vec<bool> = waits.iter().map(FlushWait::is_done).collect();
        assert_eq!(done, [true, true, true, false]);
        assert!(!commit.wait_for(Offset(7), &waits[0]), "queued already");
        assert!(!commit.flush_done(Some(Offset(7))));
        assert!(waits.iter().all(FlushWait::is_done));
        assert!(commit.is_flushed(Offset(7)) && !commit.is_flushed(Offset(8)));
        assert!(commit.want(Offset(8)), "the next begins anew");
    }

    #[test]
    fn a_failed_flush_ends_the_wait_of_all_and_nothing_counts_as_flushed() {
        let commit = GroupCommit::new(Offset(0));
        let wait = FlushWait::default();
        assert!(commit.wait_for(Offset(1), &wait));
        assert!(!commit.wait_for(Offset(2), &wait));
        assert!(!commit.flush_done(None));
        assert!(wait.is_done() && !commit.is_flushed(Offset(1)));
    }

    #[tokio::test]
    async fn a_request_waits_for_all_its_partitions() {
        let (one, other) = (GroupCommit::new(Offset(0)), GroupCommit::new(Offset(0)));
        let wait = FlushWait::default();
        assert!(one.wait_for(Offset(1), &wait) && other.wait_for(Offset(1), &wait));
        let sleeper = tokio::spawn({
            let wait = wait.clone();
            async move { wait.done().await }
        });
        assert!(!one.flush_done(Some(Offset(1))));
        assert!(!wait.is_done());
        assert!(!other.flush_done(Some(Offset(1))));
        sleeper.await.unwrap();
    }
}
