//! Control records: what brokers write between the data, hidden from applications.
//!
//! The key tells the kind: i16 version (0), i16 type (`ControlRecordType`). Transaction markers carry as value i16
//! version (0), i32 coordinator epoch (`EndTransactionMarker`). Readers take later versions by their first fields.

use super::builder::{BatchBuilder, BuildError};
use super::record::Record;
use super::validate::ValidBatch;
use crate::ids::{ProducerEpoch, ProducerId, Sequence, Timestamp};

const KEY_VERSION: i16 = 0;
const VALUE_VERSION: i16 = 0;

/// Kind of a control record (`ControlRecordType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum ControlType {
    /// The producer's open transaction is aborted.
    Abort = 0,
    /// The producer's open transaction is committed.
    Commit = 1,
    /// KRaft: a new leader.
    LeaderChange = 2,
    /// KRaft: head of a snapshot.
    SnapshotHeader = 3,
    /// KRaft: foot of a snapshot.
    SnapshotFooter = 4,
    /// KRaft: the version of the Raft protocol.
    KRaftVersion = 5,
    /// KRaft: the voters.
    KRaftVoters = 6,
}

impl ControlType {
    /// Bytes of a control record's key.
    pub const KEY_LEN: usize = 4;

    /// The type with this id.
    pub const fn from_id(id: i16) -> Option<Self> {
        Some(match id {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KRaftVersion,
            6 => Self::KRaftVoters,
            _ => return None,
        })
    }

    /// The type that a control record's key names; `None` for a key that is too short or a type unknown here.
    pub fn parse_key(key: &[u8]) -> Option<Self> {
        let (version, rest) = key.split_first_chunk()?;
        let (id, _) = rest.split_first_chunk()?;
        (i16::from_be_bytes(*version) >= 0)
            .then(|| Self::from_id(i16::from_be_bytes(*id)))
            .flatten()
    }

    /// The key of such a record.
    pub fn key(self) -> [u8; Self::KEY_LEN] {
        let [v0, v1] = KEY_VERSION.to_be_bytes();
        let [t0, t1] = (self as i16).to_be_bytes();
        [v0, v1, t0, t1]
    }
}

/// The end of a transaction in one partition (`EndTransactionMarker`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Commit, or else abort.
    pub committed: bool,
    /// Epoch of the transaction coordinator that decided.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// Bytes of a marker's value.
    pub const VALUE_LEN: usize = 6;

    /// The marker in a control record, or `None` when it is another kind or too short.
    pub fn parse(record: &Record<'_>) -> Option<Self> {
        let committed = match ControlType::parse_key(record.key?)? {
            ControlType::Commit => true,
            ControlType::Abort => false,
            _ => return None,
        };
        let (version, rest) = record.value?.split_first_chunk()?;
        let (epoch, _) = rest.split_first_chunk()?;
        (i16::from_be_bytes(*version) >= 0).then_some(())?;
        Some(Self {
            committed,
            coordinator_epoch: i32::from_be_bytes(*epoch),
        })
    }

    /// Key and value of the record.
    pub fn encode(&self) -> ([u8; ControlType::KEY_LEN], [u8; Self::VALUE_LEN]) {
        let kind = if self.committed {
            ControlType::Commit
        } else {
            ControlType::Abort
        };
        let mut value = [0; Self::VALUE_LEN];
        value[..2].copy_from_slice(&VALUE_VERSION.to_be_bytes());
        value[2..].copy_from_slice(&self.coordinator_epoch.to_be_bytes());
        (kind.key(), value)
    }

    /// The batch that ends the transaction of this producer.
    pub fn batch(
        &self,
        id: ProducerId,
        epoch: ProducerEpoch,
        at: Timestamp,
    ) -> Result<ValidBatch, BuildError> {
        let (key, value) = self.encode();
        let mut builder = BatchBuilder::new()
            .producer(id, epoch, Sequence::NONE)
            .transactional()
            .control();
        builder.append(at, Some(&key), Some(&value));
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_have_kafkas_bytes() {
        let commit = EndTxnMarker {
            committed: true,
            coordinator_epoch: 0x0102_0304,
        };
        assert_eq!(commit.encode(), ([0, 0, 0, 1], [0, 0, 1, 2, 3, 4]));
        let abort = EndTxnMarker {
            committed: false,
            coordinator_epoch: -1,
        };
        assert_eq!(
            abort.encode(),
            ([0, 0, 0, 0], [0, 0, 0xff, 0xff, 0xff, 0xff])
        );
    }

    #[test]
    fn a_marker_batch_reads_back() {
        for committed in [true, false] {
            let marker = EndTxnMarker {
                committed,
                coordinator_epoch: 7,
            };
            let batch = marker
                .batch(ProducerId(5), ProducerEpoch(2), Timestamp(1000))
                .unwrap();
            let header = batch.header();
            assert!(header.is_control() && header.is_transactional());
            assert_eq!(
                (header.producer_id(), header.producer_epoch()),
                (ProducerId(5), ProducerEpoch(2))
            );
            assert_eq!(header.base_sequence(), Sequence::NONE);
            let mut records = batch.records(usize::MAX).unwrap();
            assert_eq!(
                EndTxnMarker::parse(&records.next().unwrap().unwrap()),
                Some(marker)
            );
            assert!(records.next().unwrap().is_none());
        }
    }

    #[test]
    fn other_control_records_are_no_markers() {
        let key = ControlType::LeaderChange.key();
        let table: [(&[u8], &[u8]); 5] = [
            (&key, &[0; 6]),
            (&[0, 0, 0], &[0; 6]),
            (&[0xff, 0xff, 0, 1], &[0; 6]),
            (&[0, 0, 0, 1], &[0; 5]),
            (&[0, 0, 0, 99], &[0; 6]),
        ];
        for (key, value) in table {
            let mut builder = BatchBuilder::new();
            builder.append(Timestamp(0), Some(key), Some(value));
            let batch = builder.build().unwrap();
            let mut records = batch.records(usize::MAX).unwrap();
            assert_eq!(
                EndTxnMarker::parse(&records.next().unwrap().unwrap()),
                None,
                "{key:?}"
            );
        }
    }
}
