//! What the cluster knows: the metadata log, its records, the image they make and the controller that writes them.

pub mod batch_file;
pub mod cache;
pub mod controller;
pub mod controller_client;
pub mod delta;
pub mod dump;
pub mod format;
pub mod image;
pub mod loader;
pub mod offline;
pub mod producer_id_manager;
pub mod publisher;
pub mod quorum;
pub mod quorum_state;
pub mod raft_batch;
pub mod raft_log;
pub mod record;
pub mod service;
pub mod snapshot;
#[cfg(test)]
pub(crate) mod testing;
