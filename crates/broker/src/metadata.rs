//! What the cluster knows: the metadata log, its records, the image they make and the controller that writes them.

pub mod cache;
pub mod controller;
pub mod controller_client;
pub mod delta;
pub mod image;
pub mod loader;
pub mod producer_id_manager;
pub mod publisher;
pub mod record;
pub mod service;
#[cfg(test)]
pub(crate) mod testing;
