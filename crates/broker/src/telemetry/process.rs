//! The process as the system sees it: `process_*`, disk traffic, and how idle the runtime is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};
use tokio::runtime::Handle;

use super::Collect;
use super::catalogue::{NAMES, Name};
use super::page::Page;

/// Asks the system at each scrape.
#[derive(Debug, Default)]
pub struct ProcessMetrics {
    busy: Mutex<Busy>,
}

/// What the workers had done at the turn of the last window.
#[derive(Debug, Default)]
struct Busy {
    at: Duration,
    busy: Duration,
}

impl Collect for ProcessMetrics {
    fn collect(&self, page: &mut Page) {
        for (name, value) in process_samples() {
            page.fraction(name, &[], value);
        }
        if let Some((read, written)) = std::fs::read_to_string("/proc/self/io")
            .ok()
            .as_deref()
            .and_then(disk_bytes)
        {
            page.whole(Name::DiskReadBytes, &[], read);
            page.whole(Name::DiskWriteBytes, &[], written);
        }
        if let Ok(runtime) = Handle::try_current() {
            let idle = self.idle_share(page.monotonic, &runtime);
            page.fraction(Name::NetworkIdle, &[], idle);
            page.fraction(Name::HandlerIdle, &[], idle);
        }
    }
}

impl ProcessMetrics {
    /// The idle share of the runtime's workers since the last window.
    fn idle_share(&self, now: Duration, runtime: &Handle) -> f64 {
        let metrics = runtime.metrics();
        let workers = metrics.num_workers();
        let busy: Duration = (0..workers)
            .map(|worker| metrics.worker_total_busy_duration(worker))
            .sum();
        let mut last = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let share = idle(
            busy.saturating_sub(last.busy),
            now.saturating_sub(last.at),
            workers,
        );
        if now.saturating_sub(last.at) >= WINDOW {
            *last = Busy { at: now, busy };
        }
        share
    }
}

/// The share is taken over at least this much time.
const WINDOW: Duration = Duration::from_secs(30);

#[expect(clippy::cast_precision_loss, reason = "a handful of workers")]
fn idle(busy: Duration, elapsed: Duration, workers: usize) -> f64 {
    let possible = elapsed.as_secs_f64() * workers as f64;
    if possible > 0.0 {
        (1.0 - busy.as_secs_f64() / possible).clamp(0.0, 1.0)
    } else {
        1.0
    }
}

/// `read_bytes` and `write_bytes` of `/proc/self/io`.
fn disk_bytes(text: &str) -> Option<(u64, u64)> {
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    };
    Some((field("read_bytes:")?, field("write_bytes:")?))
}

/// What `metrics-process` finds, under the names of the table.
fn process_samples() -> Vec<(Name, f64)> {
    let samples = Samples::default();
    metrics::with_local_recorder(&samples, || metrics_process::Collector::default().collect());
    std::mem::take(&mut *samples.0.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A recorder that keeps what it is told until it is asked.
#[derive(Debug, Default)]
struct Samples(Arc<Mutex<Vec<(Name, f64)>>>);

#[derive(Debug)]
struct Sample {
    name: Name,
    samples: Arc<Mutex<Vec<(Name, f64)>>>,
}

impl Samples {
    fn sample(&self, key: &Key) -> Option<Arc<Sample>> {
        let name = NAMES
            .iter()
            .copied()
            .find(|name| name.metric().name == key.name())?;
        Some(Arc::new(Sample {
            name,
            samples: Arc::clone(&self.0),
        }))
    }
}

impl Sample {
    fn put(&self, value: f64) {
        self.samples
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((self.name, value));
    }
}

impl Recorder for Samples {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.sample(key)
            .map_or_else(Counter::noop, Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.sample(key).map_or_else(Gauge::noop, Gauge::from_arc)
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

impl GaugeFn for Sample {
    fn increment(&self, _: f64) {}
    fn decrement(&self, _: f64) {}
    fn set(&self, value: f64) {
        self.put(value);
    }
}

impl CounterFn for Sample {
    fn increment(&self, _: u64) {}

    #[expect(clippy::cast_precision_loss, reason = "shown, not counted with")]
    fn absolute(&self, value: u64) {
        self.put(value as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_memory_and_threads() {
        let samples = process_samples();
        for name in [
            Name::ProcessResidentMemory,
            Name::ProcessThreads,
            Name::ProcessOpenFds,
            Name::ProcessMaxFds,
        ] {
            assert!(
                samples
                    .iter()
                    .any(|(found, value)| *found == name && *value > 0.0),
                "{name:?} in {samples:?}"
            );
        }
    }

    #[test]
    fn disk_traffic_is_read_from_proc() {
        let text =
            "rchar: 1\nwchar: 2\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n";
        assert_eq!(disk_bytes(text), Some((4096, 8192)));
        assert_eq!(disk_bytes("rchar: 1"), None);
    }

    #[test]
    fn idle_is_what_is_left_of_all_workers_time() {
        let seconds = Duration::from_secs;
        assert_eq!(idle(seconds(5), seconds(10), 2), 0.75);
        assert_eq!(idle(seconds(30), seconds(10), 2), 0.0);
        assert_eq!(idle(seconds(0), seconds(0), 2), 1.0);
    }
}
