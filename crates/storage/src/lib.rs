//! Partition logs on disk, in Apache Kafka's directory layout and file formats, both ways openable.
//!
//! Synchronous and without a runtime: no thread is started here, no clock is read (time is an argument), and all I/O
//! goes through [`fs::Fs`]. The crate knows batches, offsets and files; it knows no topic configuration keys, no high
//! watermark and no error codes of the protocol.
//!
//! [`Log`] is the log of one partition, [`LogReader`] its view for readers, [`LogManager`] all logs of a node,
//! [`LogDir`] a data directory.

pub mod append;
mod batch_scan;
mod boundary;
pub mod checkpoint;
pub mod cleaner;
pub mod error;
mod flush;
pub mod fs;
pub mod inspect;
mod lazy_file;
pub mod leader_epoch;
mod log;
pub mod log_config;
pub mod log_dir;
mod log_dir_failure;
pub mod log_manager;
pub mod meta_properties;
mod offset_index;
pub mod partition_metadata;
mod producer_append;
pub mod producer_state;
pub mod properties;
pub mod read;
mod recovery;
pub mod retention;
mod roll;
mod segment;
mod segment_set;
mod sparse_index;
mod time_index;
mod transaction_index;
mod truncate;
pub mod uuid_text;

pub use append::{AppendInfo, AppendOrigin};
pub use cleaner::{CleanError, CleanStats, Cleaned, CleanerLimits, LogCleaner, LogToClean};
pub use error::{AppendError, OpenError, ReadError};
pub use flush::FlushPlan;
pub use fs::{File, Fs, OsFs};
pub use leader_epoch::{EpochEntry, LeaderEpochs};
pub use log::{Log, SegmentMeta};
pub use log_config::LogConfig;
pub use log_dir::{LogDir, LogDirError};
pub use log_dir_failure::LogDirFailure;
pub use log_manager::{Disposition, Loaded, LogManager, PartitionLog};
pub use meta_properties::MetaProperties;
pub use offset_index::OffsetPosition;
pub use producer_state::{BatchMetadata, ProducerEntry, ProducerState};
pub use read::{AbortedTransaction, FileRange, LogReader, LogSlice, TimestampMatch};
pub use recovery::{Opening, Recovered};
pub use retention::{Expiry, Retention};
pub use time_index::TimestampOffset;
pub use transaction_index::AbortedTxn;
pub use truncate::remove_garbage;
