//! A client of the classic protocol that parses and makes assignments, as a library with the eager or the cooperative
//! protocol does, for tests of groups that change their protocol.

use std::collections::{BTreeMap, BTreeSet};

use super::consumer_client::Client;
use super::harness::*;
use crate::coordinator::group::consumer_protocol::{
    Subscription, decode_assignment, encode_assignment,
};
use crate::coordinator::group::kind::Group;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use ottla_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

/// Where a classic client is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    Out,
    Joining(Ticket),
    Syncing(Ticket),
    In,
}

/// Consumes topic `t` of `partitions` partitions.
pub(super) struct ClassicClient {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) generation: i32,
    pub(super) owned: BTreeSet<i32>,
    pub(super) phase: Phase,
    pub(super) is_cooperative: bool,
}

impl ClassicClient {
    pub(super) fn new(is_cooperative: bool) -> Self {
        Self {
            id: String::new(),
            instance: None,
            generation: -1,
            owned: BTreeSet::new(),
            phase: Phase::Out,
            is_cooperative,
        }
    }

    fn subscription(&self) -> Vec<u8> {
        let mut out = b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\x01\0\x01t".to_vec();
        out.extend((self.owned.len() as i32).to_be_bytes());
        out.extend(self.owned.iter().flat_map(|index| index.to_be_bytes()));
        out
    }

    pub(super) fn join_request(&self) -> JoinGroupRequest {
        let mut protocol = protocol("range", &["t"]);
        protocol.metadata = self.subscription().into();
        join_request(&self.id)
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_protocols(vec![protocol])
    }

    /// Do what is next; nothing while an answer is awaited. What it sent that names its generation is returned.
    pub(super) fn step(&mut self, h: &mut Harness, partitions: i32) -> Option<GroupRequest> {
        match self.phase {
            Phase::Out => {
                if !self.is_cooperative {
                    self.owned.clear();
                }
                self.phase = Phase::Joining(h.join(self.join_request()));
            }
            Phase::Joining(ticket) => {
                if let Some(GroupResponse::JoinGroup(response)) = h.take(ticket) {
                    return self.joined(h, &response, partitions);
                }
            }
            Phase::Syncing(ticket) => {
                if let Some(GroupResponse::SyncGroup(response)) = h.take(ticket) {
                    self.phase = Phase::Out;
                    match response.error_code {
                        0 => self.assigned(&response.assignment),
                        code => self.failed(code),
                    }
                }
            }
            Phase::In => {
                let request = heartbeat_request(&self.id, self.generation)
                    .with_group_instance_id(self.instance.as_deref().map(text));
                match h.ask(GroupRequest::Heartbeat(request.clone())) {
                    GroupResponse::Heartbeat(response) if response.error_code == 0 => {}
                    GroupResponse::Heartbeat(response) => self.failed(response.error_code),
                    other => panic!("{other:?}"),
                }
                return Some(GroupRequest::Heartbeat(request));
            }
        }
        None
    }

    fn joined(
        &mut self,
        h: &mut Harness,
        response: &JoinGroupResponse,
        partitions: i32,
    ) -> Option<GroupRequest> {
        self.phase = Phase::Out;
        match response.error_code {
            0 => {}
            79 => {
                self.id = response.member_id.to_string();
                return None;
            }
            code => {
                self.failed(code);
                return None;
            }
        }
        self.id = response.member_id.to_string();
        self.generation = response.generation_id;
        let leads = response.leader == response.member_id && !response.skip_assignment;
        let assignments = match leads {
            true => deal(response, partitions, self.is_cooperative),
            false => BTreeMap::new(),
        };
        let assignments: Vec<(&str, &[u8])> = (assignments.iter())
            .map(|(member, assignment)| (&**member, &**assignment))
            .collect();
        let request = sync_request(&self.id, self.generation, &assignments)
            .with_group_instance_id(self.instance.as_deref().map(text));
        self.phase = Phase::Syncing(h.sync(request.clone()));
        Some(GroupRequest::SyncGroup(request))
    }

    /// A cooperative client that has given something up joins again at once.
    fn assigned(&mut self, assignment: &[u8]) {
        let assigned: BTreeSet<i32> = match assignment {
            [] => BTreeSet::new(),
            bytes => {
                let (topics, _) = decode_assignment(bytes).unwrap();
                topics
                    .into_iter()
                    .flat_map(|(_, indexes)| indexes)
                    .collect()
            }
        };
        let gave_up = self.owned.difference(&assigned).next().is_some();
        self.owned = assigned;
        self.phase = match gave_up && self.is_cooperative {
            true => Phase::Out,
            false => Phase::In,
        };
    }

    fn failed(&mut self, code: i16) {
        self.phase = Phase::Out;
        match code {
            27 => {}
            22 => {
                self.generation = -1;
                self.owned.clear();
            }
            25 | 82 => {
                self.id.clear();
                self.generation = -1;
                self.owned.clear();
            }
            code => panic!("{code}"),
        }
    }
}

/// Deal the partitions out; cooperative consumers get nothing that another one still has.
fn deal(
    joined: &JoinGroupResponse,
    partitions: i32,
    is_cooperative: bool,
) -> BTreeMap<String, Vec<u8>> {
    let mut owners: BTreeMap<i32, String> = BTreeMap::new();
    for member in &joined.members {
        let subscription = Subscription::decode(&member.metadata).unwrap();
        for index in subscription
            .owned
            .into_iter()
            .flat_map(|(_, indexes)| indexes)
        {
            owners.insert(index, member.member_id.to_string());
        }
    }
    let mut members: Vec<String> = (joined.members.iter())
        .map(|member| member.member_id.to_string())
        .collect();
    members.sort();
    let mut dealt: BTreeMap<&String, Vec<i32>> = BTreeMap::new();
    for index in 0..partitions {
        let member = &members[index as usize % members.len()];
        let is_free = owners.get(&index).is_none_or(|owner| owner == member);
        if is_free || !is_cooperative {
            dealt.entry(member).or_default().push(index);
        }
    }
    let encode = |indexes: &Vec<i32>| encode_assignment(1, &[("t".to_owned(), indexes.clone())]);
    let dealt = dealt.into_iter();
    dealt
        .map(|(member, indexes)| (member.clone(), encode(&indexes)))
        .collect()
}

/// Whether the coordinator counts it as a member.
pub(super) fn is_member(h: &Harness, id: &str) -> bool {
    match h.shard.groups.get("g") {
        Some(Group::Classic(group)) => group.has_member(id),
        Some(Group::Consumer(group)) => group.has_member(id),
        None => false,
    }
}

/// No partition of `t` has two owners among those that are members.
pub(super) fn one_owner(h: &Harness, classic: &[ClassicClient], consumers: &[Client]) {
    let mut seen: BTreeMap<i32, &str> = BTreeMap::new();
    let of_consumers = consumers
        .iter()
        .filter(|client| client.epoch > 0)
        .map(|client| {
            let owned = client.owned.values().flatten().copied().collect();
            (&*client.id, owned)
        });
    let of_classic = classic
        .iter()
        .map(|client| (&*client.id, client.owned.clone()));
    let all: Vec<(&str, BTreeSet<i32>)> = of_consumers.chain(of_classic).collect();
    for (id, owned) in all.into_iter().filter(|(id, _)| is_member(h, id)) {
        for index in owned {
            if let Some(other) = seen.insert(index, id) {
                panic!("{index} has two owners: {id} and {other}");
            }
        }
    }
}
