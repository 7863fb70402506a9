//! The 61 bytes at the head of every record batch, read and patched in place.
//!
//! Layout, big-endian (`DefaultRecordBatch.java`):
//!
//! | at | type | field |
//! |---|---|---|
//! | 0 | i64 | base offset |
//! | 8 | i32 | length of what follows this field |
//! | 12 | i32 | partition leader epoch |
//! | 16 | i8 | magic (2) |
//! | 17 | u32 | CRC-32C of everything from byte 21 on |
//! | 21 | i16 | attributes: 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon |
//! | 23 | i32 | last offset delta |
//! | 27 | i64 | base timestamp (or delete horizon when bit 6 is set) |
//! | 35 | i64 | max timestamp |
//! | 43 | i64 | producer id |
//! | 51 | i16 | producer epoch |
//! | 53 | i32 | base sequence |
//! | 57 | i32 | count of records |
//!
//! The first 21 bytes are outside the CRC, so the broker assigns offset and epoch without touching the rest.

use crate::compression::Compression;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

/// Bytes of the header.
pub const HEADER_LEN: usize = 61;
/// Bytes of base offset and length, which precede what the length field counts (`Records.LOG_OVERHEAD`).
pub const LOG_OVERHEAD: usize = 12;
/// The one magic value this broker stores.
pub const MAGIC_V2: i8 = 2;
pub(super) const MAGIC_AT: usize = 16;
/// Where the CRC stands; it covers everything from [`CRC_START`] on.
pub const CRC_AT: usize = 17;
/// First byte under the CRC.
pub const CRC_START: usize = 21;

const CODEC: i16 = 0b111;
const TIMESTAMP_TYPE: i16 = 1 << 3;
pub(super) const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
const DELETE_HORIZON: i16 = 1 << 6;

/// CRC-32C as Kafka computes it over a batch.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// A copy of the header bytes of one batch, with its fields as typed values.
///
/// Holding one proves that 61 bytes were there, nothing more: what the fields say is not yet checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader([u8; HEADER_LEN]);

impl BatchHeader {
    /// The header at the start of `bytes`, or `None` when they are fewer than 61.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk::<HEADER_LEN>().map(|head| Self(*head))
    }

    /// A header of magic 2 with zero in every other field.
    pub(super) fn blank() -> Self {
        let mut header = Self([0; HEADER_LEN]);
        header.0[MAGIC_AT] = MAGIC_V2 as u8;
        header
    }

    /// The raw header, as it goes to disk.
    pub fn as_bytes(&self) -> &[u8; HEADER_LEN] {
        &self.0
    }

    /// Offset of the first record.
    pub fn base_offset(&self) -> Offset {
        Offset(i64::from_be_bytes(self.at(0)))
    }

    /// Value of the length field: bytes that follow it.
    pub fn batch_length(&self) -> i32 {
        i32::from_be_bytes(self.at(8))
    }

    /// Bytes of the whole batch, header and all, or `None` when the length field is too small to be true.
    pub fn size(&self) -> Option<usize> {
        let after = usize::try_from(self.batch_length()).ok()?;
        (after >= HEADER_LEN - LOG_OVERHEAD).then_some(after + LOG_OVERHEAD)
    }

    /// Epoch of the leader that appended the batch.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(i32::from_be_bytes(self.at(12)))
    }

    /// Version of the format.
    pub fn magic(&self) -> i8 {
        self.0[MAGIC_AT] as i8
    }

    /// The stored checksum.
    pub fn crc(&self) -> u32 {
        u32::from_be_bytes(self.at(CRC_AT))
    }

    /// The attribute bits.
    pub fn attributes(&self) -> i16 {
        i16::from_be_bytes(self.at(21))
    }

    /// Id of the codec: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; 5 to 7 are unassigned.
    pub fn codec_id(&self) -> u8 {
        (self.attributes() & CODEC) as u8
    }

    /// True when the broker set the timestamps (`LogAppendTime`), false when the producer did (`CreateTime`).
    pub fn is_log_append_time(&self) -> bool {
        self.attributes() & TIMESTAMP_TYPE != 0
    }

    /// Part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes() & TRANSACTIONAL != 0
    }

    /// Holds control records (transaction markers, KRaft control records) and no data.
    pub fn is_control(&self) -> bool {
        self.attributes() & CONTROL != 0
    }

    /// The base timestamp is the delete horizon of KIP-534.
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes() & DELETE_HORIZON != 0
    }

    /// Last offset minus base offset.
    pub fn last_offset_delta(&self) -> i32 {
        i32::from_be_bytes(self.at(23))
    }

    /// Offset of the last record, or of the last one there was before compaction.
    pub fn last_offset(&self) -> Offset {
        self.base_offset().plus(self.last_offset_delta().into())
    }

    /// The offset that follows this batch.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    /// Timestamp to which the records' deltas are added.
    pub fn base_timestamp(&self) -> Timestamp {
        Timestamp(i64::from_be_bytes(self.at(27)))
    }

    /// Largest timestamp of the batch.
    pub fn max_timestamp(&self) -> Timestamp {
        Timestamp(i64::from_be_bytes(self.at(35)))
    }

    /// Producer id, or [`ProducerId::NONE`].
    pub fn producer_id(&self) -> ProducerId {
        ProducerId(i64::from_be_bytes(self.at(43)))
    }

    /// Producer epoch, or [`ProducerEpoch::NONE`].
    pub fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(i16::from_be_bytes(self.at(51)))
    }

    /// Sequence of the first record, or [`Sequence::NONE`].
    pub fn base_sequence(&self) -> Sequence {
        Sequence(i32::from_be_bytes(self.at(53)))
    }

    /// Sequence of the last record, or [`Sequence::NONE`].
    pub fn last_sequence(&self) -> Sequence {
        match self.base_sequence() {
            Sequence::NONE => Sequence::NONE,
            base => base.plus(self.last_offset_delta()),
        }
    }

    /// Count of records.
    pub fn records_count(&self) -> i32 {
        i32::from_be_bytes(self.at(57))
    }

    /// Assign the base offset. Outside the CRC.
    pub fn set_base_offset(&mut self, offset: Offset) {
        self.put(0, offset.0.to_be_bytes());
    }

    /// Assign the leader epoch. Outside the CRC.
    pub fn set_leader_epoch(&mut self, epoch: LeaderEpoch) {
        self.put(12, epoch.0.to_be_bytes());
    }

    /// Make the batch `LogAppendTime` with `timestamp` for all its records. Changes bytes under the CRC:
    /// call [`Self::seal`] with the rest of the batch afterwards.
    pub fn set_log_append_time(&mut self, timestamp: Timestamp) {
        self.put(21, (self.attributes() | TIMESTAMP_TYPE).to_be_bytes());
        self.put(35, timestamp.0.to_be_bytes());
    }

    /// Make the batch `CreateTime` with `max` as the largest of its timestamps. Changes bytes under the CRC.
    pub fn set_create_time(&mut self, max: Timestamp) {
        self.put(21, (self.attributes() & !TIMESTAMP_TYPE).to_be_bytes());
        self.put(35, max.0.to_be_bytes());
    }

    /// Set the producer. Changes bytes under the CRC.
    pub(super) fn set_producer(
        &mut self,
        id: ProducerId,
        epoch: ProducerEpoch,
        sequence: Sequence,
    ) {
        self.put(43, id.0.to_be_bytes());
        self.put(51, epoch.0.to_be_bytes());
        self.put(53, sequence.0.to_be_bytes());
    }

    /// Changes bytes under the CRC.
    pub(super) fn set_transactional(&mut self, on: bool) {
        self.set_attribute(TRANSACTIONAL, on);
    }

    /// Changes bytes under the CRC.
    pub(super) fn set_control(&mut self, on: bool) {
        self.set_attribute(CONTROL, on);
    }

    /// Changes bytes under the CRC.
    pub(super) fn set_delete_horizon(&mut self) {
        self.set_attribute(DELETE_HORIZON, true);
    }

    /// Changes bytes under the CRC.
    pub(super) fn set_codec(&mut self, codec: Compression) {
        self.put(
            21,
            (self.attributes() & !CODEC | i16::from(codec.id())).to_be_bytes(),
        );
    }

    /// Set the length field.
    pub(super) fn set_batch_length(&mut self, length: i32) {
        self.put(8, length.to_be_bytes());
    }

    /// Changes bytes under the CRC.
    pub(super) fn set_last_offset_delta(&mut self, delta: i32) {
        self.put(23, delta.to_be_bytes());
    }

    /// Changes bytes under the CRC.
    pub(super) fn set_base_timestamp(&mut self, at: Timestamp) {
        self.put(27, at.0.to_be_bytes());
    }

    /// Changes bytes under the CRC.
    pub(super) fn set_records_count(&mut self, count: i32) {
        self.put(57, count.to_be_bytes());
    }

    fn set_attribute(&mut self, bit: i16, on: bool) {
        let others = self.attributes() & !bit;
        self.put(21, (if on { others | bit } else { others }).to_be_bytes());
    }

    /// Compute the CRC anew over this header and `body`, the bytes of the batch behind the header.
    pub fn seal(&mut self, body: &[u8]) {
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        digest.update(&self.0[CRC_START..]);
        digest.update(body);
        self.put(CRC_AT, (digest.finalize() as u32).to_be_bytes());
    }

    fn at<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.0[at..at + N]);
        field
    }

    fn put<const N: usize>(&mut self, at: usize, field: [u8; N]) {
        self.0[at..at + N].copy_from_slice(&field);
    }
}

impl std::fmt::Debug for BatchHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchHeader")
            .field("base_offset", &self.base_offset())
            .field("batch_length", &self.batch_length())
            .field("leader_epoch", &self.leader_epoch())
            .field("magic", &self.magic())
            .field("crc", &self.crc())
            .field("attributes", &self.attributes())
            .field("last_offset_delta", &self.last_offset_delta())
            .field("base_timestamp", &self.base_timestamp())
            .field("max_timestamp", &self.max_timestamp())
            .field("producer_id", &self.producer_id())
            .field("producer_epoch", &self.producer_epoch())
            .field("base_sequence", &self.base_sequence())
            .field("records_count", &self.records_count())
            .finish()
    }
}
