//! Runs the clients of one measurement, each a blocking thread, and reads the server's CPU clock around them.

use std::sync::Barrier;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use crate::clock::{CpuClock, now};
use crate::error::{BenchError, Result};
use crate::sample::Sample;
use crate::stats::percentile;

/// One connection's share of a measurement.
pub(crate) trait Conversation: Send {
    /// One request with its answer (or, when pipelined, one request and as many answers as are due);
    /// returns the record bytes moved.
    fn turn(&mut self) -> Result<u64>;

    /// Receives the answers still owed.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    /// Takes the times from sending to answer of the requests answered since the last call, ns. `None`: a turn is one
    /// request with its answer, so that it takes as long as the request.
    fn take_latencies(&mut self) -> Option<Vec<u32>> {
        None
    }
}

/// When a conversation ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// After this time by the clock.
    Elapsed(Duration),
    /// After this many turns of each conversation.
    Turns(usize),
}

/// Unmeasured turns of each conversation, which take connection set-up and cold caches out of the figures.
const WARM_UP_TURNS: usize = 3;

/// Holds all `conversations` at once and measures them with the server's CPU `clock`.
pub(crate) fn drive(
    clock: CpuClock,
    conversations: Vec<Box<dyn Conversation + '_>>,
    until: Until,
) -> Result<Sample> {
    let warm = Barrier::new(conversations.len() + 1);
    let go = Barrier::new(conversations.len() + 1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = conversations
            .into_iter()
            .map(|mut conversation| {
                let (warm, go) = (&warm, &go);
                scope.spawn(move || {
                    let warmed = warm_up(&mut *conversation);
                    warm.wait();
                    go.wait();
                    warmed?;
                    hold(&mut *conversation, until)
                })
            })
            .collect();
        warm.wait();
        let cpu = clock.read();
        let start = now();
        go.wait();
        let held = join(threads)?;
        let wall = now() - start;
        Ok(summed(held, clock.read()?.saturating_sub(cpu?), wall))
    })
}

/// What one conversation saw.
struct Held {
    bytes: u64,
    turns: usize,
    latencies: Vec<u32>,
}

fn warm_up(conversation: &mut dyn Conversation) -> Result<()> {
    for _ in 0..WARM_UP_TURNS {
        conversation.turn()?;
    }
    conversation.finish()?;
    conversation.take_latencies();
    Ok(())
}

fn hold(conversation: &mut dyn Conversation, until: Until) -> Result<Held> {
    let mut held = Held {
        bytes: 0,
        turns: 0,
        latencies: Vec::with_capacity(1 << 14),
    };
    let start = now();
    let mut last = start;
    while !ended(until, last - start, held.turns) {
        held.bytes += conversation.turn()?;
        held.turns += 1;
        let turned = now();
        held.latencies.push(nanos(last, turned));
        last = turned;
    }
    conversation.finish()?;
    if let Some(latencies) = conversation.take_latencies() {
        held.latencies = latencies;
    }
    Ok(held)
}

fn ended(until: Until, elapsed: Duration, turns: usize) -> bool {
    match until {
        Until::Elapsed(limit) => elapsed >= limit,
        Until::Turns(limit) => turns >= limit,
    }
}

/// Nanoseconds between two instants; 4 s and more are the most that it tells.
pub(crate) fn nanos(from: Instant, to: Instant) -> u32 {
    u32::try_from((to - from).as_nanos()).unwrap_or(u32::MAX)
}

fn join(threads: Vec<ScopedJoinHandle<'_, Result<Held>>>) -> Result<Vec<Held>> {
    let gone = || BenchError::Server("a client thread panicked".into());
    threads
        .into_iter()
        .map(|thread| thread.join().map_err(|_| gone())?)
        .collect()
}

fn summed(held: Vec<Held>, cpu: Duration, wall: Duration) -> Sample {
    let bytes = held.iter().map(|held| held.bytes).sum();
    let requests = held.iter().map(|held| held.turns as u64).sum();
    let mut latencies: Vec<u32> = held.into_iter().flat_map(|held| held.latencies).collect();
    Sample {
        cpu,
        wall,
        bytes,
        requests,
        p50: percentile(&mut latencies, 50),
        p99: percentile(&mut latencies, 99),
        ..Sample::default()
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::Pid;

    use super::*;

    struct Counting {
        turns: usize,
        fails_at: usize,
        waited: Vec<u32>,
    }

    impl Counting {
        fn failing_at(fails_at: usize) -> Box<dyn Conversation> {
            Box::new(Self {
                turns: 0,
                fails_at,
                waited: Vec::new(),
            })
        }
    }

    impl Conversation for Counting {
        fn turn(&mut self) -> Result<u64> {
            self.turns += 1;
            self.waited.push(1_000_000 * self.turns as u32);
            if self.turns == self.fails_at {
                Err(BenchError::Malformed("as told".into()))
            } else {
                Ok(10)
            }
        }

        fn take_latencies(&mut self) -> Option<Vec<u32>> {
            Some(std::mem::take(&mut self.waited))
        }
    }

    fn two(fails_at: usize) -> Vec<Box<dyn Conversation>> {
        vec![Counting::failing_at(0), Counting::failing_at(fails_at)]
    }

    #[test]
    fn counts_what_is_behind_the_warm_up() {
        let clock = CpuClock::of(Pid::this()).unwrap();
        let sample = drive(clock, two(0), Until::Turns(100)).unwrap();
        assert_eq!((sample.requests, sample.bytes), (200, 2000));
        // Turns 4 to 103 of both.
        assert_eq!((sample.p50, sample.p99), (53_000_000, 102_000_000));
    }

    #[test]
    fn a_failure_in_warm_up_or_later_ends_the_measurement() {
        let clock = CpuClock::of(Pid::this()).unwrap();
        for fails_at in [1, 50] {
            assert!(drive(clock, two(fails_at), Until::Turns(100)).is_err());
        }
    }
}
