//! Tests of the log through its public face, on real files in a temporary directory.

#[cfg(test)]
mod model;
#[cfg(test)]
mod support;
