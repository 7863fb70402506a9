//! The record of `__transaction_state`, byte for byte that of Apache Kafka's transaction coordinator
//! (`TransactionLogKey`, `TransactionLogValue`).
//!
//! Version 1 of the value is flexible (KIP-915); it is what Kafka writes from `transaction.version` 1 on. Tags that a
//! later release adds are passed over.

use super::state::TransactionState;
use crate::coordinator::record::field::{Encoding, Field, read_tags, structs, write_tags};
use crate::coordinator::record::{
    CLASSIC, CoordinatorRecord, DecodeError, EncodeError, EncodedRecord, decode_rest, decode_value,
    encode_key, encode_value,
};

structs! {
    /// Which transactional id.
    TransactionLogKey {
        /// The id.
        transactional_id: String [0],
    }

    /// Where its transactions stand.
    TransactionLogValue {
        /// Producer id in use.
        producer_id: i64 [0],
        /// Producer id before the last change of this record, -1 for none.
        previous_producer_id: i64 [1] tag 0 = -1,
        /// Producer id that the producer goes on with once the transaction is complete, -1 for the same.
        next_producer_id: i64 [1] tag 1 = -1,
        /// Epoch of the producer id.
        producer_epoch: i16 [0],
        /// How long a transaction may be open, ms.
        transaction_timeout_ms: i32 [0],
        /// See [`TransactionState`].
        transaction_status: i8 [0],
        /// Partitions of the transaction; null where there is no transaction.
        transaction_partitions: Option<Vec<TransactionPartitions>> [0],
        /// When this was written, ms since the Unix epoch.
        transaction_last_update_timestamp_ms: i64 [0],
        /// When the transaction began, ms since the Unix epoch; -1 for none.
        transaction_start_timestamp_ms: i64 [0],
        /// 2 when the client bumps its epoch with every transaction (KIP-890), 0 when not.
        client_transaction_version: i16 [1] tag 2 = 0,
    }

    /// Partitions of one topic.
    TransactionPartitions {
        /// Name of the topic.
        topic: String [0],
        /// Indexes within the topic.
        partition_ids: Vec<i32> [0],
    }
}

/// Type of the only record.
const RECORD_TYPE: i16 = 0;
/// First version of the value in the flexible encoding.
const FLEXIBLE_FROM: i16 = 1;

/// A record of `__transaction_state`; without value it is a tombstone.
#[derive(Clone, Debug, PartialEq)]
pub struct TransactionRecord {
    /// Which transactional id.
    pub key: TransactionLogKey,
    /// Where it stands.
    pub value: Option<TransactionLogValue>,
    /// Version in which the value is written, 0 or 1.
    pub version: i16,
}

impl CoordinatorRecord for TransactionRecord {
    fn encode(&self) -> Result<EncodedRecord, EncodeError> {
        let value = self.value.as_ref();
        Ok(EncodedRecord {
            key: encode_key(RECORD_TYPE, &self.key)?,
            value: value
                .map(|value| encode_value(self.version, FLEXIBLE_FROM, value))
                .transpose()?,
        })
    }

    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, DecodeError> {
        let mut input = key;
        let record_type = i16::read(CLASSIC, &mut input)?;
        if record_type != RECORD_TYPE {
            return Err(DecodeError::UnknownType(record_type));
        }
        let key = decode_rest(CLASSIC, input)?;
        let Some(bytes) = value else {
            let version = FLEXIBLE_FROM;
            return Ok(Self {
                key,
                value: None,
                version,
            });
        };
        let version = i16::read(CLASSIC, &mut &*bytes)?;
        let value: TransactionLogValue = decode_value(RECORD_TYPE, 0..=1, FLEXIBLE_FROM, bytes)?;
        match TransactionState::from_id(value.transaction_status) {
            None => Err(DecodeError::UnknownState(value.transaction_status)),
            Some(_) => Ok(Self {
                key,
                value: Some(value),
                version,
            }),
        }
    }
}
