//! What can go wrong while measuring, each with the words the user needs to mend it.

use std::io;

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// A system call failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The broker answered with an error code.
    #[error("{api} answered error code {code}")]
    Refused {
        /// The API asked.
        api: &'static str,
        /// Kafka's error code.
        code: i16,
    },
    /// A response does not say what it must.
    #[error("malformed response: {0}")]
    Malformed(String),
    /// The server under test did not come up or ended early.
    #[error("{0}")]
    Server(String),
    /// The command line asks for what cannot be done.
    #[error("{0}")]
    Usage(String),
}

/// Shorthand of this crate.
pub(crate) type Result<T> = std::result::Result<T, BenchError>;

/// Says what was being done when an I/O call failed.
pub(crate) trait Doing<T> {
    /// Wraps the error, if there is one, with `what`.
    fn doing(self, what: impl Into<String>) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|source| BenchError::Io {
            doing: what.into(),
            source,
        })
    }
}

impl<T> Doing<T> for nix::Result<T> {
    fn doing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(io::Error::from).doing(what)
    }
}
