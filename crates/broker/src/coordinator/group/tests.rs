//! Groups on virtual time: requests in, answers out, no socket and no waiting.

mod bad_input;
mod classic;
mod consumer;
mod expiration;
mod harness;
mod offsets;
mod simulation;
mod static_members;
