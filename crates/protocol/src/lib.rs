//! Bytes to types and back: Kafka's wire messages and the record batch format.
//!
//! Nothing here does I/O, reads a clock or awaits. The generated message bodies come from the
//! `kafka-protocol` crate and are re-exported as [`messages`]; requests from the network reach its
//! decoders only through the guard of this crate, which proves that every count fits its frame.

pub mod api;
pub mod compression;
pub mod fetch_frame;
pub mod frame;
pub mod guard;
pub mod ids;
mod legacy;
pub mod record;
pub mod varint;

pub use kafka_protocol::{self, ResponseError, messages};
