//! DescribeLogDirs (KIP-113, KIP-827): which data directory holds which partitions, and how large they are.
//!
//! Versions 1-4. v2: flexible. v3: an error for the whole request. v4: size of the file system and what is left of it.
//! Null asks for all partitions; one that is not here is left out. The size counts the segments from the one with the
//! start of the log on; the lag is 0, for there is no other replica, and no log is on its way to another directory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::TopicPartition;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use ottla_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use ottla_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use ottla_storage::log_manager::{LogManager, PartitionLog};

use super::Handler;
use crate::broker::Broker;
use crate::network::request::RequestContext;
use crate::telemetry::disk::Space;

/// The API.
#[derive(Debug)]
pub struct DescribeLogDirs;

impl Handler for DescribeLogDirs {
    type Request = DescribeLogDirsRequest;
    const NAME: &'static str = "DescribeLogDirs";
    const VERSIONS: RangeInclusive<i16> = 1..=4;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: DescribeLogDirsRequest,
    ) -> DescribeLogDirsResponse {
        let partitions = Arc::clone(broker.partitions());
        // The file system is asked how much space there is.
        let work = tokio::task::spawn_blocking(move || answer(partitions.logs(), request));
        work.await.unwrap_or_else(|error| {
            tracing::error!(%error, "log directories were not described");
            let code = ResponseError::UnknownServerError.code();
            DescribeLogDirsResponse::default().with_error_code(code)
        })
    }
}

fn answer(logs: &LogManager, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let wanted = request.topics.map(Wanted::of);
    let mut by_dir: BTreeMap<usize, Vec<Arc<PartitionLog>>> = BTreeMap::new();
    for log in logs.list() {
        let partition = log.topic_partition();
        if wanted.as_ref().is_none_or(|wanted| wanted.holds(partition)) {
            by_dir.entry(log.dir_index()).or_default().push(log);
        }
    }
    let results = logs.dirs().enumerate().map(|(index, dir)| {
        let found = by_dir.remove(&index).unwrap_or_default();
        describe(dir.path(), &found)
    });
    DescribeLogDirsResponse::default().with_results(results.collect())
}

/// The partitions that were named.
struct Wanted(BTreeMap<String, BTreeSet<i32>>);

impl Wanted {
    fn of(topics: Vec<DescribableLogDirTopic>) -> Self {
        let mut wanted: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
        for topic in topics {
            let partitions = wanted.entry(topic.topic.to_string()).or_default();
            partitions.extend(topic.partitions);
        }
        Self(wanted)
    }

    fn holds(&self, partition: &TopicPartition) -> bool {
        let partitions = self.0.get(&partition.topic);
        partitions.is_some_and(|wanted| wanted.contains(&partition.partition.0))
    }
}

fn describe(dir: &Path, logs: &[Arc<PartitionLog>]) -> DescribeLogDirsResult {
    let path = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let result = DescribeLogDirsResult::default()
        .with_log_dir(StrBytes::from_string(path.to_string_lossy().into_owned()));
    match Space::of(dir) {
        Ok(space) => result
            .with_total_bytes(signed(space.total))
            .with_usable_bytes(signed(space.free))
            .with_topics(by_topic(logs)),
        Err(error) => {
            tracing::warn!(dir = %dir.display(), %error, "the file system tells nothing");
            result.with_error_code(ResponseError::KafkaStorageError.code())
        }
    }
}

fn by_topic(logs: &[Arc<PartitionLog>]) -> Vec<DescribeLogDirsTopic> {
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for log in logs {
        let id = log.topic_partition();
        let partition = DescribeLogDirsPartition::default()
            .with_partition_index(id.partition.0)
            .with_partition_size(signed(log.reader().size()));
        topics.entry(&id.topic).or_default().push(partition);
    }
    let topic = |(name, mut partitions): (&str, Vec<DescribeLogDirsPartition>)| {
        partitions.sort_by_key(|partition| partition.partition_index);
        DescribeLogDirsTopic::default()
            .with_name(TopicName(StrBytes::from_string(name.to_owned())))
            .with_partitions(partitions)
    };
    topics.into_iter().map(topic).collect()
}

/// Sizes beyond what the protocol's field can hold are shown as the largest it can.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
