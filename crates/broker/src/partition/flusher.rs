//! The threads that flush partitions for those who wait (group commit).
//!
//! A bounded number of threads, begun when they are needed, take partitions from one queue; each partition is in it at
//! most once, so that one `fdatasync` serves all its waiting producers, and different partitions are flushed in
//! parallel: syncs that wait for the disk together cost little more than one. The runtime's workers never wait here.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::clock::Clock;
use crate::partition::Partition;
use crate::telemetry::histogram::Histogram;
use crate::telemetry::{Collect, Name, Page};

/// The way to the threads; they end when it is dropped.
pub struct Flusher(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    max_threads: usize,
    clock: Arc<dyn Clock>,
    times: Arc<FlushTimes>,
}

#[derive(Debug, Default)]
struct Queue {
    partitions: VecDeque<Arc<Partition>>,
    threads: usize,
    idle: usize,
    stopped: bool,
}

/// How long flushes take (`kafka.log:type=LogFlushStats`).
#[derive(Debug, Default)]
pub struct FlushTimes(Histogram);

impl Flusher {
    /// At most `max_threads` threads, which is at least one.
    ///
    /// # Errors
    /// There is not even one thread to be had.
    pub fn start(max_threads: usize, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            work: Condvar::new(),
            max_threads,
            clock,
            times: Arc::default(),
        });
        shared.spawn(&mut shared.lock())?;
        Ok(Self(shared))
    }

    /// How long flushes take.
    pub fn times(&self) -> &Arc<FlushTimes> {
        &self.0.times
    }

    /// Flush `partition` soon. It must not be queued already.
    pub(super) fn submit(&self, partition: Arc<Partition>) {
        let mut queue = self.0.lock();
        queue.partitions.push_back(partition);
        if queue.partitions.len() > queue.idle && queue.threads < self.0.max_threads {
            // The threads that there are will get to it, if this one cannot be had.
            if let Err(error) = self.0.spawn(&mut queue) {
                tracing::debug!(%error, "no further thread for flushes");
            }
        }
        drop(queue);
        self.0.work.notify_one();
    }
}

impl fmt::Debug for Flusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flusher")
            .field("queue", &self.0.queue)
            .finish_non_exhaustive()
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.work.notify_all();
    }
}

impl Shared {
    fn spawn(self: &Arc<Self>, queue: &mut Queue) -> io::Result<()> {
        let shared = Arc::clone(self);
        let thread = thread::Builder::new().name("ottla-flush".to_owned());
        thread.spawn(move || shared.run())?;
        queue.threads += 1;
        Ok(())
    }

    fn run(&self) {
        while let Some(partition) = self.next() {
            let started = self.clock.monotonic();
            // A defect in one flush must not leave the producers of all other partitions waiting.
            let again = catch_unwind(AssertUnwindSafe(|| partition.flush()));
            let again = again.unwrap_or_else(|_| partition.flush_failed());
            (self.times.0).record_time(self.clock.monotonic().saturating_sub(started));
            if again {
                let mut queue = self.lock();
                queue.partitions.push_back(partition);
            }
        }
    }

    fn next(&self) -> Option<Arc<Partition>> {
        let mut queue = self.lock();
        loop {
            if let Some(partition) = queue.partitions.pop_front() {
                return Some(partition);
            }
            if queue.stopped {
                return None;
            }
            queue.idle += 1;
            queue = (self.work.wait(queue)).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collect for FlushTimes {
    fn collect(&self, page: &mut Page) {
        let times = self.0.quantiles(page.monotonic, 0.001, 0);
        page.summary(Name::LogFlushTime, &[], &times);
    }
}

#[cfg(test)]
mod tests;
