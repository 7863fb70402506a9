//! What one measurement yields, and what it is held against.

use std::time::Duration;

use crate::stats::median;

const GIB: f64 = (1u64 << 30) as f64;

/// One measurement of one side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// User and system CPU time of the server.
    pub(crate) cpu: Duration,
    /// Time by the clock.
    pub(crate) wall: Duration,
    /// Record bytes moved.
    pub(crate) bytes: u64,
    /// Requests answered.
    pub(crate) requests: u64,
    /// Latency that half of the requests keep, ns.
    pub(crate) p50: u32,
    /// Latency that 99 % of the requests keep, ns.
    pub(crate) p99: u32,
    /// Resident memory of the server afterwards, bytes; 0 when not looked at.
    pub(crate) rss: u64,
    /// The part of it that belongs to no file, bytes.
    pub(crate) rss_anonymous: u64,
    /// Percentage of the tail's file that has left the page cache.
    pub(crate) hot_evicted: f64,
    /// Percentage of the file read from the disk that is in the page cache afterwards.
    pub(crate) cold_resident: f64,
}

/// A figure read off a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// CPU seconds of the server for each GiB of record bytes.
    CpuPerGib,
    /// CPU microseconds of the server for each request.
    CpuPerRequest,
    /// 10^6 record bytes a second.
    Throughput,
    /// Requests a second.
    RequestRate,
    /// Median latency, microseconds.
    P50,
    /// 99th percentile of latency, microseconds.
    P99,
    /// Time by the clock, milliseconds.
    Millis,
    /// Resident memory, MiB.
    Rss,
    /// Resident anonymous memory, MiB.
    RssAnonymous,
    /// Percentage of the tail's file that has left the page cache.
    HotEvicted,
    /// Percentage of the file read from the disk that is in the page cache afterwards.
    ColdResident,
}

impl Sample {
    /// The figure `metric`.
    pub(crate) fn get(&self, metric: Metric) -> f64 {
        let micros = 1e6 * self.cpu.as_secs_f64();
        match metric {
            Metric::CpuPerGib => self.cpu.as_secs_f64() / (self.bytes as f64 / GIB),
            Metric::CpuPerRequest => micros / self.requests as f64,
            Metric::Throughput => self.bytes as f64 / 1e6 / self.wall.as_secs_f64(),
            Metric::RequestRate => self.requests as f64 / self.wall.as_secs_f64(),
            Metric::P50 => f64::from(self.p50) / 1e3,
            Metric::P99 => f64::from(self.p99) / 1e3,
            Metric::Millis => self.wall.as_secs_f64() * 1e3,
            Metric::Rss => self.rss as f64 / f64::from(1 << 20),
            Metric::RssAnonymous => self.rss_anonymous as f64 / f64::from(1 << 20),
            Metric::HotEvicted => self.hot_evicted,
            Metric::ColdResident => self.cold_resident,
        }
    }
}

/// What the broker has to keep; the first side of a case is the raw one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// CPU per GiB at most this many times that of the raw side.
    TimesRaw(f64),
    /// CPU microseconds a request at most this many above the raw side.
    MicrosAboveRaw(f64),
    /// A figure at most this high.
    AtMost(Metric, f64),
}

impl Target {
    fn limit(&self) -> f64 {
        match self {
            Self::TimesRaw(limit) | Self::MicrosAboveRaw(limit) | Self::AtMost(_, limit) => *limit,
        }
    }

    /// Does `measured` keep the limit? A figure that could not be taken does not.
    pub(crate) fn is_met_by(&self, measured: f64) -> bool {
        measured <= self.limit()
    }

    /// What was measured: the median over repeats, of ratios and differences taken within each repeat.
    pub(crate) fn measured(&self, raw: &[Sample], side: &[Sample]) -> f64 {
        match self {
            Self::TimesRaw(_) => median(ratios(raw, side, Metric::CpuPerGib)),
            Self::MicrosAboveRaw(_) => {
                median(pairs(raw, side, Metric::CpuPerRequest).map(|(raw, side)| side - raw))
            }
            Self::AtMost(metric, _) => median(side.iter().map(|sample| sample.get(*metric))),
        }
    }
}

/// `side` divided by `raw`, repeat by repeat.
pub(crate) fn ratios(raw: &[Sample], side: &[Sample], metric: Metric) -> Vec<f64> {
    pairs(raw, side, metric)
        .map(|(raw, side)| side / raw)
        .collect()
}

fn pairs(raw: &[Sample], side: &[Sample], metric: Metric) -> impl Iterator<Item = (f64, f64)> {
    raw.iter()
        .zip(side)
        .map(move |(raw, side)| (raw.get(metric), side.get(metric)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu_ms: u64, requests: u64) -> Sample {
        let cpu = Duration::from_millis(cpu_ms);
        Sample {
            cpu,
            wall: Duration::from_secs(2),
            bytes: 1 << 30,
            requests,
            ..Sample::default()
        }
    }

    #[test]
    fn figures_have_their_units() {
        let sample = sample(500, 1000);
        assert_eq!(sample.get(Metric::CpuPerGib), 0.5);
        assert_eq!(sample.get(Metric::CpuPerRequest), 500.0);
        assert_eq!(sample.get(Metric::RequestRate), 500.0);
        assert!((sample.get(Metric::Throughput) - 536.870912).abs() < 1e-9);
    }

    #[test]
    fn ratios_are_taken_within_a_repeat() {
        let raw = [sample(100, 10), sample(400, 10), sample(200, 10)];
        let side = [sample(120, 10), sample(400, 10), sample(300, 10)];
        assert_eq!(Target::TimesRaw(1.25).measured(&raw, &side), 1.2);
        assert_eq!(Target::MicrosAboveRaw(6.0).measured(&raw, &side), 2000.0);
        assert_eq!(
            Target::AtMost(Metric::CpuPerGib, 1.0).measured(&raw, &side),
            0.3
        );
    }
}
