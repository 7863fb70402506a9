//! What a shard sees of the cluster: topics and configs of groups, which tests change.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ottla_protocol::ids::TopicId;
use uuid::Uuid;

use crate::coordinator::group::config::{ConsumerTimings, DynamicConfigs};
use crate::coordinator::group::topics::{Topic, Topics};

/// The configs of groups; Kafka's defaults where none are set.
#[derive(Debug, Default)]
pub(super) struct TestConfigs(Mutex<BTreeMap<String, ConsumerTimings>>);

impl TestConfigs {
    pub(super) fn set(&self, group: &str, session_timeout_ms: i32, heartbeat_interval_ms: i32) {
        let timings = ConsumerTimings {
            session_timeout_ms,
            heartbeat_interval_ms,
        };
        self.0.lock().unwrap().insert(group.to_owned(), timings);
    }
}

impl DynamicConfigs for TestConfigs {
    fn consumer(&self, group: &str) -> ConsumerTimings {
        let defaults = ConsumerTimings {
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
        };
        let set = self.0.lock().unwrap().get(group).copied();
        set.unwrap_or(defaults)
    }
}

/// The topics of the cluster, which tests change.
#[derive(Debug, Default)]
pub(super) struct TestTopics(Mutex<(i64, BTreeMap<String, i32>)>);

impl TestTopics {
    /// Make a topic, or change how many partitions it has.
    pub(super) fn set(&self, name: &str, partitions: i32) {
        let mut topics = self.0.lock().unwrap();
        topics.0 += 1;
        topics.1.insert(name.to_owned(), partitions);
    }

    /// The id of a topic is made of its name.
    pub(super) fn id(name: &str) -> TopicId {
        let hash = name
            .bytes()
            .fold(7_u128, |hash, byte| hash * 31 + u128::from(byte));
        TopicId(Uuid::from_u128(hash))
    }
}

impl Topics for TestTopics {
    fn by_name(&self, name: &str) -> Option<Topic> {
        let partitions = *self.0.lock().unwrap().1.get(name)?;
        Some(Topic {
            id: Self::id(name),
            name: name.into(),
            partitions,
        })
    }

    fn by_id(&self, id: TopicId) -> Option<Topic> {
        let names = self.names();
        let name = names.iter().find(|name| Self::id(name) == id)?;
        self.by_name(name)
    }

    fn names(&self) -> Vec<Arc<str>> {
        let topics = self.0.lock().unwrap();
        topics.1.keys().map(|name| Arc::from(&**name)).collect()
    }

    fn version(&self) -> i64 {
        self.0.lock().unwrap().0
    }
}
