//! A transactional producer of a few lines, in either version of transactions.

use std::collections::HashMap;
use std::time::Duration;

use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use ottla_protocol::messages::fetch_response::PartitionData;
use ottla_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::messages::*;

use crate::client::{Client, fetch_request, produce_request};
use crate::records;

/// Which transactions a producer uses (KIP-890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// It says where it will write; the epoch stays.
    V1,
    /// Writes join the transaction by themselves; each end bumps the epoch.
    V2,
}

impl Version {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    fn choose(self, v1: i16, v2: i16) -> i16 {
        match self {
            Self::V1 => v1,
            Self::V2 => v2,
        }
    }
}

/// Errors after which a client asks again: coordinator loading or not there yet, a transaction not yet complete.
const PASSING: [i16; 4] = [14, 15, 16, 51];

/// In place of an error code: the connection has ended before the answer came.
pub const LOST: i16 = i16::MIN;

/// A producer with a transactional id.
#[derive(Debug)]
pub struct TransactionalProducer {
    /// Its connection.
    pub client: Client,
    /// Its transactional id.
    pub id: String,
    /// The version it speaks.
    pub version: Version,
    /// The producer id it was given.
    pub producer_id: i64,
    /// The epoch it was given.
    pub epoch: i16,
    sequences: HashMap<(String, i32), i32>,
}

impl TransactionalProducer {
    /// Find the coordinator and begin with a new epoch, which fences whoever had the id before.
    pub async fn begin(client: Client, id: &str, version: Version, timeout_ms: i32) -> Self {
        let producer = Self::try_begin(client, id, version, timeout_ms).await;
        producer.expect("the broker lives")
    }

    /// The same; `None` when the connection ends.
    pub async fn try_begin(
        client: Client,
        id: &str,
        version: Version,
        timeout_ms: i32,
    ) -> Option<Self> {
        let mut producer = Self {
            client,
            id: id.to_owned(),
            version,
            producer_id: -1,
            epoch: -1,
            sequences: HashMap::new(),
        };
        let find = FindCoordinatorRequest::default()
            .with_key_type(1)
            .with_coordinator_keys(vec![StrBytes::from_string(id.to_owned())]);
        let found = producer.client.try_call(4, &find).await?;
        assert_eq!(found.coordinators[0].error_code, 0);
        match producer.initialize(timeout_ms).await {
            LOST => None,
            code => {
                assert_eq!(code, 0, "InitProducerId of {id}");
                Some(producer)
            }
        }
    }

    /// InitProducerId without naming what it had; the error code.
    pub async fn initialize(&mut self, timeout_ms: i32) -> i16 {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(self.transactional_id()))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        loop {
            let Some(response) = self.client.try_call(4, &request).await else {
                return LOST;
            };
            if !PASSING.contains(&response.error_code) {
                self.producer_id = response.producer_id.0;
                self.epoch = response.producer_epoch;
                self.sequences.clear();
                return response.error_code;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Write to a partition within the transaction; the error code and the offset.
    pub async fn write(&mut self, topic: &str, partition: i32, values: &[&str]) -> (i16, i64) {
        if self.version == Version::V1 {
            let code = self.add_partition(topic, partition).await;
            if code != 0 {
                return (code, -1);
            }
        }
        let produce_version = self.version.choose(11, 12);
        self.produce(produce_version, topic, partition, values)
            .await
    }

    /// Produce in a version of Produce, without saying before that it will.
    pub async fn produce(
        &mut self,
        version: i16,
        topic: &str,
        partition: i32,
        values: &[&str],
    ) -> (i16, i64) {
        let key = (topic.to_owned(), partition);
        let sequence = self.sequences.get(&key).copied().unwrap_or(0);
        let batch = records::transactional(self.producer_id, self.epoch, sequence, values);
        let request = produce_request(topic, partition, batch, -1)
            .with_transactional_id(Some(self.transactional_id()));
        loop {
            let Some(response) = self.client.try_call(version, &request).await else {
                return (LOST, -1);
            };
            let answer = &response.responses[0].partition_responses[0];
            // NOT_ENOUGH_REPLICAS stands for a coordinator that is busy.
            if answer.error_code == 19 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            if answer.error_code == 0 {
                let written = i32::try_from(values.len()).expect("few values");
                self.sequences.insert(key, sequence + written);
            }
            return (answer.error_code, answer.base_offset);
        }
    }

    /// AddPartitionsToTxn; the error code.
    pub async fn add_partition(&mut self, topic: &str, partition: i32) -> i16 {
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(StrBytes::from_string(topic.to_owned()).into())
            .with_partitions(vec![partition]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.transactional_id())
            .with_v3_and_below_producer_id(self.producer_id.into())
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(vec![topic]);
        loop {
            let Some(response) = self.client.try_call(3, &request).await else {
                return LOST;
            };
            let topic = &response.results_by_topic_v3_and_below[0];
            let code = topic.results_by_partition[0].partition_error_code;
            if !PASSING.contains(&code) {
                return code;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Commit an offset of a group within the transaction; the error code.
    pub async fn commit_offset(&mut self, group: &str, topic: &str, offset: i64) -> i16 {
        let find = FindCoordinatorRequest::default()
            .with_coordinator_keys(vec![StrBytes::from_string(group.to_owned())]);
        if self.client.try_call(4, &find).await.is_none() {
            return LOST;
        }
        if self.version == Version::V1 {
            let request = AddOffsetsToTxnRequest::default()
                .with_transactional_id(self.transactional_id())
                .with_producer_id(self.producer_id.into())
                .with_producer_epoch(self.epoch)
                .with_group_id(StrBytes::from_string(group.to_owned()).into());
            loop {
                let Some(response) = self.client.try_call(3, &request).await else {
                    return LOST;
                };
                match response.error_code {
                    0 => break,
                    code if PASSING.contains(&code) => {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    code => return code,
                }
            }
        }
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(StrBytes::from_static_str("m")));
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(StrBytes::from_string(topic.to_owned()).into())
            .with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(self.producer_id.into())
            .with_producer_epoch(self.epoch)
            .with_group_id(StrBytes::from_string(group.to_owned()).into())
            .with_generation_id(-1)
            .with_topics(vec![topic]);
        let version = self.version.choose(3, 5);
        loop {
            let Some(response) = self.client.try_call(version, &request).await else {
                return LOST;
            };
            let code = response.topics[0].partitions[0].error_code;
            if !PASSING.contains(&code) {
                return code;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Commit or abort; the error code.
    pub async fn end(&mut self, committed: bool) -> i16 {
        let request = EndTxnRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(self.producer_id.into())
            .with_producer_epoch(self.epoch)
            .with_committed(committed);
        let version = self.version.choose(3, 5);
        loop {
            let Some(response) = self.client.try_call(version, &request).await else {
                return LOST;
            };
            if PASSING.contains(&response.error_code) {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            if response.error_code == 0 && self.version == Version::V2 {
                self.producer_id = response.producer_id.0;
                self.epoch = response.producer_epoch;
                self.sequences.clear();
            }
            return response.error_code;
        }
    }

    fn transactional_id(&self) -> TransactionalId {
        StrBytes::from_string(self.id.clone()).into()
    }
}

/// Fetch as read_committed does, waiting up to `max_wait_ms` for something to come.
pub async fn fetch_committed(
    client: &mut Client,
    topic: &str,
    offset: i64,
    max_wait_ms: i32,
) -> PartitionData {
    let request = fetch_request(topic, &[(0, offset)], 1 << 20)
        .with_isolation_level(1)
        .with_min_bytes(1)
        .with_max_wait_ms(max_wait_ms);
    let mut response = client.call(12, &request).await;
    response.responses.remove(0).partitions.remove(0)
}

/// What a read_committed consumer hands to its application: no markers, no records of aborted transactions.
pub async fn committed_values(client: &mut Client, topic: &str) -> Vec<String> {
    let (mut next, mut values) = (0, Vec::new());
    loop {
        let data = fetch_committed(client, topic, next, 0).await;
        assert_eq!(data.error_code, 0);
        let bytes = data.records.unwrap_or_default();
        if bytes.is_empty() {
            assert_eq!(
                next, data.last_stable_offset,
                "everything below is readable"
            );
            return values;
        }
        let mut aborted = data.aborted_transactions.unwrap_or_default();
        aborted.sort_by_key(|transaction| transaction.first_offset);
        let mut open = Vec::new();
        for (header, batch) in records::batches(&bytes) {
            let producer = header.producer_id().0;
            while let Some(first) = aborted.first() {
                if first.first_offset > header.last_offset().0 {
                    break;
                }
                open.push(first.producer_id.0);
                aborted.remove(0);
            }
            if header.is_control() {
                open.retain(|id| *id != producer);
            } else if !(header.is_transactional() && open.contains(&producer)) {
                values.extend(records::values(batch));
            }
            next = header.last_offset().0 + 1;
        }
    }
}
