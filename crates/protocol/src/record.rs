//! The record batch, version 2 (KIP-98): the unit that producers send, logs store and consumers get.

pub mod batch;
pub mod builder;
pub mod control;
pub mod invalid_batch;
#[expect(
    clippy::module_inception,
    reason = "the field calls both of them record"
)]
pub mod record;
pub mod validate;

pub use batch::BatchHeader;
pub use builder::BatchBuilder;
pub use control::{ControlType, EndTxnMarker};
pub use invalid_batch::InvalidBatch;
pub use record::{Headers, Record, RecordError, RecordReader};
pub use validate::{BatchRules, TimestampType, TopicCodec, ValidBatch};
