//! One shard with its log and a clock that is moved by hand. After every step a second shard, which sees nothing but
//! the log, must agree with the live one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ottla_protocol::ids::{Offset, Timestamp, TopicId};
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
use uuid::Uuid;

use crate::coordinator::group::GroupShard;
use crate::coordinator::group::config::GroupConfig;
use crate::coordinator::group::kind::Group;
use crate::coordinator::group::message::{GroupRequest, GroupResponse, Origin};
use crate::coordinator::group::records::{EncodedRecord, GroupMetadataValue, GroupRecord};
use crate::coordinator::group::topics::{Topic, Topics};
use crate::coordinator::record::CoordinatorRecord;
use crate::coordinator::shard::{
    AppendFailure, Deadline, Effect, Now, RecordOrigin, ReplyTo, Shard,
};

/// Where virtual time begins.
pub(super) const START: Timestamp = Timestamp(1_700_000_000_000);

/// Stands for a request that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// See the module's documentation.
pub(super) struct Harness {
    pub(super) shard: GroupShard,
    pub(super) now: Now,
    pub(super) log: Vec<EncodedRecord>,
    /// The next appends fail so.
    pub(super) failing: Option<AppendFailure>,
    /// Answers wait for [`Harness::commit`].
    pub(super) hold_commits: bool,
    pub(super) topics: Arc<TestTopics>,
    config: Arc<GroupConfig>,
    /// What a restart would make of the log.
    reloaded: GroupShard,
    parked: Vec<(Ticket, GroupResponse)>,
    answers: BTreeMap<Ticket, GroupResponse>,
    next_ticket: u64,
}

impl Harness {
    pub(super) fn new(config: GroupConfig) -> Self {
        let config = Arc::new(config);
        let topics = Arc::new(TestTopics::default());
        let mut harness = Self {
            shard: GroupShard::new(config.clone(), topics.clone(), ids(1)),
            now: Now {
                wall: START,
                steady: Deadline(1_000),
            },
            log: Vec::new(),
            failing: None,
            hold_commits: false,
            reloaded: GroupShard::new(config.clone(), topics.clone(), ids(1)),
            topics,
            config,
            parked: Vec::new(),
            answers: BTreeMap::new(),
            next_ticket: 0,
        };
        harness.shard.handle_loaded(harness.now);
        harness.settle();
        harness
    }

    /// Send a request; the answer is for [`Harness::answer`].
    pub(super) fn send(&mut self, request: GroupRequest) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.shard
            .handle_request(self.now, request, ReplyTo(ticket.0));
        self.settle();
        ticket
    }

    /// Take the answer that must have come.
    pub(super) fn answer(&mut self, ticket: Ticket) -> GroupResponse {
        self.take(ticket)
            .unwrap_or_else(|| panic!("{ticket:?} is not answered"))
    }

    /// Take the answer if it has come.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<GroupResponse> {
        self.answers.remove(&ticket)
    }

    /// Whether a request is parked.
    pub(super) fn is_waiting(&self, ticket: Ticket) -> bool {
        !self.answers.contains_key(&ticket)
    }

    /// Send a request and take its answer.
    pub(super) fn ask(&mut self, request: GroupRequest) -> GroupResponse {
        let ticket = self.send(request);
        self.answer(ticket)
    }

    /// Let time pass, stopping at every deadline on the way.
    pub(super) fn sleep(&mut self, ms: u64) {
        let end = Deadline(self.now.steady.0 + ms);
        while let Some(at) = self.shard.poll_timeout().filter(|at| *at <= end) {
            self.move_to(at.max(self.now.steady));
            self.shard.handle_timeout(self.now);
            self.settle();
        }
        self.move_to(end);
    }

    /// Commit what is appended: the parked answers leave.
    pub(super) fn commit(&mut self) {
        for (ticket, response) in std::mem::take(&mut self.parked) {
            let earlier = self.answers.insert(ticket, response);
            assert!(earlier.is_none(), "{ticket:?} is answered twice");
        }
    }

    /// Go on with a fresh shard made from the log, as after a restart.
    pub(super) fn restart(&mut self) {
        self.shard = self.reload();
        self.parked.clear();
        self.shard.handle_loaded(self.now);
        self.settle();
    }

    fn move_to(&mut self, steady: Deadline) {
        let passed = steady.0 - self.now.steady.0;
        self.now.wall.0 += i64::try_from(passed).unwrap();
        self.now.steady = steady;
    }

    /// Carry out the effects, then compare with a reloaded shard.
    fn settle(&mut self) {
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Append { records, then } => {
                    assert!(!records.is_empty());
                    let outcome = self.append(&records);
                    self.shard.handle_append(self.now, then, outcome);
                }
                Effect::AppendTransactional { .. } | Effect::AppendMarker { .. } => {
                    panic!("no transactions in this test")
                }
                Effect::Start(work) => match work {},
                Effect::Reply { to, response } => self.parked.push((Ticket(to.0), response)),
            }
        }
        if !self.hold_commits {
            self.commit();
        }
        self.check_reload();
    }

    fn append(&mut self, records: &[GroupRecord]) -> Result<(), AppendFailure> {
        if let Some(failure) = self.failing {
            return Err(failure);
        }
        for record in records {
            let encoded = record.encode().unwrap();
            let decoded = GroupRecord::decode(&encoded.key, encoded.value.as_deref()).unwrap();
            let origin = RecordOrigin::at(Offset(i64::try_from(self.log.len()).unwrap()));
            self.shard.replay(origin, decoded.clone());
            self.reloaded.replay(origin, decoded);
            self.log.push(encoded);
        }
        Ok(())
    }

    fn reload(&self) -> GroupShard {
        // Ids of another range, so that a new one cannot be taken for an old one.
        let new_id = ids(1_000_000 + self.next_ticket);
        let mut fresh = GroupShard::new(self.config.clone(), self.topics.clone(), new_id);
        for (at, record) in self.log.iter().enumerate() {
            let origin = RecordOrigin::at(Offset(i64::try_from(at).unwrap()));
            let record = GroupRecord::decode(&record.key, record.value.as_deref()).unwrap();
            fresh.replay(origin, record);
        }
        fresh
    }

    fn check_reload(&self) {
        let reloaded = &self.reloaded;
        assert_eq!(self.shard.offsets, reloaded.offsets);
        let mut live: Vec<_> = self.shard.groups.keys().collect();
        let mut stored: Vec<_> = reloaded.groups.keys().collect();
        live.sort();
        stored.sort();
        assert_eq!(live, stored);
        for (id, live) in &self.shard.groups {
            agree(live, &reloaded.groups[id]);
        }
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

/// An unfinished rebalance is not in the log; all else of a group is.
fn agree(live: &Group, reloaded: &Group) {
    match (live, reloaded) {
        (Group::Classic(live), Group::Classic(reloaded)) => {
            let settled = matches!(live.state_name().as_str(), "Empty" | "Stable");
            let (live, reloaded) = (live.stored(), reloaded.stored());
            match settled {
                true => assert_eq!(live, reloaded),
                false => assert!(generation(&live) >= generation(&reloaded)),
            }
        }
        (Group::Consumer(live), Group::Consumer(reloaded)) => assert_eq!(live, reloaded),
        (live, reloaded) => panic!("{live:?} is stored as {reloaded:?}"),
    }
}

fn generation(record: &GroupRecord) -> i32 {
    let GroupRecord::GroupMetadata(_, Some(GroupMetadataValue { generation, .. })) = record else {
        panic!("{record:?}");
    };
    *generation
}

fn ids(first: u64) -> Box<dyn FnMut() -> Uuid + Send> {
    let mut next = u128::from(first);
    Box::new(move || {
        next += 1;
        Uuid::from_u128(next)
    })
}

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
        match self.ask(GroupRequest::OffsetFetch(request, false)) {
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
        let request = GroupRequest::DescribeGroups(origin_of(5), vec!["g".into()]);
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
