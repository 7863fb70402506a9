//! One signal on which everybody drains.
//!
//! `Shutdown` is cheap to clone. Whoever starts work takes a clone and ends when `requested` resolves; whoever
//! must be waited for holds a [`Busy`] token, and `drained` resolves when the last token is gone.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

/// The signal to stop, and the count of those still working.
#[derive(Clone, Debug)]
pub struct Shutdown {
    requested: Arc<watch::Sender<bool>>,
    busy: Arc<watch::Sender<usize>>,
}

/// Held by work that a controlled stop waits for.
#[derive(Debug)]
pub struct Busy(Arc<watch::Sender<usize>>);

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A signal that has not been given.
    pub fn new() -> Self {
        Self {
            requested: Arc::new(watch::Sender::new(false)),
            busy: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Gives the signal; again does nothing.
    pub fn request(&self) {
        self.requested.send_replace(true);
    }

    /// Whether the signal was given.
    pub fn is_requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Resolves when the signal is given, at once if it was.
    pub async fn requested(&self) {
        let mut receiver = self.requested.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = receiver.wait_for(|requested| *requested).await;
    }

    /// Registers work to wait for.
    pub fn busy(&self) -> Busy {
        self.busy.send_modify(|count| *count += 1);
        Busy(Arc::clone(&self.busy))
    }

    /// Resolves when nobody holds a [`Busy`] token.
    pub async fn drained(&self) {
        let mut receiver = self.busy.subscribe();
        let _ = receiver.wait_for(|count| *count == 0).await;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// SIGTERM and SIGINT: the first asks for a controlled stop, the second ends it at once.
#[derive(Debug)]
pub struct Signals {
    second: Arc<Notify>,
    /// Exit code of a process ended by the signal that came last; 0 before the first.
    exit_code: Arc<watch::Sender<u8>>,
}

impl Signals {
    /// Listens for both signals on the current runtime and gives `shutdown` the first.
    pub fn install(shutdown: Shutdown) -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let signals = Self {
            second: Arc::new(Notify::new()),
            exit_code: Arc::new(watch::Sender::new(0)),
        };
        let (second, exit_code) = (Arc::clone(&signals.second), Arc::clone(&signals.exit_code));
        tokio::spawn(async move {
            loop {
                let code = tokio::select! {
                    _ = terminate.recv() => 143,
                    _ = interrupt.recv() => 130,
                };
                if exit_code.send_replace(code) != 0 {
                    second.notify_one();
                    return;
                }
                shutdown.request();
            }
        });
        Ok(signals)
    }

    /// Whether a stop was asked for from outside; if not, the broker stops for a reason of its own.
    pub fn was_asked(&self) -> bool {
        *self.exit_code.borrow() != 0
    }

    /// Resolves at the second signal, with the exit code of a process ended by it: 143 or 130.
    pub async fn second(&self) -> u8 {
        self.second.notified().await;
        *self.exit_code.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_hears_the_signal_however_late_they_listen() {
        let shutdown = Shutdown::new();
        let early = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.requested().await }
        });
        assert!(!shutdown.is_requested());
        shutdown.request();
        early.await.unwrap();
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn drained_waits_for_the_last_token() {
        let shutdown = Shutdown::new();
        shutdown.drained().await;
        let (first, second) = (shutdown.busy(), shutdown.busy());
        drop(first);
        let waiting = shutdown.drained();
        tokio::pin!(waiting);
        tokio::select! {
            biased;
            () = &mut waiting => panic!("one token is left"),
            () = std::future::ready(()) => {}
        }
        drop(second);
        waiting.await;
    }
}
