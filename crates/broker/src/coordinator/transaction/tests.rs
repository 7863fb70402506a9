//! The shard against a log, partitions and a clock that are moved by hand.

mod records;
mod simulation;
mod transitions;
mod verification;
mod world;
