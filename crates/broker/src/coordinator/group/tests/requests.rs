//! What clients send, and what they read in the answers.

use crate::answer_room::AnswerRoom;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    OffsetCommitRequest, SyncGroupRequest, SyncGroupResponse,
};

use super::harness::{Harness, Ticket};
use crate::coordinator::group::message::{GroupRequest, GroupResponse, Origin};

/// A client of the newest version.
pub(super) fn origin() -> Origin {
    origin_of(9)
}

/// A client that sends this version.
pub(super) fn origin_of(version: i16) -> Origin {
    Origin {
        version,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
    }
}

pub(super) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

/// A subscription to topics as consumers encode it (version 0).
pub(super) fn subscription(topics: &[&str]) -> Vec<u8> {
    let mut out = vec![0, 0];
    out.extend_from_slice(&i32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        out.extend_from_slice(&i16::try_from(topic.len()).unwrap().to_be_bytes());
        out.extend_from_slice(topic.as_bytes());
    }
    out.extend_from_slice(&[0xff; 4]);
    out
}

/// A consumer of topic `t` with the range assignor, 10 s session and 30 s to rejoin.
pub(super) fn join_request(member_id: &str) -> JoinGroupRequest {
    JoinGroupRequest::default()
        .with_group_id(text("g").into())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(30_000)
        .with_member_id(text(member_id))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol("range", &["t"])])
}

pub(super) fn protocol(name: &str, topics: &[&str]) -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol::default()
        .with_name(text(name))
        .with_metadata(subscription(topics).into())
}

/// A SyncGroup, of the leader when it assigns.
pub(super) fn sync_request(
    member_id: &str,
    generation: i32,
    assignments: &[(&str, &[u8])],
) -> SyncGroupRequest {
    let assignments = assignments.iter().map(|(member, assignment)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(text(member))
            .with_assignment(assignment.to_vec().into())
    });
    SyncGroupRequest::default()
        .with_group_id(text("g").into())
        .with_generation_id(generation)
        .with_member_id(text(member_id))
        .with_assignments(assignments.collect())
}

pub(super) fn heartbeat_request(member_id: &str, generation: i32) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(text("g").into())
        .with_generation_id(generation)
        .with_member_id(text(member_id))
}

pub(super) fn leave_request(members: &[(&str, Option<&str>)]) -> LeaveGroupRequest {
    let members = members.iter().map(|(member, instance)| {
        MemberIdentity::default()
            .with_member_id(text(member))
            .with_group_instance_id(instance.map(text))
    });
    LeaveGroupRequest::default()
        .with_group_id(text("g").into())
        .with_members(members.collect())
}

/// A commit of partition 0 of topic `t`.
pub(super) fn commit_request(member_id: &str, generation: i32, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset)
        .with_committed_leader_epoch(3)
        .with_committed_metadata(Some(text("note")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(text("t").into())
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(text("g").into())
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(text(member_id))
        .with_retention_time_ms(-1)
        .with_topics(vec![topic])
}

impl Harness {
    pub(super) fn join(&mut self, request: JoinGroupRequest) -> Ticket {
        self.send(GroupRequest::JoinGroup(origin(), request))
    }

    pub(super) fn joined(&mut self, ticket: Ticket) -> JoinGroupResponse {
        match self.answer(ticket) {
            GroupResponse::JoinGroup(response) => response,
            other => panic!("{other:?}"),
        }
    }

    /// Get an id and join with it.
    pub(super) fn join_new(&mut self) -> (String, Ticket) {
        self.join_new_as(join_request(""))
    }

    pub(super) fn join_new_as(&mut self, request: JoinGroupRequest) -> (String, Ticket) {
        let ticket = self.join(request.clone());
        let response = self.joined(ticket);
        assert_eq!(response.error_code, 79, "{response:?}");
        let id = response.member_id.to_string();
        let ticket = self.join(request.with_member_id(text(&id)));
        (id, ticket)
    }

    pub(super) fn sync(&mut self, request: SyncGroupRequest) -> Ticket {
        self.send(GroupRequest::SyncGroup(request))
    }

    pub(super) fn synced(&mut self, ticket: Ticket) -> SyncGroupResponse {
        match self.answer(ticket) {
            GroupResponse::SyncGroup(response) => response,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn heartbeat(&mut self, member_id: &str, generation: i32) -> i16 {
        match self.ask(GroupRequest::Heartbeat(heartbeat_request(
            member_id, generation,
        ))) {
            GroupResponse::Heartbeat(response) => response.error_code,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn leave(&mut self, members: &[(&str, Option<&str>)]) -> LeaveGroupResponse {
        let request = GroupRequest::LeaveGroup(origin_of(5), leave_request(members));
        match self.ask(request) {
            GroupResponse::LeaveGroup(response) => response,
            other => panic!("{other:?}"),
        }
    }

    /// Commit and give the error code of the one partition.
    pub(super) fn commit_offset(&mut self, version: i16, request: OffsetCommitRequest) -> i16 {
        match self.ask(GroupRequest::OffsetCommit(origin_of(version), request)) {
            GroupResponse::OffsetCommit(response) => response.topics[0].partitions[0].error_code,
            other => panic!("{other:?}"),
        }
    }

    /// Offset, leader epoch and metadata of partition 0 of topic `t`.
    pub(super) fn fetch_offset(&mut self) -> (i64, i32, String) {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(text("t").into())
            .with_partition_indexes(vec![0]);
        let request = OffsetFetchRequestGroup::default()
            .with_group_id(text("g").into())
            .with_topics(Some(vec![topic]));
        match self.ask(GroupRequest::OffsetFetch(
            request,
            false,
            AnswerRoom::default(),
        )) {
            GroupResponse::OffsetFetch(response) => {
                let partition = &response.topics[0].partitions[0];
                let metadata = partition.metadata.as_ref().unwrap().to_string();
                (
                    partition.committed_offset,
                    partition.committed_leader_epoch,
                    metadata,
                )
            }
            other => panic!("{other:?}"),
        }
    }

    /// State of the group as DescribeGroups tells it.
    pub(super) fn state(&mut self) -> String {
        let request =
            GroupRequest::DescribeGroups(origin_of(5), vec!["g".into()], AnswerRoom::default());
        match self.ask(request) {
            GroupResponse::DescribeGroups(response) => response.groups[0].group_state.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// A stable group of `count` dynamic members; their ids, the leader first, and the generation.
    pub(super) fn stable_group(&mut self, count: usize) -> (Vec<String>, i32) {
        let joins: Vec<_> = (0..count).map(|_| self.join_new()).collect();
        self.sleep(3_000 * (count as u64 + 1));
        let mut ids = Vec::new();
        let mut generation = 0;
        for (id, ticket) in joins {
            let response = self.joined(ticket);
            assert_eq!(response.error_code, 0);
            generation = response.generation_id;
            match *response.leader == *id {
                true => ids.insert(0, id),
                false => ids.push(id),
            }
        }
        let assignments: Vec<(&str, &[u8])> = ids.iter().map(|id| (&**id, id.as_bytes())).collect();
        let requests = ids
            .iter()
            .enumerate()
            .map(|(at, id)| sync_request(id, generation, if at == 0 { &assignments } else { &[] }));
        let tickets: Vec<_> = requests.map(|request| self.sync(request)).collect();
        for (id, ticket) in ids.iter().zip(tickets) {
            assert_eq!(self.synced(ticket).assignment, id.as_bytes());
        }
        assert_eq!(self.state(), "Stable");
        for id in &ids {
            assert_eq!(self.heartbeat(id, generation), 0);
        }
        (ids, generation)
    }
}
