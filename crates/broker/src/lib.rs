//! Everything that has a socket, a clock or a policy: the broker around the logs.

pub mod answer_room;
pub mod banner;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod coordinator;
pub mod expression;
pub mod handlers;
pub mod housekeeping;
pub mod metadata;
pub mod network;
pub mod partition;
pub mod preflight;
pub mod quota;
pub mod shutdown;
pub mod supervisor;
pub mod telemetry;
pub mod version;
