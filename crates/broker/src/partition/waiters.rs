//! Who waits for a partition to grow: long polls of consumers.
//!
//! A fetch that must wait registers one [`Wakeup`] with each of its partitions and sleeps until the first of them has
//! something new, or its time is up. Nobody polls. An append to a partition that nobody waits for costs one load.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

/// What a parked request sleeps on.
#[derive(Debug, Default)]
pub struct Wakeup {
    notify: Notify,
}

impl Wakeup {
    /// Wait for the next [`Waiters::wake_all`]; one that came before counts.
    pub async fn woken(&self) {
        self.notify.notified().await;
    }
}

/// The waiting list of one partition.
#[derive(Debug, Default)]
pub struct Waiters {
    anyone: AtomicBool,
    list: Mutex<Vec<Weak<Wakeup>>>,
}

impl Waiters {
    /// Have `wakeup` woken by everything that happens from now on. Look at the partition once more after this:
    /// what happened before the call wakes nobody.
    ///
    /// A waiter that is gone needs no sign-off: dropping its `Arc` is enough.
    pub fn register(&self, wakeup: &Arc<Wakeup>) {
        let mut list = self.lock();
        // Those who timed out are swept here, where the list would otherwise grow.
        if list.len() == list.capacity() {
            list.retain(|waiter| waiter.strong_count() > 0);
        }
        list.push(Arc::downgrade(wakeup));
        self.anyone.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Wake all who wait, and forget them.
    pub fn wake_all(&self) {
        // The fences here and in `register`: either the waiter's second look sees the append, or this load the waiter.
        fence(Ordering::SeqCst);
        if !self.anyone.load(Ordering::SeqCst) {
            return;
        }
        let mut list = self.lock();
        self.anyone.store(false, Ordering::SeqCst);
        for waiter in list.drain(..) {
            if let Some(wakeup) = waiter.upgrade() {
                wakeup.notify.notify_one();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Wakeup>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wakes_whoever_registered_and_only_once() {
        let waiters = Waiters::default();
        let (one, other) = (Arc::new(Wakeup::default()), Arc::new(Wakeup::default()));
        waiters.wake_all();
        waiters.register(&one);
        waiters.register(&other);
        waiters.wake_all();
        one.woken().await;
        other.woken().await;
        assert!(!waiters.anyone.load(Ordering::SeqCst));
        assert!(waiters.lock().is_empty());
    }

    #[test]
    fn the_list_stays_short_when_waiters_give_up() {
        let waiters = Waiters::default();
        for _ in 0..10_000 {
            waiters.register(&Arc::new(Wakeup::default()));
        }
        assert!(waiters.lock().capacity() < 100);
    }
}
