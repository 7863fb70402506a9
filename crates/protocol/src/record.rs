//! The record batch, version 2 (KIP-98): the unit that producers send, logs store and consumers get.

pub mod batch;
