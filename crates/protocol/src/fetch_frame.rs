//! A Fetch response (versions 4 to 18) in pieces, written around records that are not in memory.
//!
//! The records of a partition stand in the middle of the response, behind their length. They leave by `sendfile`, so
//! only what is around them is encoded here: piece 0, records of the first partition that has any, piece 1, records
//! of the next such partition, ..., last piece. What the encoded fields say of a partition's records is taken from
//! the given lengths; `PartitionData::records` is not looked at. A partition without records carries an empty record
//! set, never null, which librdkafka logs as an error.
//!
//! All pieces are slices of one buffer; nothing is allocated per partition.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{
    FetchResponse, FetchableTopicResponse, PartitionData,
};
use kafka_protocol::protocol::Encodable;

use crate::api::EncodeError;
use crate::frame::PREFIX_LEN;
use crate::varint;

const API_KEY: i16 = 1;
/// First version with compact lengths and tagged fields.
const FLEXIBLE: i16 = 12;
/// First version that names topics by id.
const TOPIC_IDS: i16 = 13;
/// First version that tells where the leaders are.
const NODE_ENDPOINTS: i16 = 16;
/// Tag of the node endpoints.
const NODE_ENDPOINTS_TAG: u32 = 0;
/// Tags of a partition, in the order in which they are written.
const DIVERGING_EPOCH_TAG: u32 = 0;
const CURRENT_LEADER_TAG: u32 = 1;
const SNAPSHOT_ID_TAG: u32 = 2;
/// Bytes of a partition's fields without aborted transactions and tags, at most.
const PARTITION_LEN: usize = 48;
/// Bytes of a topic's fields beside its name, at most.
const TOPIC_LEN: usize = 24;
/// Bytes of everything that stands once in a response.
const RESPONSE_LEN: usize = 32;
/// Bytes of an aborted transaction, at most.
const ABORTED_LEN: usize = 17;

/// The pieces of an encoded response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchFrame {
    bytes: Bytes,
    /// Where records go: their place in `bytes` and their length.
    gaps: Vec<Gap>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gap {
    at: u32,
    records_len: u32,
}

impl FetchFrame {
    /// Pieces there are: one more than partitions with records.
    pub fn piece_count(&self) -> usize {
        self.gaps.len() + 1
    }

    /// The pieces in order. Piece `i` goes before the records of the `i`-th partition that has records; the last one
    /// ends the frame.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = Bytes> + '_ {
        (0..self.piece_count()).map(|index| self.piece(index))
    }

    /// Piece `index`.
    ///
    /// # Panics
    /// When there are not that many.
    pub fn piece(&self, index: usize) -> Bytes {
        assert!(
            index < self.piece_count(),
            "piece {index} of {}",
            self.piece_count()
        );
        let start = index
            .checked_sub(1)
            .map_or(0, |before| self.gaps[before].at as usize);
        let end = self
            .gaps
            .get(index)
            .map_or(self.bytes.len(), |gap| gap.at as usize);
        self.bytes.slice(start..end)
    }

    /// Bytes of the pieces together.
    pub fn pieces_len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of the frame: length prefix, pieces and records.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
            + self
                .gaps
                .iter()
                .map(|gap| u64::from(gap.records_len))
                .sum::<u64>()
    }

    /// Never: even a response without partitions has a header.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Encode `response` around records of the given lengths: one length for each partition, in the order of the
/// response; 0 is an empty record set. The frame starts with its length, which counts the records.
///
/// Fields that the version does not have are left out.
pub fn encode(
    correlation_id: i32,
    version: i16,
    response: &FetchResponse,
    record_lens: &[u32],
) -> Result<FetchFrame, EncodeError> {
    let partitions = response
        .responses
        .iter()
        .map(|topic| topic.partitions.len())
        .sum();
    if partitions != record_lens.len() {
        return Err(EncodeError::RecordLengths {
            lengths: record_lens.len(),
            partitions,
        });
    }
    let with_records = record_lens.iter().filter(|len| **len > 0).count();
    let mut writer = Writer {
        out: BytesMut::with_capacity(estimate(response)),
        gaps: Vec::with_capacity(with_records),
        flexible: version >= FLEXIBLE,
        version,
    };
    writer.response(correlation_id, response, record_lens)?;
    writer.finish()
}

/// Room for all that usually is there, so that the buffer does not grow.
fn estimate(response: &FetchResponse) -> usize {
    let topics = response.responses.iter().map(|topic| {
        let aborted =
            |partition: &PartitionData| partition.aborted_transactions.as_ref().map_or(0, Vec::len);
        let aborted: usize = topic.partitions.iter().map(aborted).sum();
        TOPIC_LEN
            + topic.topic.len()
            + PARTITION_LEN * topic.partitions.len()
            + ABORTED_LEN * aborted
    });
    RESPONSE_LEN + topics.sum::<usize>()
}

struct Writer {
    out: BytesMut,
    gaps: Vec<Gap>,
    version: i16,
    flexible: bool,
}

impl Writer {
    fn response(
        &mut self,
        correlation_id: i32,
        response: &FetchResponse,
        lens: &[u32],
    ) -> Result<(), EncodeError> {
        self.out.put_i32(0);
        self.out.put_i32(correlation_id);
        self.no_tags();
        self.out.put_i32(response.throttle_time_ms);
        if self.version >= 7 {
            self.out.put_i16(response.error_code);
            self.out.put_i32(response.session_id);
        }
        self.count(response.responses.len());
        let mut lens = lens;
        for topic in &response.responses {
            let (of_topic, rest) = lens.split_at(topic.partitions.len());
            self.topic(topic, of_topic)?;
            lens = rest;
        }
        if self.version >= NODE_ENDPOINTS && !response.node_endpoints.is_empty() {
            let mut endpoints = BytesMut::new();
            varint::put_u32(&mut endpoints, response.node_endpoints.len() as u32 + 1);
            for endpoint in &response.node_endpoints {
                self.encode(endpoint, &mut endpoints)?;
            }
            varint::put_u32(&mut self.out, 1);
            self.tag(NODE_ENDPOINTS_TAG, &endpoints);
        } else {
            self.no_tags();
        }
        Ok(())
    }

    fn topic(&mut self, topic: &FetchableTopicResponse, lens: &[u32]) -> Result<(), EncodeError> {
        if self.version >= TOPIC_IDS {
            self.out.put_slice(topic.topic_id.as_bytes());
        } else {
            self.name(&topic.topic)?;
        }
        self.count(topic.partitions.len());
        for (partition, len) in topic.partitions.iter().zip(lens) {
            self.partition(partition, *len)?;
        }
        self.no_tags();
        Ok(())
    }

    fn partition(
        &mut self,
        partition: &PartitionData,
        records_len: u32,
    ) -> Result<(), EncodeError> {
        self.out.put_i32(partition.partition_index);
        self.out.put_i16(partition.error_code);
        self.out.put_i64(partition.high_watermark);
        self.out.put_i64(partition.last_stable_offset);
        if self.version >= 5 {
            self.out.put_i64(partition.log_start_offset);
        }
        self.aborted_transactions(partition);
        if self.version >= 11 {
            self.out.put_i32(partition.preferred_read_replica.0);
        }
        if self.flexible {
            varint::put_u32(
                &mut self.out,
                records_len
                    .checked_add(1)
                    .ok_or(EncodeError::TooLarge(records_len.into()))?,
            );
        } else {
            self.out.put_i32(
                records_len
                    .try_into()
                    .map_err(|_| EncodeError::TooLarge(records_len.into()))?,
            );
        }
        if records_len > 0 {
            let at = u32::try_from(self.out.len())
                .map_err(|_| EncodeError::TooLarge(self.out.len() as u64))?;
            self.gaps.push(Gap { at, records_len });
        }
        self.partition_tags(partition)
    }

    fn aborted_transactions(&mut self, partition: &PartitionData) {
        match &partition.aborted_transactions {
            None if self.flexible => self.out.put_u8(0),
            None => self.out.put_i32(-1),
            Some(aborted) => {
                self.count(aborted.len());
                for transaction in aborted {
                    self.out.put_i64(transaction.producer_id.0);
                    self.out.put_i64(transaction.first_offset);
                    self.no_tags();
                }
            }
        }
    }

    fn partition_tags(&mut self, partition: &PartitionData) -> Result<(), EncodeError> {
        if !self.flexible {
            return Ok(());
        }
        let diverging = partition.diverging_epoch != Default::default();
        let leader = partition.current_leader != Default::default();
        let snapshot = partition.snapshot_id != Default::default();
        varint::put_u32(
            &mut self.out,
            u32::from(diverging) + u32::from(leader) + u32::from(snapshot),
        );
        if diverging {
            self.tagged(DIVERGING_EPOCH_TAG, &partition.diverging_epoch)?;
        }
        if leader {
            self.tagged(CURRENT_LEADER_TAG, &partition.current_leader)?;
        }
        if snapshot {
            self.tagged(SNAPSHOT_ID_TAG, &partition.snapshot_id)?;
        }
        Ok(())
    }

    fn tagged(&mut self, tag: u32, value: &impl Encodable) -> Result<(), EncodeError> {
        let mut encoded = BytesMut::new();
        self.encode(value, &mut encoded)?;
        self.tag(tag, &encoded);
        Ok(())
    }

    fn tag(&mut self, tag: u32, encoded: &[u8]) {
        varint::put_u32(&mut self.out, tag);
        varint::put_u32(&mut self.out, encoded.len() as u32);
        self.out.put_slice(encoded);
    }

    fn encode(&self, value: &impl Encodable, out: &mut BytesMut) -> Result<(), EncodeError> {
        let refused = |reason: String| EncodeError::Message {
            api_key: API_KEY,
            api_version: self.version,
            reason,
        };
        value
            .encode(out, self.version)
            .map_err(|error| refused(error.to_string()))
    }

    fn name(&mut self, name: &str) -> Result<(), EncodeError> {
        let len =
            i16::try_from(name.len()).map_err(|_| EncodeError::TooLarge(name.len() as u64))?;
        if self.flexible {
            varint::put_u32(&mut self.out, len as u32 + 1);
        } else {
            self.out.put_i16(len);
        }
        self.out.put_slice(name.as_bytes());
        Ok(())
    }

    fn count(&mut self, count: usize) {
        if self.flexible {
            varint::put_u32(&mut self.out, count as u32 + 1);
        } else {
            self.out.put_i32(count as i32);
        }
    }

    fn no_tags(&mut self) {
        if self.flexible {
            self.out.put_u8(0);
        }
    }

    fn finish(mut self) -> Result<FetchFrame, EncodeError> {
        let records: u64 = self.gaps.iter().map(|gap| u64::from(gap.records_len)).sum();
        let len = self.out.len() as u64 - PREFIX_LEN as u64 + records;
        let prefix = i32::try_from(len).map_err(|_| EncodeError::TooLarge(len))?;
        self.out[..PREFIX_LEN].copy_from_slice(&prefix.to_be_bytes());
        Ok(FetchFrame {
            bytes: self.out.freeze(),
            gaps: self.gaps,
        })
    }
}

#[cfg(test)]
mod tests;
