//! Requests encoded once and patched for each sending: correlation id and fetch offsets.

use std::io::Write;
use std::net::TcpStream;
use std::ops::Range;

use bytes::Bytes;
use ottla_protocol::api::encode_request;
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{
    BrokerId, FetchRequest, ProduceRequest, TopicName, TransactionalId,
};
use ottla_protocol::record::batch::{BatchHeader, CRC_START, crc32c};

use crate::error::{BenchError, Doing, Result};

/// Version of Fetch spoken: the last one that names topics, full KIP-227 sessions, flexible encoding.
pub(crate) const FETCH_VERSION: i16 = 12;
/// Version of Produce spoken: flexible, names topics.
pub(crate) const PRODUCE_VERSION: i16 = 11;
/// Version of Produce whose batches make their partition part of the transaction (KIP-890).
const JOINING_VERSION: i16 = 12;
/// The client id sent with every request.
pub(crate) const CLIENT_ID: &str = "ottla-bench";
/// Where the correlation id stands in a frame: behind length, API key and version.
const CORRELATION_AT: usize = 8;
/// Where producer id, epoch and base sequence stand in a batch.
const PRODUCER_AT: usize = 43;
/// Offsets that cannot occur by chance in a request; the encoder puts them where the real ones go.
const MARKER: i64 = 0x6f74_746c_6100_0000;

/// One encoded request frame, to be sent again and again.
#[derive(Clone)]
pub(crate) struct Template {
    frame: Vec<u8>,
    correlation_id: i32,
    /// Where the fetch offset of each partition stands.
    offsets_at: Vec<usize>,
    /// Where the only batch starts, when its producer changes.
    batch_at: Option<usize>,
}

impl Template {
    /// Fetch from the first `partitions` partitions of `topic`, at most `partition_max_bytes` from each.
    ///
    /// Without a session, read_committed (the default of librdkafka), answered as soon as there is one byte.
    pub(crate) fn fetch(
        topic: &str,
        partitions: usize,
        partition_max_bytes: usize,
    ) -> Result<Self> {
        Self::fetch_isolated(topic, partitions, partition_max_bytes, 1)
    }

    /// The same with an isolation level: 0 reads uncommitted records, too.
    pub(crate) fn fetch_isolated(
        topic: &str,
        partitions: usize,
        partition_max_bytes: usize,
        isolation: i8,
    ) -> Result<Self> {
        let max_bytes = |bytes: usize| {
            i32::try_from(bytes).map_err(|_| BenchError::Usage("a fetch of more than 2 GiB".into()))
        };
        let wanted = (0..partitions).map(|index| {
            Ok(FetchPartition::default()
                .with_partition(index as i32)
                .with_current_leader_epoch(-1)
                .with_fetch_offset(MARKER + index as i64)
                .with_last_fetched_epoch(-1)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(max_bytes(partition_max_bytes)?))
        });
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(500)
            .with_min_bytes(1)
            .with_max_bytes(max_bytes(partition_max_bytes * partitions)?)
            .with_isolation_level(isolation)
            .with_session_id(0)
            .with_session_epoch(-1)
            .with_topics(vec![
                FetchTopic::default()
                    .with_topic(topic_name(topic))
                    .with_partitions(wanted.collect::<Result<_>>()?),
            ]);
        let frame = encode_request(FETCH_VERSION, 0, CLIENT_ID, &request)
            .map_err(unencodable)?
            .to_vec();
        let offsets_at = (0..partitions)
            .map(|index| position_of(&frame, &(MARKER + index as i64).to_be_bytes()))
            .collect::<Option<_>>()
            .ok_or_else(|| BenchError::Malformed("the encoder lost a fetch offset".into()))?;
        Ok(Self {
            frame,
            correlation_id: 0,
            offsets_at,
            batch_at: None,
        })
    }

    /// Produce `batch` to each of the first `partitions` partitions of `topic`, acks=1.
    pub(crate) fn produce(topic: &str, partitions: usize, batch: &Bytes) -> Result<Self> {
        Self::produce_to(topic, 0..partitions, batch, 1)
    }

    /// Produce `batch` to each of these partitions of `topic`.
    pub(crate) fn produce_to(
        topic: &str,
        partitions: Range<usize>,
        batch: &Bytes,
        acks: i16,
    ) -> Result<Self> {
        Self::encode_produce(topic, partitions, batch, acks, None)
    }

    /// Produce `batch` to the only partition of `topic`, acks=all; with a transactional id the partition joins the
    /// transaction by it.
    pub(crate) fn produce_as(
        topic: &str,
        batch: &Bytes,
        transactional_id: Option<TransactionalId>,
    ) -> Result<Self> {
        let mut template = Self::encode_produce(topic, 0..1, batch, -1, transactional_id)?;
        template.batch_at = position_of(&template.frame, batch);
        Ok(template)
    }

    fn encode_produce(
        topic: &str,
        partitions: Range<usize>,
        batch: &Bytes,
        acks: i16,
        transactional_id: Option<TransactionalId>,
    ) -> Result<Self> {
        let data = partitions.map(|index| {
            PartitionProduceData::default()
                .with_index(index as i32)
                .with_records(Some(batch.clone()))
        });
        let version = match transactional_id {
            Some(_) => JOINING_VERSION,
            None => PRODUCE_VERSION,
        };
        let request = ProduceRequest::default()
            .with_transactional_id(transactional_id)
            .with_acks(acks)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![
                TopicProduceData::default()
                    .with_name(topic_name(topic))
                    .with_partition_data(data.collect()),
            ]);
        let frame = encode_request(version, 0, CLIENT_ID, &request)
            .map_err(unencodable)?
            .to_vec();
        Ok(Self {
            frame,
            correlation_id: 0,
            offsets_at: Vec::new(),
            batch_at: None,
        })
    }

    /// Bytes of the frame, its length included.
    pub(crate) fn len(&self) -> usize {
        self.frame.len()
    }

    /// Where each occurrence of `part` starts in the frame.
    pub(crate) fn positions_of(&self, part: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(at) = position_of(&self.frame[from..], part) {
            found.push(from + at);
            from += at + part.len();
        }
        found
    }

    /// Ask partition `index` from `offset` on.
    pub(crate) fn set_offset(&mut self, index: usize, offset: i64) {
        let at = self.offsets_at[index];
        self.frame[at..at + 8].copy_from_slice(&offset.to_be_bytes());
    }

    /// Number the batch of a [`Self::produce_as`] anew, and compute its checksum.
    pub(crate) fn set_producer(&mut self, transactional: bool, id: i64, epoch: i16, sequence: i32) {
        let Some(at) = self.batch_at else { return };
        let batch = &mut self.frame[at..];
        let len = BatchHeader::read(batch).and_then(|header| header.size());
        let Some(batch) = len.and_then(|len| batch.get_mut(..len)) else {
            return;
        };
        let attributes: i16 = if transactional { 0x10 } else { 0 };
        batch[CRC_START..CRC_START + 2].copy_from_slice(&attributes.to_be_bytes());
        batch[PRODUCER_AT..PRODUCER_AT + 8].copy_from_slice(&id.to_be_bytes());
        batch[PRODUCER_AT + 8..PRODUCER_AT + 10].copy_from_slice(&epoch.to_be_bytes());
        batch[PRODUCER_AT + 10..PRODUCER_AT + 14].copy_from_slice(&sequence.to_be_bytes());
        let crc = crc32c(&batch[CRC_START..]);
        batch[CRC_START - 4..CRC_START].copy_from_slice(&crc.to_be_bytes());
    }

    /// Sends the frame under the next correlation id, which is returned.
    pub(crate) fn send(&mut self, mut socket: &TcpStream) -> Result<i32> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        self.frame[CORRELATION_AT..CORRELATION_AT + 4]
            .copy_from_slice(&self.correlation_id.to_be_bytes());
        socket.write_all(&self.frame).doing("sending a request")?;
        Ok(self.correlation_id)
    }
}

/// A topic name as the message structs want it.
pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(name.to_owned().into())
}

/// The encoder's refusal as an error of this tool.
pub(crate) fn unencodable(error: impl std::fmt::Display) -> BenchError {
    BenchError::Malformed(format!("request cannot be encoded: {error}"))
}

fn position_of(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use ottla_protocol::api::{decode_request, decode_request_header};

    use super::*;

    #[test]
    fn patched_offsets_are_what_the_broker_decodes() {
        let mut template = Template::fetch("t", 6, 65536).unwrap();
        for index in 0..6 {
            template.set_offset(index, 1000 + index as i64);
        }
        let mut body = Bytes::from(template.frame.clone()).slice(4..);
        let header = decode_request_header(&mut body).unwrap();
        assert_eq!(
            (header.request_api_key, header.request_api_version),
            (1, FETCH_VERSION)
        );
        let request: FetchRequest = decode_request(&mut body, FETCH_VERSION).unwrap();
        assert_eq!(request.max_bytes, 6 * 65536);
        let offsets: Vec<i64> = request.topics[0]
            .partitions
            .iter()
            .map(|partition| partition.fetch_offset)
            .collect();
        assert_eq!(offsets, [1000, 1001, 1002, 1003, 1004, 1005]);
    }

    #[test]
    fn batches_are_found_in_the_frame_as_they_are() {
        let batch = crate::batch::of_size(4096, 0).unwrap();
        let template = Template::produce("t", 3, &batch).unwrap();
        let at = template.positions_of(&batch);
        assert_eq!(at.len(), 3);
        assert!(at.iter().all(|at| template.frame[*at..at + 4096] == batch));
    }
}
