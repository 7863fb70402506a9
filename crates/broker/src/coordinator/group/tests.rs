//! Groups on virtual time: requests in, answers out, no socket and no waiting.

mod bad_input;
mod classic;
mod cluster;
mod consumer;
mod consumer_client;
mod consumer_simulation;
mod expiration;
mod harness;
mod late;
mod migration;
mod migration_simulation;
mod mixed_client;
mod offsets;
mod requests;
mod simulation;
mod static_members;
mod transactional_offsets;
