//! Members of classic groups: JoinGroup, SyncGroup, OffsetCommit.

use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, OffsetCommitRequest,
    SyncGroupRequest,
};

use super::{LARGE, MANY, TOPIC, await_coordinator, is_starting};
use crate::client::{Client, refused};
use crate::clock::now;
use crate::error::Result;
use crate::request::topic_name;
use crate::server::Server;

const JOIN_VERSION: i16 = 9;
const SYNC_VERSION: i16 = 5;
const HEARTBEAT_VERSION: i16 = 4;
const COMMIT_VERSION: i16 = 8;
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;
/// Bytes of a member's subscription and of its assignment, about those of a real client with a few topics.
const METADATA: &[u8] = &[7; 120];

/// A stable group gets one more member: the time from its join until every member has its assignment.
pub(super) fn rebalance(server: &Server) -> Result<(Vec<Client>, Duration)> {
    let mut members = join(server, "bench-large", LARGE - 1)?;
    settle(&mut members)?;
    let mut last = Member::introduce(server, "bench-large")?;
    let start = now();
    last.send_join()?;
    for member in &mut members {
        while member.heartbeat()? != REBALANCE_IN_PROGRESS {}
        member.send_join()?;
    }
    members.push(last);
    settle(&mut members)?;
    let took = now() - start;
    Ok((connections(members), took))
}

/// Many small groups, each stable and with a committed offset of every member.
pub(super) fn many(server: &Server) -> Result<(Vec<Client>, Duration)> {
    let start = now();
    let mut groups = Vec::new();
    for group in 0..MANY.0 {
        groups.push(join(server, &format!("bench-group-{group}"), MANY.1)?);
    }
    let mut all = Vec::new();
    for mut members in groups {
        settle(&mut members)?;
        for (partition, member) in members.iter_mut().enumerate() {
            member.commit(partition as i32)?;
        }
        all.extend(connections(members));
    }
    Ok((all, now() - start))
}

/// Members that have asked to join and have no answer yet.
fn join(server: &Server, group: &str, count: usize) -> Result<Vec<Member>> {
    let mut members: Vec<Member> = (0..count)
        .map(|_| Member::introduce(server, group))
        .collect::<Result<_>>()?;
    members.iter_mut().try_for_each(Member::send_join)?;
    Ok(members)
}

/// The rest of a rebalance in which all members have asked to join.
fn settle(members: &mut [Member]) -> Result<()> {
    let mut joined = Vec::with_capacity(members.len());
    for member in members.iter_mut() {
        joined.push(member.receive_join()?);
    }
    for (member, joined) in members.iter_mut().zip(&joined) {
        member.send_sync(joined)?;
    }
    members.iter_mut().try_for_each(Member::receive_sync)
}

fn connections(members: Vec<Member>) -> Vec<Client> {
    members.into_iter().map(|member| member.client).collect()
}

struct Member {
    client: Client,
    group: GroupId,
    id: StrBytes,
    generation: i32,
}

impl Member {
    /// Connects and has an id given.
    fn introduce(server: &Server, group: &str) -> Result<Self> {
        let mut client = Client::connect(server.address)?;
        await_coordinator(&mut client, group)?;
        let mut member = Self {
            client,
            group: GroupId(StrBytes::from_string(group.to_owned())),
            id: StrBytes::default(),
            generation: -1,
        };
        loop {
            member.send_join()?;
            let answer = member.client.receive::<JoinGroupRequest>(JOIN_VERSION)?;
            match answer.error_code {
                MEMBER_ID_REQUIRED => {
                    member.id = answer.member_id;
                    return Ok(member);
                }
                code if is_starting(code) => std::thread::sleep(Duration::from_millis(5)),
                code => refused("JoinGroup", code)?,
            }
        }
    }

    fn send_join(&mut self) -> Result<()> {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str("range"))
            .with_metadata(Bytes::from_static(METADATA));
        let request = JoinGroupRequest::default()
            .with_group_id(self.group.clone())
            .with_session_timeout_ms(45_000)
            .with_rebalance_timeout_ms(60_000)
            .with_member_id(self.id.clone())
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol]);
        self.client.send(JOIN_VERSION, &request)
    }

    fn receive_join(&mut self) -> Result<JoinGroupResponse> {
        let answer = self.client.receive::<JoinGroupRequest>(JOIN_VERSION)?;
        refused("JoinGroup", answer.error_code)?;
        self.generation = answer.generation_id;
        Ok(answer)
    }

    /// The leader brings an assignment for everybody.
    fn send_sync(&mut self, joined: &JoinGroupResponse) -> Result<()> {
        let assigned = joined.members.iter().map(|member| {
            SyncGroupRequestAssignment::default()
                .with_member_id(member.member_id.clone())
                .with_assignment(Bytes::from_static(METADATA))
        });
        let request = SyncGroupRequest::default()
            .with_group_id(self.group.clone())
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone())
            .with_protocol_type(Some(StrBytes::from_static_str("consumer")))
            .with_protocol_name(Some(StrBytes::from_static_str("range")))
            .with_assignments(assigned.collect());
        self.client.send(SYNC_VERSION, &request)
    }

    fn receive_sync(&mut self) -> Result<()> {
        let answer = self.client.receive::<SyncGroupRequest>(SYNC_VERSION)?;
        refused("SyncGroup", answer.error_code)
    }

    fn heartbeat(&mut self) -> Result<i16> {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group.clone())
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone());
        match self.client.call(HEARTBEAT_VERSION, &request)?.error_code {
            REBALANCE_IN_PROGRESS => Ok(REBALANCE_IN_PROGRESS),
            code => refused("Heartbeat", code).map(|()| code),
        }
    }

    fn commit(&mut self, partition: i32) -> Result<()> {
        let offset = OffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(1);
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name(TOPIC))
            .with_partitions(vec![offset]);
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group.clone())
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(self.id.clone())
            .with_topics(vec![topic]);
        let answer = self.client.call(COMMIT_VERSION, &request)?;
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.try_for_each(|partition| refused("OffsetCommit", partition.error_code))
    }
}
