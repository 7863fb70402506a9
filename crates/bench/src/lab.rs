//! What all measurements of one run share: the servers, the scratch directory and the sizes.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::affinity::Placement;
use crate::client::Client;
use crate::error::Result;
use crate::server::Server;

/// One run's surroundings.
pub(crate) struct Lab {
    /// Where server and clients run.
    pub(crate) placement: Placement,
    /// The broker under test.
    pub(crate) broker: Server,
    /// The raw server beside it.
    pub(crate) raw: Server,
    /// The broker's data directory, when its files can be read.
    pub(crate) log_dir: Option<PathBuf>,
    /// A directory of this run, on the same file system as the broker's data.
    pub(crate) scratch: PathBuf,
    /// How much is measured.
    pub(crate) extent: Extent,
    /// Topics to delete in the end.
    pub(crate) topics: RefCell<Vec<String>>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Fewer configurations, for a first look.
    pub(crate) quick: bool,
    /// Interleaved repeats of every case.
    pub(crate) repeats: usize,
    /// Length of one timed measurement.
    pub(crate) slice: Duration,
    /// Bytes of a consume data set, over all partitions.
    pub(crate) stored: usize,
    /// Bytes of one produce measurement.
    pub(crate) produced: usize,
    /// Bytes of one run of the stock producer.
    pub(crate) stock: usize,
    /// Time after the start of a run at which no repeat begins.
    pub(crate) limit: Duration,
    /// CPU time that Apache Kafka has of each load to warm up.
    pub(crate) warm_up: Duration,
}

impl Extent {
    /// The full run, below ten minutes.
    pub(crate) fn full() -> Self {
        Self {
            quick: false,
            repeats: 7,
            slice: Duration::from_millis(200),
            stored: 128 << 20,
            produced: 128 << 20,
            stock: 256 << 20,
            warm_up: Duration::from_secs(2),
            limit: Duration::from_secs(24 * 3600),
        }
    }

    /// The run for the README's figures, below ten minutes also on a machine that does other things.
    pub(crate) fn readme() -> Self {
        Self {
            repeats: 5,
            limit: Duration::from_secs(8 * 60),
            ..Self::full()
        }
    }

    /// The quick run, below two minutes.
    pub(crate) fn quick() -> Self {
        Self {
            quick: true,
            repeats: 5,
            slice: Duration::from_millis(100),
            stored: 64 << 20,
            produced: 64 << 20,
            stock: 128 << 20,
            warm_up: Duration::from_secs(1),
            limit: Duration::from_secs(24 * 3600),
        }
    }
}

impl Lab {
    /// Creates a topic that lasts as long as the run; returns its name, which no other run uses.
    pub(crate) fn create_topic(&self, name: &str, partitions: usize) -> Result<String> {
        let topic = format!("{name}-{}", std::process::id());
        self.client()?.create_topic(&topic, partitions)?;
        self.topics.borrow_mut().push(topic.clone());
        Ok(topic)
    }

    /// Leaves a broker that was there before as it was found.
    pub(crate) fn delete_topics(&self) -> Result<()> {
        let mut client = self.client()?;
        let topics = self.topics.take();
        topics
            .iter()
            .try_for_each(|topic| client.delete_topic(topic))
    }

    /// A connection for set-up requests to the broker.
    pub(crate) fn client(&self) -> Result<Client> {
        Client::connect(self.broker.address)
    }

    /// The broker's first segment of a partition, when its files can be read.
    pub(crate) fn segment(&self, topic: &str, partition: usize) -> Option<PathBuf> {
        self.log_dir
            .as_deref()
            .map(|dir| segment(dir, topic, partition))
    }
}

/// Wall-clock time for the records, ms since the epoch: brokers refuse records from the far past or future.
#[expect(
    clippy::disallowed_methods,
    reason = "records of a real client carry the time of day"
)]
pub(crate) fn timestamp_ms() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

fn segment(dir: &Path, topic: &str, partition: usize) -> PathBuf {
    dir.join(format!("{topic}-{partition}/00000000000000000000.log"))
}
