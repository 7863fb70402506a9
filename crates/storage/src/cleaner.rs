//! Log compaction (`LogCleaner.java`, `Cleaner.java`, `LogCleanerManager.java`): of each key the last record stays.
//!
//! A round over one log: the keys of its dirty part, those behind the last round, go into an `offset_map` with the
//! offset of their last record; then all segments below the end of that map are copied, group by group, without the
//! records that have a later one. Copying needs no lock. Batches that lose nothing are copied byte for byte; others are
//! built anew with the same offsets, timestamps, producer and codec.
//!
//! A record keeps its offset, so compacted logs have gaps. What outlives its record: the last batch of every producer
//! (without its records, for the sequence in its header), the last batch of the round (for the end of the log), and a
//! transaction's marker as long as any of its batches is there. Tombstones, and markers that end nothing any more, stay
//! for `delete.retention.ms` after the round that found them so: the time when they may go, the delete horizon, is
//! written into their batch (KIP-534).
//!
//! Never touched: the active segment, and whatever the caller says is not stable (the high watermark, open
//! transactions). What was not flushed is flushed first, for a record may go only when its successor is on disk.
//!
//! | file | what it is |
//! |---|---|
//! | `<base>.log.cleaned`, and its indexes | a group being written; worthless |
//! | `<base>.log.swap`, and its indexes | a group that is whole and on disk; the next start finishes the work |
//! | `cleaner-offset-checkpoint` | for each log, where the dirty part begins ([`crate::checkpoint`]) |
//!
//! [`LogCleaner`] chooses the log, `clean` does the round, `swap` puts the outcome in place.

mod batches;
pub(crate) mod clean;
mod cleanable;
mod error;
mod filter;
mod grouping;
mod manager;
mod offset_map;
mod output;
mod swap;
mod transactions;

pub use clean::{CleanStats, Cleaned, CleanerLimits};
pub use cleanable::Cleanable;
pub use error::CleanError;
pub use manager::{LogCleaner, LogToClean};
