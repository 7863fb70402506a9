//! What groups need to know of the cluster's topics.

use std::fmt::Debug;
use std::sync::Arc;

use ottla_protocol::ids::TopicId;

/// A topic as assignors see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: Arc<str>,
    /// How many partitions it has.
    pub partitions: i32,
}

/// The topics of the cluster, as they are at the moment.
pub trait Topics: Debug + Send + Sync {
    /// A topic by its name.
    fn by_name(&self, name: &str) -> Option<Topic>;
    /// A topic by its id.
    fn by_id(&self, id: TopicId) -> Option<Topic>;
    /// The names of all topics, without those only the broker writes to.
    fn names(&self) -> Vec<Arc<str>>;
    /// Goes up with every change.
    fn version(&self) -> i64;
}

/// A cluster without topics.
#[derive(Clone, Copy, Debug)]
pub struct NoTopics;

impl Topics for NoTopics {
    fn by_name(&self, _: &str) -> Option<Topic> {
        None
    }

    fn by_id(&self, _: TopicId) -> Option<Topic> {
        None
    }

    fn names(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn version(&self) -> i64 {
        0
    }
}
