//! Groups of consumers.

pub mod records;
