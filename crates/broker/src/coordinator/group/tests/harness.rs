//! One shard with its log and a clock that is moved by hand. After every step a second shard, which sees nothing but
//! the log, must agree with the live one.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::ids::{Offset, Timestamp};
use uuid::Uuid;

pub(super) use super::cluster::{TestConfigs, TestTopics};
pub(super) use super::requests::*;
use crate::coordinator::group::GroupShard;
use crate::coordinator::group::config::GroupConfig;
use crate::coordinator::group::kind::Group;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::coordinator::group::records::{EncodedRecord, GroupMetadataValue, GroupRecord};
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
    pub(super) configs: Arc<TestConfigs>,
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
        let configs = Arc::new(TestConfigs::default());
        let shard = || GroupShard::new(config.clone(), configs.clone(), topics.clone(), ids(1));
        let mut harness = Self {
            shard: shard(),
            now: Now {
                wall: START,
                steady: Deadline(1_000),
            },
            log: Vec::new(),
            failing: None,
            hold_commits: false,
            reloaded: shard(),
            topics,
            configs,
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
        let (config, configs) = (self.config.clone(), self.configs.clone());
        let mut fresh = GroupShard::new(config, configs, self.topics.clone(), new_id);
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
