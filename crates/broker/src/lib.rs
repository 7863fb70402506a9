//! Everything that has a socket, a clock or a policy: the broker around the logs.

pub mod broker;
pub mod handlers;
pub mod metadata;
pub mod network;
