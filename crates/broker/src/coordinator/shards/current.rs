//! The shards of a coordinator's topic as it is now: they come with the topic, and go with it when it is deleted.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use ottla_protocol::ids::TopicId;

use super::Shards;
use crate::coordinator::shard::Shard;
use crate::partition::topic::Topic;

/// The shards of the topic that there is.
pub struct CurrentShards<S: Shard> {
    current: ArcSwapOption<(TopicId, Arc<Shards<S>>)>,
    /// Held by whoever puts others in their place.
    changing: Mutex<()>,
}

impl<S: Shard> Default for CurrentShards<S> {
    fn default() -> Self {
        Self {
            current: ArcSwapOption::empty(),
            changing: Mutex::default(),
        }
    }
}

impl<S: Shard> CurrentShards<S> {
    /// The shards of `topic`, which `start` starts unless they are at work. Those of another topic of that name, which
    /// was deleted, are let go: what they were asked is answered with NOT_COORDINATOR.
    pub fn of(
        &self,
        topic: Option<&Topic>,
        start: impl FnOnce(&Topic) -> Shards<S>,
    ) -> Option<Arc<Shards<S>>> {
        let id = topic.map(|topic| topic.id);
        if let Some(shards) = self.known(id) {
            return shards;
        }
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shards) = self.known(id) {
            return shards;
        }
        let shards = topic.map(|topic| (topic.id, Arc::new(start(topic))));
        self.current.store(shards.clone().map(Arc::new));
        shards.map(|(_, shards)| shards)
    }

    /// Those that are at work, whatever has become of their topic.
    pub fn at_work(&self) -> Option<Arc<Shards<S>>> {
        let current = self.current.load();
        current.as_deref().map(|(_, shards)| Arc::clone(shards))
    }

    /// What there is for a topic with this id, or for none; `None` where something else is to be put in its place.
    fn known(&self, id: Option<TopicId>) -> Option<Option<Arc<Shards<S>>>> {
        let current = self.current.load();
        let known = current.as_deref();
        (known.map(|(of, _)| *of) == id).then(|| known.map(|(_, shards)| Arc::clone(shards)))
    }
}
