//! Prometheus' text format, version 0.0.4.
//!
//! The format wants all series of a metric together, whatever the order in which they are collected: samples are
//! gathered in one buffer a metric and joined at the end.

use std::fmt::Write;
use std::time::Duration;

use ottla_protocol::ids::Timestamp;

use super::catalogue::{CATALOGUE, Name};
use super::histogram::Quantiles;

/// A scrape being written.
#[derive(Debug)]
pub struct Page {
    /// Reading of the monotonic clock at this scrape.
    pub monotonic: Duration,
    /// Time of this scrape.
    pub now: Timestamp,
    partitions: bool,
    families: Vec<String>,
}

impl Page {
    /// An empty page. Without `partitions`, what has a series a partition is left out.
    pub fn new(monotonic: Duration, now: Timestamp, partitions: bool) -> Self {
        Self {
            monotonic,
            now,
            partitions,
            families: vec![String::new(); CATALOGUE.len()],
        }
    }

    /// Whether samples of `name` are wanted; lets a collector save the work.
    pub fn wants(&self, name: Name) -> bool {
        self.partitions || !name.is_per_partition()
    }

    /// A counter or gauge that is a whole number. `labels` are values in the order of the table.
    pub fn whole(&mut self, name: Name, labels: &[&str], value: u64) {
        self.line(name, "", labels, None, |line| write!(line, "{value}"));
    }

    /// A gauge that may be negative.
    pub fn signed(&mut self, name: Name, labels: &[&str], value: i64) {
        self.line(name, "", labels, None, |line| write!(line, "{value}"));
    }

    /// A counter or gauge that is a fraction.
    pub fn fraction(&mut self, name: Name, labels: &[&str], value: f64) {
        self.line(name, "", labels, None, |line| write!(line, "{value}"));
    }

    /// A gauge that is 1 or 0.
    pub fn flag(&mut self, name: Name, labels: &[&str], value: bool) {
        self.whole(name, labels, u64::from(value));
    }

    /// A summary.
    pub fn summary(&mut self, name: Name, labels: &[&str], quantiles: &Quantiles) {
        for (quantile, value) in &quantiles.values {
            self.line(name, "", labels, Some(quantile), |line| {
                write!(line, "{value}")
            });
        }
        self.line(name, "_sum", labels, None, |line| {
            write!(line, "{}", quantiles.sum)
        });
        self.line(name, "_count", labels, None, |line| {
            write!(line, "{}", quantiles.count)
        });
    }

    fn line(
        &mut self,
        name: Name,
        suffix: &str,
        labels: &[&str],
        quantile: Option<&str>,
        value: impl FnOnce(&mut String) -> std::fmt::Result,
    ) {
        if !self.wants(name) {
            return;
        }
        let metric = name.metric();
        assert_eq!(
            metric.labels.len(),
            labels.len(),
            "{} has other labels",
            metric.name
        );
        let line = &mut self.families[name as usize];
        line.push_str(metric.name);
        line.push_str(suffix);
        let pairs = metric.labels.iter().copied().zip(labels.iter().copied());
        for (index, (label, text)) in pairs
            .chain(quantile.map(|quantile| ("quantile", quantile)))
            .enumerate()
        {
            line.push(if index == 0 { '{' } else { ',' });
            line.push_str(label);
            line.push_str("=\"");
            push_escaped(line, text);
            line.push('"');
        }
        line.push_str(if metric.labels.is_empty() && quantile.is_none() {
            " "
        } else {
            "} "
        });
        // Writing to a String cannot fail.
        let _ = value(line);
        line.push('\n');
    }

    /// The page: every metric that has a sample, with its help and type.
    pub fn finish(self) -> String {
        let mut text =
            String::with_capacity(self.families.iter().map(|family| family.len() + 128).sum());
        for (metric, family) in CATALOGUE
            .iter()
            .zip(&self.families)
            .filter(|(_, family)| !family.is_empty())
        {
            let _ = writeln!(
                text,
                "# HELP {} {}\n# TYPE {} {}",
                metric.name,
                metric.help,
                metric.name,
                metric.kind.name()
            );
            text.push_str(family);
        }
        text
    }
}

fn push_escaped(line: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\\' => line.push_str("\\\\"),
            '"' => line.push_str("\\\""),
            '\n' => line.push_str("\\n"),
            other => line.push(other),
        }
    }
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
        page.whole(Name::BytesIn, &["b\"\\\n"], 2);
        assert_eq!(
            page.finish(),
            "# HELP kafka_server_brokertopicmetrics_bytesin_total Bytes appended from clients\n\
             # TYPE kafka_server_brokertopicmetrics_bytesin_total counter\n\
             kafka_server_brokertopicmetrics_bytesin_total{topic=\"a\"} 1\n\
             kafka_server_brokertopicmetrics_bytesin_total{topic=\"b\\\"\\\\\\n\"} 2\n\
             # HELP kafka_server_raftmetrics_current_leader Node id of the quorum leader, -1 if unknown\n\
             # TYPE kafka_server_raftmetrics_current_leader gauge\n\
             kafka_server_raftmetrics_current_leader -1\n"
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
        let lines: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "kafka_network_requestmetrics_totaltimems{request=\"Fetch\",quantile=\"0.99\"} 1.5",
                "kafka_network_requestmetrics_totaltimems_sum{request=\"Fetch\"} 3",
                "kafka_network_requestmetrics_totaltimems_count{request=\"Fetch\"} 2",
            ]
        );
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
