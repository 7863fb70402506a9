//! A scrape in the making: counters and states are handed to a recorder of `metrics-exporter-prometheus`, which
//! writes Prometheus' text format.
//!
//! The recorder lives as long as one scrape. A long-lived one would keep the series of deleted topics until a timeout,
//! wake an idle process for its upkeep, and hold sketches of hundreds of KiB for each summary. Summaries are therefore
//! worked out by [`super::histogram`] and written in the JMX exporter's dialect: a gauge a quantile, and `_sum` and
//! `_count`.

use std::time::Duration;

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder, SharedString};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use ottla_protocol::ids::Timestamp;

use super::catalogue::{Kind, Name};
use super::histogram::Quantiles;

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// A scrape being written.
#[derive(Debug)]
pub struct Page {
    /// Reading of the monotonic clock at this scrape.
    pub monotonic: Duration,
    /// Time of this scrape.
    pub now: Timestamp,
    partitions: bool,
    recorder: PrometheusRecorder,
}

impl Page {
    /// An empty page. Without `partitions`, what has a series a partition is left out.
    pub fn new(monotonic: Duration, now: Timestamp, partitions: bool) -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        for name in super::catalogue::NAMES {
            let metric = name.metric();
            let (key, help) = (
                KeyName::from_const_str(metric.name),
                SharedString::const_str(metric.help),
            );
            match metric.kind {
                Kind::Counter => recorder.describe_counter(key, None, help),
                Kind::Gauge | Kind::Summary => recorder.describe_gauge(key, None, help),
            }
        }
        Self {
            monotonic,
            now,
            partitions,
            recorder,
        }
    }

    /// Whether samples of `name` are wanted; lets a collector save the work.
    pub fn wants(&self, name: Name) -> bool {
        self.partitions || !name.is_per_partition()
    }

    /// A counter or gauge that is a whole number. `labels` are values in the order of the table.
    pub fn whole(&mut self, name: Name, labels: &[&str], value: u64) {
        match name.metric().kind {
            Kind::Counter if self.wants(name) => self.counter(key(name, labels), value),
            _ => self.fraction(name, labels, value as f64),
        }
    }

    /// A gauge that may be negative.
    pub fn signed(&mut self, name: Name, labels: &[&str], value: i64) {
        self.fraction(name, labels, value as f64);
    }

    /// A gauge that is a fraction.
    pub fn fraction(&mut self, name: Name, labels: &[&str], value: f64) {
        if self.wants(name) {
            self.gauge(key(name, labels), value);
        }
    }

    /// A gauge that is 1 or 0.
    pub fn flag(&mut self, name: Name, labels: &[&str], value: bool) {
        self.whole(name, labels, u64::from(value));
    }

    /// A summary.
    pub fn summary(&mut self, name: Name, labels: &[&str], quantiles: &Quantiles) {
        if !self.wants(name) {
            return;
        }
        let key = key(name, labels);
        for (quantile, value) in &quantiles.values {
            self.gauge(
                key.with_extra_labels(vec![Label::from_static_parts("quantile", quantile)]),
                *value,
            );
        }
        let suffixed =
            |suffix| Key::from_parts(format!("{}{suffix}", name.metric().name), key.labels());
        self.gauge(suffixed("_sum"), quantiles.sum);
        self.counter(suffixed("_count"), quantiles.count);
    }

    /// The page: every metric that has a sample, with its help and type.
    pub fn finish(self) -> String {
        self.recorder.handle().render()
    }

    fn counter(&self, key: Key, value: u64) {
        self.recorder
            .register_counter(&key, &METADATA)
            .absolute(value);
    }

    fn gauge(&self, key: Key, value: f64) {
        self.recorder.register_gauge(&key, &METADATA).set(value);
    }
}

fn key(name: Name, labels: &[&str]) -> Key {
    let metric = name.metric();
    assert_eq!(
        metric.labels.len(),
        labels.len(),
        "{} has other labels",
        metric.name
    );
    let labels = metric
        .labels
        .iter()
        .zip(labels)
        .map(|(label, value)| Label::new(*label, (*value).to_owned()));
    Key::from_parts(metric.name, labels.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(partitions: bool) -> Page {
        Page::new(Duration::ZERO, Timestamp(0), partitions)
    }

    #[test]
    fn series_of_one_metric_stand_together_under_help_and_type() {
        let mut page = page(true);
        page.whole(Name::BytesIn, &["a"], 1);
        page.signed(Name::RaftCurrentLeader, &[], -1);
        page.whole(Name::BytesIn, &["b\"\n"], 2);
        let text = page.finish();
        let mut families: Vec<&str> = text.trim().split("\n\n").collect();
        families.sort_unstable();
        let [bytes_in, leader] = families[..] else {
            panic!("two metrics: {text}")
        };
        let mut series: Vec<&str> = bytes_in.lines().collect();
        series[2..].sort_unstable();
        assert_eq!(
            series,
            [
                "# HELP kafka_server_brokertopicmetrics_bytesin_total Bytes appended from clients",
                "# TYPE kafka_server_brokertopicmetrics_bytesin_total counter",
                "kafka_server_brokertopicmetrics_bytesin_total{topic=\"a\"} 1",
                "kafka_server_brokertopicmetrics_bytesin_total{topic=\"b\\\"\\n\"} 2",
            ]
        );
        assert!(
            leader.ends_with("kafka_server_raftmetrics_current_leader -1"),
            "{leader}"
        );
    }

    #[test]
    fn a_summary_has_quantiles_sum_and_count() {
        let mut page = page(true);
        let quantiles = Quantiles {
            values: vec![("0.99", 1.5)],
            sum: 3.0,
            count: 2,
        };
        page.summary(Name::TotalTime, &["Fetch"], &quantiles);
        let text = page.finish();
        for line in [
            "kafka_network_requestmetrics_totaltimems{request=\"Fetch\",quantile=\"0.99\"} 1.5",
            "kafka_network_requestmetrics_totaltimems_sum{request=\"Fetch\"} 3",
            "kafka_network_requestmetrics_totaltimems_count{request=\"Fetch\"} 2",
        ] {
            assert!(
                text.lines().any(|written| written == line),
                "{line} in {text}"
            );
        }
    }

    #[test]
    fn the_broker_scope_leaves_partitions_out() {
        let mut page = page(false);
        page.whole(Name::LogSize, &["a", "0"], 1);
        page.whole(Name::LeaderCount, &[], 1);
        assert!(!page.wants(Name::LogSize) && page.wants(Name::LeaderCount));
        assert!(!page.finish().contains("kafka_log_log_size"));
    }
}
