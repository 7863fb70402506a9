//! States of the broker for a scrape: partitions, data directories, the controller.

use std::sync::{Arc, Weak};

use super::Broker;
use crate::metadata::cache::MetadataCache;
use crate::metadata::image::MetadataImage;
use crate::partition::Partition;
use crate::partition::manager::PartitionManager;
use crate::partition::topic::Topic;
use crate::telemetry::sample::{
    ControllerSample, LeaderSample, PartitionSample, PartitionTotals, QuorumSample,
    write_controller, write_offline,
};
use crate::telemetry::{Collect, Page};

/// Asked at each scrape.
pub(super) struct BrokerSamples {
    node_id: i32,
    metadata: Arc<MetadataCache>,
    /// Weak, because the partitions hold the counters that hold this.
    partitions: Weak<PartitionManager>,
}

impl BrokerSamples {
    /// Samples of `broker`.
    pub(super) fn new(broker: &Broker) -> Self {
        Self {
            node_id: broker.config.node.node_id,
            metadata: Arc::clone(&broker.metadata.cache),
            partitions: Arc::downgrade(&broker.partitions),
        }
    }

    fn partition<'a>(&self, topic: &'a Topic, partition: &Partition) -> PartitionSample<'a> {
        let offsets = partition.offsets();
        PartitionSample {
            topic: &topic.name,
            partition: partition.id.partition.0,
            log_start_offset: offsets.log_start.0,
            log_end_offset: partition.reader().log_end_offset().0,
            last_stable_offset_lag: offsets.high_watermark.0 - offsets.last_stable.0,
            size: partition.reader().size(),
            segments: partition.reader().segments() as u64,
            // This broker is the only replica of everything it has.
            leader: Some(LeaderSample {
                leader: self.node_id,
                is_preferred: true,
                replicas: 1,
                in_sync: 1,
                min_in_sync: 1,
            }),
        }
    }

    fn quorum(&self, image: &MetadataImage) -> QuorumSample {
        let at = image.provenance;
        let end = at.last_contained_offset.0 + 1;
        QuorumSample {
            leader: self.node_id,
            vote: self.node_id,
            epoch: at.last_contained_epoch.0,
            high_watermark: end,
            log_end_offset: end,
            voters: 1,
            state: "leader",
            last_applied_offset: at.last_contained_offset.0,
            last_applied_timestamp: at.last_contained_log_time.0,
        }
    }
}

impl Collect for BrokerSamples {
    fn collect(&self, page: &mut Page) {
        let mut totals = PartitionTotals::default();
        let topics = self
            .partitions
            .upgrade()
            .map(|partitions| partitions.topics());
        let mut offline = 0;
        for topic in topics.unwrap_or_default() {
            offline += topic.offline_count() as u64;
            for partition in topic.partitions() {
                let sample = self.partition(&topic, partition);
                totals.add(&sample);
                sample.write(page);
            }
        }
        totals.write(page);
        if let Some(partitions) = self.partitions.upgrade() {
            let dirs = partitions.dirs();
            write_offline(dirs.offline() as u64, offline, page);
            dirs.collect(page);
        }

        let image = self.metadata.image();
        let topics = image
            .topics
            .iter()
            .map(|topic| (&**topic.name(), topic.partition_count() as u64));
        let brokers = image
            .cluster
            .brokers()
            .filter(|broker| broker.is_active())
            .map(|broker| {
                let endpoint = broker.record().end_points.first();
                (
                    broker.id().0,
                    endpoint
                        .map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port))
                        .unwrap_or_default(),
                )
            });
        let sample = ControllerSample {
            topics: topics.collect(),
            brokers: brokers.collect(),
            fenced: image
                .cluster
                .brokers()
                .filter(|broker| !broker.is_active())
                .count() as u64,
            offline_partitions: offline_partitions(&image),
            last_applied_offset: image.provenance.last_contained_offset.0,
            ..ControllerSample::default()
        };
        write_controller(Some(&sample), page);
        self.quorum(&image).write(page);
    }
}

fn offline_partitions(image: &MetadataImage) -> u64 {
    let partitions = image.topics.iter().flat_map(|topic| topic.partitions());
    partitions
        .filter(|(_, partition)| !partition.has_leader())
        .count() as u64
}
