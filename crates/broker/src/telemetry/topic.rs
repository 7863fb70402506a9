//! Traffic by topic (`BrokerTopicMetrics`).
//!
//! Whoever serves a topic keeps its `Arc<TopicCounters>` and counts without looking anything up. Above
//! `metrics.topic.series.max` topics, further ones share the counters of `__other__`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::catalogue::Name;
use super::page::Page;

const OTHER: &str = "__other__";

/// Why a batch was refused, where Kafka counts it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its checksum is wrong.
    Crc,
    /// It is not of format v2.
    Magic,
    /// Its offsets or sequence numbers are wrong.
    OffsetOrSequence,
    /// It has records without key, and the topic is compacted.
    NoKey,
}

/// Counters of one topic.
#[derive(Debug, Default)]
pub struct TopicCounters {
    messages_in: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    bytes_rejected: AtomicU64,
    produce_requests: AtomicU64,
    fetch_requests: AtomicU64,
    failed_produce_requests: AtomicU64,
    failed_fetch_requests: AtomicU64,
    refusals: [AtomicU64; 4],
}

impl TopicCounters {
    /// A batch from a client was appended.
    pub fn batch_appended(&self, records: u64, bytes: u64) {
        self.messages_in.fetch_add(records, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A Fetch request named partitions of the topic: record bytes sent to the consumer, and partitions that failed.
    pub fn fetched(&self, bytes: u64, failures: u64) {
        self.fetch_requests.fetch_add(1, Ordering::Relaxed);
        if bytes > 0 {
            self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
        }
        if failures > 0 {
            self.failed_fetch_requests
                .fetch_add(failures, Ordering::Relaxed);
        }
    }

    /// A batch was refused because it is larger than max.message.bytes.
    pub fn batch_too_large(&self, bytes: u64) {
        self.bytes_rejected.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A batch was refused for what is in it.
    pub fn batch_refused(&self, refusal: Refusal) {
        self.refusals[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A Produce request named a partition of the topic.
    pub fn produce_requested(&self) {
        self.produce_requests.fetch_add(1, Ordering::Relaxed);
    }

    /// It failed for that partition.
    pub fn produce_failed(&self) {
        self.failed_produce_requests.fetch_add(1, Ordering::Relaxed);
    }

    fn collect(&self, topic: &str, page: &mut Page) {
        let counters = [
            (Name::MessagesIn, &self.messages_in),
            (Name::BytesIn, &self.bytes_in),
            (Name::BytesOut, &self.bytes_out),
            (Name::BytesRejected, &self.bytes_rejected),
            (Name::TotalProduceRequests, &self.produce_requests),
            (Name::TotalFetchRequests, &self.fetch_requests),
            (Name::FailedProduceRequests, &self.failed_produce_requests),
            (Name::FailedFetchRequests, &self.failed_fetch_requests),
            (
                Name::InvalidMessageCrc,
                &self.refusals[Refusal::Crc as usize],
            ),
            (
                Name::InvalidMagicNumber,
                &self.refusals[Refusal::Magic as usize],
            ),
            (
                Name::InvalidOffsetOrSequence,
                &self.refusals[Refusal::OffsetOrSequence as usize],
            ),
            (
                Name::NoKeyCompactedTopic,
                &self.refusals[Refusal::NoKey as usize],
            ),
        ];
        for (name, counter) in counters {
            page.whole(name, &[topic], counter.load(Ordering::Relaxed));
        }
    }
}

/// Counters of all topics.
#[derive(Debug)]
pub struct TopicMetrics {
    max: usize,
    topics: Mutex<BTreeMap<String, Arc<TopicCounters>>>,
    other: Arc<TopicCounters>,
    folded: AtomicUsize,
}

impl TopicMetrics {
    /// No topics; at most `max` get series of their own.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            topics: Mutex::default(),
            other: Arc::default(),
            folded: AtomicUsize::new(0),
        }
    }

    /// The counters of `topic`. Call it once a topic and keep them: each call for a topic beyond the limit counts as
    /// one more folded topic.
    pub fn topic(&self, topic: &str) -> Arc<TopicCounters> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) = topics.get(topic) {
            return Arc::clone(counters);
        }
        if topics.len() >= self.max {
            self.folded.fetch_add(1, Ordering::Relaxed);
            return Arc::clone(&self.other);
        }
        Arc::clone(topics.entry(topic.to_owned()).or_default())
    }

    /// `topic` was deleted: its series end.
    pub fn remove(&self, topic: &str) {
        let removed = self
            .topics
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(topic);
        if removed.is_none() {
            let _ = self
                .folded
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |folded| {
                    folded.checked_sub(1)
                });
        }
    }

    pub(super) fn collect(&self, page: &mut Page) {
        let topics = self
            .topics
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for (topic, counters) in &topics {
            counters.collect(topic, page);
        }
        let folded = self.folded.load(Ordering::Relaxed);
        if folded > 0 {
            self.other.collect(OTHER, page);
        }
        page.whole(Name::TopicsFolded, &[], folded as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::ids::Timestamp;
    use std::time::Duration;

    fn render(metrics: &TopicMetrics) -> String {
        let mut page = Page::new(Duration::ZERO, Timestamp(0), true);
        metrics.collect(&mut page);
        page.finish()
    }

    #[test]
    fn what_happens_to_a_topic_is_counted_and_ends_with_it() {
        let metrics = TopicMetrics::new(10);
        let counters = metrics.topic("a");
        counters.batch_appended(3, 300);
        counters.fetched(50, 0);
        counters.batch_refused(Refusal::Crc);
        metrics.topic("a").batch_appended(1, 1);
        let text = render(&metrics);
        for line in [
            "kafka_server_brokertopicmetrics_messagesin_total{topic=\"a\"} 4",
            "kafka_server_brokertopicmetrics_bytesin_total{topic=\"a\"} 301",
            "kafka_server_brokertopicmetrics_bytesout_total{topic=\"a\"} 50",
            "kafka_server_brokertopicmetrics_invalidmessagecrcrecords_total{topic=\"a\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        metrics.remove("a");
        assert!(!render(&metrics).contains("topic=\"a\""));
    }

    #[test]
    fn topics_beyond_the_limit_are_counted_together() {
        let metrics = TopicMetrics::new(1);
        metrics.topic("a").batch_appended(1, 1);
        metrics.topic("b").batch_appended(1, 10);
        metrics.topic("c").batch_appended(1, 100);
        let text = render(&metrics);
        assert!(text.contains("bytesin_total{topic=\"__other__\"} 110"));
        assert!(text.contains("ottla_metrics_topics_folded 2"));
        assert!(!text.contains("topic=\"b\""));
        metrics.remove("b");
        assert!(render(&metrics).contains("ottla_metrics_topics_folded 1"));
    }
}
