//! What a group coordinator is asked and what it answers: Kafka's messages, with where they came from.

use std::collections::HashSet;
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::{
    ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    DeleteGroupsResponse, DescribeGroupsResponse, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest,
    ListGroupsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest,
    OffsetDeleteResponse, SyncGroupRequest, SyncGroupResponse, TxnOffsetCommitRequest,
    TxnOffsetCommitResponse, offset_fetch_request::OffsetFetchRequestGroup,
    offset_fetch_response::OffsetFetchResponseGroup,
};

use ottla_protocol::record::EndTxnMarker;

use super::core::TimerKey;
use super::sample::ShardSample;
use crate::answer_room::AnswerRoom;
use crate::coordinator::shard::{AppendFailure, ReplyTo, TransactionalProducer};

/// Who sent a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Version of the request.
    pub version: i16,
    /// `client.id`, empty when none was sent.
    pub client_id: Arc<str>,
    /// Address of the client as Java prints it, `/127.0.0.1`.
    pub client_host: Arc<str>,
}

/// One request to a shard. Those that name several groups name only groups of this shard.
#[derive(Debug, PartialEq)]
pub enum GroupRequest {
    /// Tell about groups of the consumer protocol.
    ConsumerGroupDescribe(Vec<Arc<str>>, AnswerRoom),
    /// Join, live in or leave a group of the consumer protocol.
    ConsumerGroupHeartbeat(Origin, ConsumerGroupHeartbeatRequest),
    /// Delete groups and their offsets.
    DeleteGroups(Vec<Arc<str>>),
    /// Tell about groups.
    DescribeGroups(Origin, Vec<Arc<str>>, AnswerRoom),
    /// End a producer's transaction in the partition of this shard.
    EndTransaction(TransactionalProducer, EndTxnMarker),
    /// A member is alive.
    Heartbeat(HeartbeatRequest),
    /// Become or stay a member.
    JoinGroup(Origin, JoinGroupRequest),
    /// Members leave.
    LeaveGroup(Origin, LeaveGroupRequest),
    /// List the groups of the shard.
    ListGroups(Arc<GroupFilter>),
    /// Commit offsets.
    OffsetCommit(Origin, OffsetCommitRequest),
    /// Delete committed offsets.
    OffsetDelete(OffsetDeleteRequest),
    /// Read committed offsets of one group; the flag is `require_stable`.
    OffsetFetch(OffsetFetchRequestGroup, bool, AnswerRoom),
    /// Partitions of these topics are gone: name of the topic and indexes.
    PartitionsDeleted(Vec<(Arc<str>, i32)>),
    /// Tell everything a scrape wants to know.
    Sample,
    /// Fetch or hand in the assignment.
    SyncGroup(SyncGroupRequest),
    /// Commit offsets within a producer's transaction.
    TxnOffsetCommit(TransactionalProducer, TxnOffsetCommitRequest),
}

/// Which groups are listed. A filter that names nothing lets everything through; names are not case-sensitive.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GroupFilter {
    states: HashSet<String>,
    types: HashSet<String>,
}

impl GroupFilter {
    /// As the request says, which may name as many as a frame holds.
    pub fn of(request: &ListGroupsRequest) -> Self {
        let lower = |text: &StrBytes| text.trim().to_lowercase();
        Self {
            states: request.states_filter.iter().map(lower).collect(),
            types: request.types_filter.iter().map(lower).collect(),
        }
    }

    /// Is a group in this state and of this type listed?
    pub fn lets_through(&self, state: &str, kind: &str) -> bool {
        let by_state = self.states.is_empty() || self.states.contains(&state.to_lowercase());
        by_state && (self.types.is_empty() || self.types.contains(&kind.to_lowercase()))
    }
}

/// The answer to a [`GroupRequest`].
#[derive(Clone, Debug, PartialEq)]
pub enum GroupResponse {
    /// To [`GroupRequest::ConsumerGroupDescribe`].
    ConsumerGroupDescribe(ConsumerGroupDescribeResponse),
    /// To [`GroupRequest::ConsumerGroupHeartbeat`].
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse),
    /// To [`GroupRequest::DeleteGroups`].
    DeleteGroups(DeleteGroupsResponse),
    /// To [`GroupRequest::DescribeGroups`].
    DescribeGroups(DescribeGroupsResponse),
    /// To [`GroupRequest::EndTransaction`].
    EndTransaction(Result<(), ResponseError>),
    /// To [`GroupRequest::Heartbeat`].
    Heartbeat(HeartbeatResponse),
    /// To [`GroupRequest::JoinGroup`].
    JoinGroup(JoinGroupResponse),
    /// To [`GroupRequest::LeaveGroup`].
    LeaveGroup(LeaveGroupResponse),
    /// To [`GroupRequest::ListGroups`].
    ListGroups(ListGroupsResponse),
    /// To [`GroupRequest::OffsetCommit`].
    OffsetCommit(OffsetCommitResponse),
    /// To [`GroupRequest::OffsetDelete`].
    OffsetDelete(OffsetDeleteResponse),
    /// To [`GroupRequest::OffsetFetch`].
    OffsetFetch(OffsetFetchResponseGroup),
    /// To [`GroupRequest::PartitionsDeleted`].
    PartitionsDeleted,
    /// To [`GroupRequest::Sample`].
    Sample(ShardSample),
    /// To [`GroupRequest::SyncGroup`].
    SyncGroup(SyncGroupResponse),
    /// To [`GroupRequest::TxnOffsetCommit`].
    TxnOffsetCommit(TxnOffsetCommitResponse),
}

impl GroupResponse {
    /// The answer in place of this one when its records could not be written.
    pub fn failed(mut self, error: ResponseError) -> Self {
        let code = error.code();
        match &mut self {
            Self::ConsumerGroupDescribe(response) => {
                for group in &mut response.groups {
                    group.error_code = code;
                }
            }
            Self::ConsumerGroupHeartbeat(response) => {
                *response = ConsumerGroupHeartbeatResponse::default().with_error_code(code);
            }
            Self::DeleteGroups(response) => {
                for result in &mut response.results {
                    result.error_code = code;
                }
            }
            Self::DescribeGroups(response) => {
                for group in &mut response.groups {
                    group.error_code = code;
                }
            }
            Self::EndTransaction(outcome) => *outcome = Err(error),
            Self::Heartbeat(response) => response.error_code = code,
            Self::JoinGroup(response) => response.error_code = code,
            Self::LeaveGroup(response) => {
                response.members.clear();
                response.error_code = code;
            }
            Self::ListGroups(response) => response.error_code = code,
            Self::OffsetCommit(response) => {
                for topic in &mut response.topics {
                    for partition in &mut topic.partitions {
                        partition.error_code = code;
                    }
                }
            }
            Self::OffsetDelete(response) => {
                response.topics.clear();
                response.error_code = code;
            }
            Self::OffsetFetch(response) => {
                response.topics.clear();
                response.error_code = code;
            }
            Self::PartitionsDeleted | Self::Sample(_) => {}
            Self::SyncGroup(response) => response.error_code = code,
            Self::TxnOffsetCommit(response) => {
                for topic in &mut response.topics {
                    for partition in &mut topic.partitions {
                        partition.error_code = code;
                    }
                }
            }
        }
        self
    }
}

macro_rules! into_response {
    ($($variant:ident($message:ty)),* $(,)?) => {$(
        impl From<$message> for GroupResponse {
            fn from(message: $message) -> Self {
                Self::$variant(message)
            }
        }
    )*};
}

into_response! {
    ConsumerGroupDescribe(ConsumerGroupDescribeResponse),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse),
    DeleteGroups(DeleteGroupsResponse),
    DescribeGroups(DescribeGroupsResponse),
    Heartbeat(HeartbeatResponse),
    JoinGroup(JoinGroupResponse),
    LeaveGroup(LeaveGroupResponse),
    ListGroups(ListGroupsResponse),
    OffsetCommit(OffsetCommitResponse),
    OffsetDelete(OffsetDeleteResponse),
    OffsetFetch(OffsetFetchResponseGroup),
    Sample(ShardSample),
    SyncGroup(SyncGroupResponse),
    TxnOffsetCommit(TxnOffsetCommitResponse),
}

/// A request and the answer it gets once records are in the log.
pub type Answer = (ReplyTo, Box<GroupResponse>);

/// A classic group with members becomes a consumer group.
#[derive(Debug)]
pub struct Upgrade {
    /// Its id.
    pub group: Arc<str>,
    /// Deadlines of the classic group.
    pub stale_timers: Vec<TimerKey>,
    /// To the heartbeat that joins it.
    pub answer: Answer,
}

/// A consumer group becomes a classic group.
#[derive(Debug)]
pub struct Downgrade {
    /// Its id.
    pub group: Arc<str>,
    /// Whether its members have to join again.
    pub rebalance: bool,
    /// Deadlines of the consumer group.
    pub stale_timers: Vec<TimerKey>,
    /// To whoever caused it; a deadline has no answer.
    pub answer: Option<Answer>,
}

/// What goes on once records are in the log.
#[derive(Debug)]
pub enum Then {
    /// The group is a classic one now.
    Downgraded(Box<Downgrade>),
    /// The group exists now: take the request to it.
    Join(Box<(Origin, JoinGroupRequest)>, ReplyTo),
    /// Nothing.
    Nothing,
    /// Answer.
    Reply(ReplyTo, Box<GroupResponse>),
    /// A process took the place of a static member without a rebalance.
    StaticMemberReplaced {
        /// The group.
        group: Arc<str>,
        /// The new id of the member.
        member: Arc<str>,
        /// The leader before.
        old_leader: Option<Arc<str>>,
        /// Version of the JoinGroup request.
        version: i16,
    },
    /// The leader's assignment is stored: give every member its part.
    Synced {
        /// The group.
        group: Arc<str>,
        /// The generation it is for.
        generation: i32,
    },
    /// The group is a consumer group now.
    Upgraded(Box<Upgrade>),
}

/// The code a client gets when its records could not be appended, as in `GroupCoordinatorService`.
pub(super) fn append_error(failure: AppendFailure) -> ResponseError {
    match failure {
        AppendFailure::NotEnoughReplicas => ResponseError::CoordinatorNotAvailable,
        AppendFailure::NotLeader | AppendFailure::Storage => ResponseError::NotCoordinator,
        AppendFailure::TooLarge => ResponseError::UnknownServerError,
        AppendFailure::ProducerFenced => ResponseError::InvalidProducerEpoch,
        AppendFailure::CoordinatorFenced => ResponseError::TransactionCoordinatorFenced,
        AppendFailure::NotInTransaction => ResponseError::InvalidTxnState,
    }
}
