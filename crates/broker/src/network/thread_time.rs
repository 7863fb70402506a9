//! The time that one request keeps threads busy: what it waits for is not part of it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Sums up the polls of the futures that work for one request.
#[derive(Debug, Default)]
pub struct ThreadTime(Mutex<Spent>);

#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    before: Duration,
    /// Start of the poll that is under way.
    since: Option<Instant>,
}

impl ThreadTime {
    /// Drive `work` and count its polls.
    pub async fn of<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            self.with(|spent| spent.since = Some(Instant::now()));
            let polled = work.as_mut().poll(context);
            self.with(|spent| {
                *spent = Spent {
                    before: spent.total(),
                    since: None,
                }
            });
            polled
        })
        .await
    }

    /// Time spent so far, within a poll as well.
    pub fn total(&self) -> Duration {
        self.with(|spent| spent.total())
    }

    fn with<R>(&self, change: impl FnOnce(&mut Spent) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Spent {
    fn total(&self) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waiting_is_not_counted() {
        let time = ThreadTime::default();
        let work = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            // The paused clock moves within this poll.
            let mut advance = pin!(tokio::time::advance(Duration::from_millis(30)));
            poll_fn(|context| advance.as_mut().poll(context)).await;
            time.total()
        };
        let within = time.of(work).await;
        assert!(within <= Duration::from_millis(30), "{within:?}");
        assert_eq!(time.total(), within);
    }
}
