//! The log on standard error: `2026-11-21T02:13:39.123Z INFO network: message key=value`, or JSON, an object a line.

use std::fmt;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use ottla_protocol::ids::Timestamp;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::{Clock, SystemClock};

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

/// The log of this process, once it has begun.
pub struct Log {
    set_filter: Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>,
}

impl Log {
    /// Starts the log with these levels, unless `RUST_LOG` gives others. The first call of a process counts.
    pub fn start(format: LogFormat, levels: &str) -> Self {
        let filter =
            EnvFilter::builder().parse_lossy(from_environment().as_deref().unwrap_or(levels));
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        // A second log would be a mistake of a test, not of a user.
        match format {
            LogFormat::Text => {
                let builder = builder.event_format(Line).with_filter_reloading();
                let handle = builder.reload_handle();
                let _ = builder.try_init();
                let set = move |filter| handle.reload(filter).map_err(|error| error.to_string());
                Self {
                    set_filter: Box::new(set),
                }
            }
            LogFormat::Json => {
                let builder = builder
                    .json()
                    .flatten_event(true)
                    .with_timer(Millis)
                    .with_filter_reloading();
                let handle = builder.reload_handle();
                let _ = builder.try_init();
                let set = move |filter| handle.reload(filter).map_err(|error| error.to_string());
                Self {
                    set_filter: Box::new(set),
                }
            }
        }
    }

    /// Changes the levels of the running log.
    ///
    /// # Errors
    /// `levels` cannot be read, or `RUST_LOG` has the word.
    pub fn set_levels(&self, levels: &str) -> Result<(), String> {
        if from_environment().is_some() {
            return Err("RUST_LOG is set and wins".to_owned());
        }
        let filter = EnvFilter::builder()
            .parse(levels)
            .map_err(|error| error.to_string())?;
        (self.set_filter)(filter)
    }
}

fn from_environment() -> Option<String> {
    std::env::var("RUST_LOG")
        .ok()
        .filter(|text| !text.is_empty())
}

/// One event a line.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        Millis.format_time(&mut line)?;
        write!(
            line,
            " {} {}: ",
            metadata.level(),
            short_target(metadata.target())
        )?;
        context.field_format().format_fields(line.by_ref(), event)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span
                .extensions()
                .get::<FormattedFields<N>>()
                .filter(|fields| !fields.is_empty())
            {
                write!(line, " {fields}")?;
            }
        }
        writeln!(line)
    }
}

/// `ottla_broker::network::connection` is `network`.
fn short_target(target: &str) -> &str {
    let inner = ["ottla_broker::", "ottla_storage::", "ottla_"]
        .iter()
        .find_map(|prefix| target.strip_prefix(prefix));
    inner.unwrap_or(target).split("::").next().unwrap_or(target)
}

/// `2026-11-21T02:13:39.123Z`.
struct Millis;

impl FormatTime for Millis {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str(&rfc3339(SystemClock.now()))
    }
}

/// A time as text, UTC.
pub fn rfc3339(time: Timestamp) -> String {
    let (days, ms) = (time.0.div_euclid(86_400_000), time.0.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        ms % 1000
    )
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar (years counted from March).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Lets one line through in a while, and counts the ones it holds back.
#[derive(Debug)]
pub struct Repeats {
    every_ms: i64,
    next: AtomicI64,
    held_back: AtomicU64,
}

impl Repeats {
    /// One line in `every_ms` milliseconds.
    pub const fn new(every_ms: i64) -> Self {
        Self {
            every_ms,
            next: AtomicI64::new(i64::MIN),
            held_back: AtomicU64::new(0),
        }
    }

    /// Whether a line may be written now, and if so how many were held back since the last one.
    pub fn pass(&self, now: Timestamp) -> Option<u64> {
        let next = self.next.load(Ordering::Relaxed);
        let later = now.0.saturating_add(self.every_ms);
        if now.0 >= next
            && self
                .next
                .compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            return Some(self.held_back.swap(0, Ordering::Relaxed));
        }
        self.held_back.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_in_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_795_227_219_123, "2026-11-21T02:13:39.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(Timestamp(ms)), text);
        }
    }

    #[test]
    fn targets_are_shortened_to_the_part_that_speaks() {
        for (target, short) in [
            ("ottla_broker::network::connection", "network"),
            ("ottla_storage::log", "log"),
            ("ottla", "ottla"),
            ("hyper::proto", "hyper"),
        ] {
            assert_eq!(short_target(target), short);
        }
    }

    #[test]
    fn repeats_are_held_back_and_counted() {
        let repeats = Repeats::new(1000);
        let pass = |ms| repeats.pass(Timestamp(ms));
        assert_eq!([pass(0), pass(1), pass(999)], [Some(0), None, None]);
        assert_eq!(
            [pass(1000), pass(1001), pass(5000)],
            [Some(2), None, Some(1)]
        );
    }
}
