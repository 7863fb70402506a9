//! A client of the consumer protocol, for tests.

use crate::answer_room::AnswerRoom;
use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::ids::TopicId;
use ottla_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use ottla_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::harness::*;
use crate::coordinator::group::config::GroupConfig;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};

pub(super) type Owned = BTreeMap<TopicId, BTreeSet<i32>>;

/// A consumer as a client library behaves: what it is told it takes, and says so in its next heartbeat. It may take its
/// time to give partitions up, and say what it owns only when that has changed.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) epoch: i32,
    pub(super) owned: Owned,
    pub(super) topics: Vec<String>,
    pub(super) regex: Option<String>,
    /// It does not know what became of its last heartbeat, so the next one says everything.
    pub(super) unsure: bool,
    /// It is slow to give up partitions, and says nothing in the meantime.
    pub(super) is_slow: bool,
    /// What it is to own once it has given up the rest.
    pub(super) revoking: Option<Owned>,
    /// What it has said that it owns.
    said: Option<Owned>,
}

impl Client {
    pub(super) fn new(id: &str, topics: &[&str]) -> Self {
        Self {
            id: id.to_owned(),
            instance: None,
            epoch: 0,
            owned: Owned::new(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            regex: None,
            unsure: false,
            is_slow: false,
            revoking: None,
            said: None,
        }
    }

    /// It has lost its membership, and with it all it had.
    pub(super) fn forget(&mut self) {
        self.epoch = 0;
        self.owned.clear();
        self.revoking = None;
        self.said = None;
    }

    /// It has given up what it was to give up.
    pub(super) fn revoked(&mut self) {
        if let Some(assignment) = self.revoking.take() {
            self.owned = assignment;
        }
    }

    pub(super) fn request(&self) -> ConsumerGroupHeartbeatRequest {
        let owned = self.owned.iter().map(|(topic, partitions)| {
            TopicPartitions::default()
                .with_topic_id(topic.0)
                .with_partitions(partitions.iter().copied().collect())
        });
        let mut request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(text("g").into())
            .with_member_id(text(&self.id))
            .with_member_epoch(self.epoch)
            .with_instance_id(self.instance.as_deref().map(text))
            .with_rebalance_timeout_ms(-1)
            .with_topic_partitions(Some(owned.collect()));
        if self.epoch == 0 || self.unsure {
            let names = self.topics.iter().map(|name| text(name).into());
            request.rebalance_timeout_ms = 30_000;
            request.subscribed_topic_names = Some(names.collect());
            request.subscribed_topic_regex = self.regex.as_deref().map(text);
        } else if self.is_slow && self.said.as_ref() == Some(&self.owned) {
            request.topic_partitions = None;
        }
        request
    }

    /// Send a heartbeat and do as it says.
    pub(super) fn beat(&mut self, h: &mut Harness) -> i16 {
        let response = send(h, self.request());
        if response.error_code == 0 {
            self.take(&response);
        }
        response.error_code
    }

    pub(super) fn take(&mut self, response: &ConsumerGroupHeartbeatResponse) {
        self.unsure = false;
        self.epoch = response.member_epoch;
        self.said = Some(self.owned.clone());
        if let Some(assignment) = &response.assignment {
            let topics = assignment.topic_partitions.iter();
            let assigned: Owned = topics
                .map(|topic| {
                    (
                        TopicId(topic.topic_id),
                        topic.partitions.iter().copied().collect(),
                    )
                })
                .collect();
            let keeps = |(topic, partitions): (&TopicId, &BTreeSet<i32>)| {
                let assigned = assigned.get(topic);
                assigned.is_some_and(|assigned| partitions.is_subset(assigned))
            };
            match self.is_slow && !self.owned.iter().all(keeps) {
                true => self.revoking = Some(assigned),
                false => (self.owned, self.revoking) = (assigned, None),
            }
        }
    }

    pub(super) fn leave(&self, h: &mut Harness, epoch: i32) -> i16 {
        let request = self
            .request()
            .with_member_epoch(epoch)
            .with_topic_partitions(None);
        send(h, request).error_code
    }

    pub(super) fn count(&self) -> usize {
        self.owned.values().map(BTreeSet::len).sum()
    }
}

pub(super) fn send(
    h: &mut Harness,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    match h.ask(GroupRequest::ConsumerGroupHeartbeat(origin_of(1), request)) {
        GroupResponse::ConsumerGroupHeartbeat(response) => response,
        other => panic!("{other:?}"),
    }
}

pub(super) fn harness() -> Harness {
    let h = Harness::new(GroupConfig::default());
    h.topics.set("t", 6);
    h
}

/// Heartbeats all round until everybody has what they shall have.
pub(super) fn settle(h: &mut Harness, clients: &mut [&mut Client]) {
    for _ in 0..10 {
        for client in clients.iter_mut() {
            assert_eq!(client.beat(h), 0, "{}", client.id);
        }
        h.sleep(0);
        no_two_owners(clients.iter().map(|client| &**client));
    }
    assert_eq!(state(h), "Stable");
}

pub(super) fn no_two_owners<'a>(clients: impl Iterator<Item = &'a Client>) {
    let mut seen = BTreeSet::new();
    for client in clients {
        for (topic, partitions) in &client.owned {
            for partition in partitions {
                assert!(
                    seen.insert((*topic, *partition)),
                    "{partition} has two owners"
                );
            }
        }
    }
}

pub(super) fn state(h: &mut Harness) -> String {
    match h.ask(GroupRequest::ConsumerGroupDescribe(
        vec!["g".into()],
        AnswerRoom::default(),
    )) {
        GroupResponse::ConsumerGroupDescribe(response) => {
            let group = &response.groups[0];
            match group.error_code {
                0 => group.group_state.to_string(),
                code => code.to_string(),
            }
        }
        other => panic!("{other:?}"),
    }
}
