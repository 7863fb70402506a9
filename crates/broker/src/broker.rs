//! The composition root: what a running broker consists of.

/// A running broker: what handlers can reach.
#[derive(Debug)]
pub struct Broker {}
