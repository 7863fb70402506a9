//! What became of every key that was set: the lines `serve` logs and `ottla config check` prints.

use std::fmt;

use super::Origin;

/// What became of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It does what it says.
    Applied,
    /// It is accepted and changes nothing.
    NoEffect,
    /// It asks for something that does not exist here.
    Unsupported,
    /// No version of Kafka has it.
    Unknown,
    /// Kafka 4.x has it no more.
    Removed,
    /// It works, and is seldom meant.
    Warning,
    /// Its value is wrong.
    Invalid,
    /// Running without what it asks for would be unsafe.
    Unsafe,
}

impl Verdict {
    const fn words(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::NoEffect => "no effect",
            Self::Unsupported => "not supported",
            Self::Unknown => "unknown",
            Self::Removed => "removed",
            Self::Warning => "warning",
            Self::Invalid => "invalid",
            Self::Unsafe => "unsafe",
        }
    }

    /// Whether a broker refuses to start; `strict` refuses what would otherwise be ignored.
    pub const fn is_fatal(self, strict: bool) -> bool {
        match self {
            Self::Invalid | Self::Unsafe => true,
            Self::Unknown | Self::Removed | Self::Unsupported => strict,
            Self::Applied | Self::NoEffect | Self::Warning => false,
        }
    }
}

/// One key and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The key as it was written.
    pub key: String,
    /// Where it was set; `None` for a finding about several keys together.
    pub origin: Option<Origin>,
    /// What became of it.
    pub verdict: Verdict,
    /// What to do, or empty.
    pub message: String,
}

/// `server.properties:12 log.retention.hour: unknown, did you mean log.retention.hours?`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin} ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        match (self.verdict, self.message.is_empty()) {
            (verdict, true) => f.write_str(verdict.words()),
            (Verdict::Invalid | Verdict::Warning, false) => f.write_str(&self.message),
            (verdict, false) => write!(f, "{}, {}", verdict.words(), self.message),
        }
    }
}

/// What became of all keys, in the order in which they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One entry a key; findings about several keys stand at the end.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many keys had this fate.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.verdict == verdict)
            .count()
    }

    /// Those a person should read: all but the applied ones and the ones without effect.
    pub fn notable(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| !matches!(finding.verdict, Verdict::Applied | Verdict::NoEffect))
    }

    /// Those for which a broker refuses to start.
    pub fn fatal(&self, strict: bool) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(move |finding| finding.verdict.is_fatal(strict))
    }

    /// `41 keys: 30 applied, 7 no effect, 3 not supported, 1 unknown`.
    pub fn summary(&self) -> String {
        use Verdict::{Applied, Invalid, NoEffect, Removed, Unknown, Unsafe, Unsupported};
        let keys = self
            .findings
            .iter()
            .filter(|finding| finding.origin.is_some())
            .count();
        let parts: Vec<_> = [
            Applied,
            NoEffect,
            Unsupported,
            Removed,
            Unknown,
            Invalid,
            Unsafe,
        ]
        .into_iter()
        .map(|verdict| (self.count(verdict), verdict.words()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
        let plural = if keys == 1 { "key" } else { "keys" };
        if parts.is_empty() {
            format!("{keys} {plural}")
        } else {
            format!("{keys} {plural}: {}", parts.join(", "))
        }
    }
}
