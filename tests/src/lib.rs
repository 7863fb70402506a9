//! Harness for tests of a whole broker: start one on port 0, talk raw protocol to it.
