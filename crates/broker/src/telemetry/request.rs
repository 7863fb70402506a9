//! Requests by API: how many of which version, where their time went, what errors they got.
//!
//! One entry an API, made when the API is first used and found by its key without a lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ottla_protocol::ResponseError;

use super::catalogue::Name;
use super::histogram::Histogram;
use super::page::Page;

/// API keys there is room for; Kafka 4.1 ends at 92.
const APIS: usize = 128;
/// Versions there is room for; later ones are counted with the last.
const VERSIONS: usize = 24;
/// Error codes there is room for, from -1; later ones are counted with the last.
const ERRORS: usize = 160;

const FETCH: usize = 1;

/// Where the time of one request went. What is zero costs nothing to record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestTimes {
    /// Read, and waiting to be handled.
    pub request_queue: Duration,
    /// Being handled.
    pub local: Duration,
    /// Waiting for records, replicas or the controller.
    pub remote: Duration,
    /// Time that its client is held back by a quota, after the answer.
    pub throttle: Duration,
    /// Answered, and waiting for the responses before it.
    pub response_queue: Duration,
    /// Being written to the socket.
    pub response_send: Duration,
}

impl RequestTimes {
    fn total(&self) -> Duration {
        self.request_queue + self.local + self.remote + self.response_queue + self.response_send
    }
}

/// Counters of all APIs.
#[derive(Debug)]
pub struct RequestMetrics {
    apis: Box<[OnceLock<Box<ApiMetrics>>; APIS]>,
}

/// Counters of one API.
#[derive(Debug)]
struct ApiMetrics {
    name: &'static str,
    versions: [AtomicU64; VERSIONS],
    errors: Box<[AtomicU64; ERRORS]>,
    total: Histogram,
    /// In the order of [`PARTS`].
    parts: [OnceLock<Histogram>; PARTS.len()],
    bytes: Histogram,
}

const PARTS: [Name; 6] = [
    Name::RequestQueueTime,
    Name::LocalTime,
    Name::RemoteTime,
    Name::ThrottleTime,
    Name::ResponseQueueTime,
    Name::ResponseSendTime,
];

impl Default for RequestMetrics {
    fn default() -> Self {
        Self {
            apis: Box::new([const { OnceLock::new() }; APIS]),
        }
    }
}

impl RequestMetrics {
    /// A request was answered and the answer sent. `name` is the API's, `bytes` the size of the request.
    pub fn request_done(
        &self,
        api_key: i16,
        name: &'static str,
        version: i16,
        bytes: usize,
        times: &RequestTimes,
    ) {
        let Some(api) = self.api(api_key, name) else {
            return;
        };
        api.versions[index(version, VERSIONS)].fetch_add(1, Ordering::Relaxed);
        api.bytes.record(bytes as u64);
        api.total.record_time(times.total());
        let parts = [
            times.request_queue,
            times.local,
            times.remote,
            times.throttle,
            times.response_queue,
            times.response_send,
        ];
        for (part, time) in api
            .parts
            .iter()
            .zip(parts)
            .filter(|(_, time)| !time.is_zero())
        {
            part.get_or_init(Histogram::default).record_time(time);
        }
    }

    /// Counts the error codes of one response of this API.
    pub fn errors(&self, api_key: i16, name: &'static str) -> ErrorTally<'_> {
        ErrorTally {
            api: self.api(api_key, name),
            code: 0,
            count: 0,
        }
    }

    fn api(&self, api_key: i16, name: &'static str) -> Option<&ApiMetrics> {
        let slot = self.apis.get(usize::try_from(api_key).ok()?)?;
        Some(slot.get_or_init(|| Box::new(ApiMetrics::new(name))))
    }

    pub(super) fn collect(&self, page: &mut Page) {
        for (key, api) in self
            .apis
            .iter()
            .enumerate()
            .filter_map(|(key, slot)| Some((key, slot.get()?)))
        {
            api.collect(api.name, page);
            if key == FETCH {
                // Kafka shows a fetch twice: as what it is, and by who asks. Followers do not exist yet.
                api.collect_times("FetchConsumer", page);
            }
        }
        page.whole(Name::RequestQueueSize, &[], 0);
        page.whole(Name::ResponseQueueSize, &[], 0);
    }
}

/// The error codes of one response. A run of equal codes, which most responses are, costs one addition.
#[derive(Debug)]
pub struct ErrorTally<'a> {
    api: Option<&'a ApiMetrics>,
    code: i16,
    count: u64,
}

impl ErrorTally<'_> {
    /// An entry of the response has this code; 0 is NONE.
    pub fn add(&mut self, error_code: i16) {
        if error_code != self.code {
            self.flush();
            self.code = error_code;
        }
        self.count += 1;
    }

    /// Entries of the response have these codes.
    pub fn add_all(&mut self, error_codes: impl IntoIterator<Item = i16>) {
        error_codes.into_iter().for_each(|code| self.add(code));
    }

    fn flush(&mut self) {
        if let Some(api) = self.api.filter(|_| self.count > 0) {
            let counter = &api.errors[index(self.code.saturating_add(1), ERRORS)];
            counter.fetch_add(self.count, Ordering::Relaxed);
        }
        self.count = 0;
    }
}

impl Drop for ErrorTally<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

impl ApiMetrics {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            versions: [const { AtomicU64::new(0) }; VERSIONS],
            errors: Box::new([const { AtomicU64::new(0) }; ERRORS]),
            total: Histogram::default(),
            parts: [const { OnceLock::new() }; PARTS.len()],
            bytes: Histogram::default(),
        }
    }

    fn collect(&self, name: &str, page: &mut Page) {
        for (version, count) in counted(&self.versions) {
            page.whole(Name::Requests, &[name, &version.to_string()], count);
        }
        for (code, count) in counted(&*self.errors) {
            page.whole(Name::Errors, &[name, &error_name(code as i16 - 1)], count);
        }
        self.collect_times(name, page);
    }

    fn collect_times(&self, name: &str, page: &mut Page) {
        let now = page.monotonic;
        let total = self.total.quantiles(now, MS_PER_US, 0);
        page.summary(Name::TotalTime, &[name], &total);
        page.summary(
            Name::RequestBytes,
            &[name],
            &self.bytes.quantiles(now, 1.0, 0),
        );
        for (part, histogram) in PARTS.iter().zip(&self.parts) {
            // Parts of no length were not recorded; they count as zero.
            let quantiles = match histogram.get() {
                Some(histogram) => histogram.quantiles(
                    now,
                    MS_PER_US,
                    total.count.saturating_sub(histogram.count()),
                ),
                None => Histogram::default().quantiles(now, MS_PER_US, total.count),
            };
            page.summary(*part, &[name], &quantiles);
        }
    }
}

const MS_PER_US: f64 = 0.001;

fn index(number: i16, length: usize) -> usize {
    usize::try_from(number).unwrap_or(0).min(length - 1)
}

fn counted(counters: &[AtomicU64]) -> impl Iterator<Item = (usize, u64)> {
    let counts = counters
        .iter()
        .map(|counter| counter.load(Ordering::Relaxed));
    counts.enumerate().filter(|(_, count)| *count > 0)
}

/// `UNKNOWN_TOPIC_OR_PARTITION` and the like, as `Errors` in Kafka names its constants.
fn error_name(code: i16) -> String {
    if code == 0 {
        return "NONE".to_owned();
    }
    let camel = match ResponseError::try_from_code(code) {
        None | Some(ResponseError::Unknown(_)) => "UnknownServerError".to_owned(),
        Some(error) => format!("{error:?}"),
    };
    let mut name = String::with_capacity(camel.len() + 8);
    for (index, character) in camel.char_indices() {
        if character.is_ascii_uppercase() && index > 0 {
            name.push('_');
        }
        name.push(character.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::ids::Timestamp;

    fn render(metrics: &RequestMetrics) -> String {
        let mut page = Page::new(Duration::ZERO, Timestamp(0), true);
        metrics.collect(&mut page);
        page.finish()
    }

    #[test]
    fn a_request_shows_in_version_times_and_size() {
        let metrics = RequestMetrics::default();
        let times = RequestTimes {
            local: Duration::from_millis(2),
            remote: Duration::from_millis(1),
            ..Default::default()
        };
        metrics.request_done(0, "Produce", 9, 100, &times);
        metrics.request_done(0, "Produce", 9, 100, &RequestTimes::default());
        let text = render(&metrics);
        for line in [
            "kafka_network_requestmetrics_requests_total{request=\"Produce\",version=\"9\"} 2",
            "kafka_network_requestmetrics_totaltimems_sum{request=\"Produce\"} 3",
            "kafka_network_requestmetrics_totaltimems_count{request=\"Produce\"} 2",
            "kafka_network_requestmetrics_localtimems_count{request=\"Produce\"} 2",
            "kafka_network_requestmetrics_localtimems_sum{request=\"Produce\"} 2",
            "kafka_network_requestmetrics_responsesendtimems_count{request=\"Produce\"} 2",
            "kafka_network_requestmetrics_requestbytes_sum{request=\"Produce\"} 200",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_fetch_also_shows_as_a_consumers_but_is_counted_once() {
        let metrics = RequestMetrics::default();
        metrics.request_done(1, "Fetch", 12, 10, &RequestTimes::default());
        let text = render(&metrics);
        assert!(text.contains("totaltimems_count{request=\"FetchConsumer\"} 1"));
        assert_eq!(text.matches("requests_total{").count(), 1);
    }

    #[test]
    fn errors_have_the_names_of_kafka() {
        for (code, name) in [
            (0, "NONE"),
            (-1, "UNKNOWN_SERVER_ERROR"),
            (3, "UNKNOWN_TOPIC_OR_PARTITION"),
            (6, "NOT_LEADER_OR_FOLLOWER"),
            (87, "INVALID_RECORD"),
            (30_000, "UNKNOWN_SERVER_ERROR"),
        ] {
            assert_eq!(error_name(code), name, "{code}");
        }
        let metrics = RequestMetrics::default();
        metrics.errors(3, "Metadata").add_all([0, 0, 3, 3, 0, -1]);
        metrics.errors(3, "Metadata").add(3);
        let text = render(&metrics);
        assert!(
            text.contains(
                "errors_total{request=\"Metadata\",error=\"UNKNOWN_TOPIC_OR_PARTITION\"} 3"
            )
        );
        assert!(
            text.contains("errors_total{request=\"Metadata\",error=\"UNKNOWN_SERVER_ERROR\"} 1")
        );
    }

    #[test]
    fn numbers_out_of_range_are_survived() {
        let metrics = RequestMetrics::default();
        for key in [i16::MIN, -1, 127, 128, i16::MAX] {
            for number in [i16::MIN, -1, 200, i16::MAX] {
                metrics.request_done(key, "X", number, usize::MAX, &RequestTimes::default());
                metrics.errors(key, "X").add(number);
            }
        }
        assert!(render(&metrics).contains("version=\"23\""));
    }
}
