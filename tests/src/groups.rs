//! A member of a classic group, of a few lines: it says what a test tells it to.

use bytes::Bytes;
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
use ottla_protocol::messages::*;

use crate::client::{Client, topic_name};

const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const MEMBER_ID_REQUIRED: i16 = 79;

/// One member with a connection of its own.
#[derive(Debug)]
pub struct GroupMember {
    client: Client,
    group: StrBytes,
    instance: Option<StrBytes>,
    session_timeout_ms: i32,
    /// The id the coordinator gave it; empty before.
    pub id: StrBytes,
    /// The generation it knows.
    pub generation: i32,
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl GroupMember {
    /// A process that has not joined; it has looked the coordinator up.
    pub async fn new(mut client: Client, group: &str, session_timeout_ms: i32) -> Self {
        let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text(group)]);
        let found = client.call(4, &find).await;
        assert_eq!(found.coordinators[0].error_code, 0);
        Self {
            client,
            group: text(group),
            instance: None,
            session_timeout_ms,
            id: StrBytes::default(),
            generation: -1,
        }
    }

    /// With a `group.instance.id`.
    pub fn with_instance(mut self, instance: &str) -> Self {
        self.instance = Some(text(instance));
        self
    }

    /// The same member over another connection.
    pub fn reconnect(mut self, client: Client) -> Self {
        self.client = client;
        self
    }

    /// Join, and wait until all others have.
    pub async fn join(&mut self) -> JoinGroupResponse {
        loop {
            let protocol = JoinGroupRequestProtocol::default()
                .with_name(text("range"))
                .with_metadata(Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff"));
            let request = JoinGroupRequest::default()
                .with_group_id(self.group.clone().into())
                .with_session_timeout_ms(self.session_timeout_ms)
                .with_rebalance_timeout_ms(60_000)
                .with_member_id(self.id.clone())
                .with_group_instance_id(self.instance.clone())
                .with_protocol_type(text("consumer"))
                .with_protocols(vec![protocol]);
            let joined = self.client.call(9, &request).await;
            match joined.error_code {
                MEMBER_ID_REQUIRED => self.id = joined.member_id,
                COORDINATOR_LOAD_IN_PROGRESS => tokio::task::yield_now().await,
                _ => {
                    self.id = joined.member_id.clone();
                    self.generation = joined.generation_id;
                    return joined;
                }
            }
        }
    }

    /// SyncGroup: the leader hands in what everybody gets, the others nothing. The answer is the member's own part.
    pub async fn sync(&mut self, assignments: &[(&StrBytes, &'static str)]) -> (i16, Bytes) {
        let assignments = assignments.iter().map(|(id, assignment)| {
            SyncGroupRequestAssignment::default()
                .with_member_id((*id).clone())
                .with_assignment(Bytes::from_static(assignment.as_bytes()))
        });
        let request = SyncGroupRequest::default()
            .with_group_id(self.group.clone().into())
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance.clone())
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")))
            .with_assignments(assignments.collect());
        let synced = self.client.call(5, &request).await;
        (synced.error_code, synced.assignment)
    }

    /// Heartbeat; the error code.
    pub async fn heartbeat(&mut self) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group.clone().into())
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance.clone());
        loop {
            match self.client.call(4, &request).await.error_code {
                COORDINATOR_LOAD_IN_PROGRESS => tokio::task::yield_now().await,
                code => return code,
            }
        }
    }

    /// Heartbeats until the answer is `code`.
    pub async fn heartbeat_until(&mut self, code: i16) {
        let wait = async {
            while self.heartbeat().await != code {
                tokio::task::yield_now().await;
            }
        };
        let limit = std::time::Duration::from_secs(30);
        let waited = tokio::time::timeout(limit, wait).await;
        waited.expect("the heartbeat is answered as expected");
    }

    /// Leave; the error code.
    pub async fn leave(&mut self) -> i16 {
        let member = MemberIdentity::default()
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance.clone());
        let request = LeaveGroupRequest::default()
            .with_group_id(self.group.clone().into())
            .with_members(vec![member]);
        let left = self.client.call(5, &request).await;
        left.error_code.max(left.members[0].error_code)
    }

    /// Commit one offset of `t`; the error code.
    pub async fn commit(&mut self, partition: i32, offset: i64) -> i16 {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(text("words")));
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group.clone().into())
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance.clone())
            .with_topics(vec![topic]);
        let committed = self.client.call(8, &request).await;
        committed.topics[0].partitions[0].error_code
    }
}

/// The committed offset of a partition of `t`, -1 when there is none.
pub async fn committed(client: &mut Client, group: &str, partition: i32) -> i64 {
    let topic = OffsetFetchRequestTopics::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![partition]);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(text(group).into())
        .with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_groups(vec![group]);
    loop {
        let response = client.call(8, &request).await;
        let group = &response.groups[0];
        if group.error_code != COORDINATOR_LOAD_IN_PROGRESS {
            assert_eq!(group.error_code, 0);
            return group.topics[0].partitions[0].committed_offset;
        }
        tokio::task::yield_now().await;
    }
}
