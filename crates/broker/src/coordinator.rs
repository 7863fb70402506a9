//! Coordinators: event-sourced state machines without I/O, and the tasks that run them.
//!
//! A shard decides; what it decides is records. They are appended to the shard's partition, then replayed into the
//! state, and the answers leave once the records are committed. Nothing is in the state that is not in the log,
//! except what a restart may forget: parked requests, deadlines, and a classic group's unfinished rebalance.

pub mod group;
pub mod loader;
pub mod record;
pub mod runtime;
pub mod shard;
pub mod shards;
pub mod transaction;
