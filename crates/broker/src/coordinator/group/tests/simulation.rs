//! Consumers that come, go, pause and die at random, over a network that delays and loses.
//!
//! Each seed is one run on virtual time. What must hold: within a generation a partition has one owner; a request of an
//! older generation that comes late is refused; when the weather clears, all that live come to one generation with
//! every partition owned, and once more when then one of them dies; a committed offset never goes back; and the
//! harness compares live and reloaded state after every step.

use std::collections::{BTreeMap, BTreeSet};

use super::bad_input::code;
use super::harness::*;
use crate::coordinator::group::config::GroupConfig;
use crate::coordinator::group::kind::Group;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use ottla_protocol::messages::JoinGroupResponse;

/// Partitions of topic `t`, one byte each in the assignment blob.
const PARTITIONS: u8 = 6;
/// `OTTLA_SEED` runs one seed, `OTTLA_SEEDS` so many of them.
const SEEDS: u64 = 100;

/// A small generator of numbers (splitmix64), so that a seed is a run.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What a consumer is doing.
#[derive(Debug, PartialEq)]
enum Phase {
    /// It has nothing under way and will join.
    Out,
    Joining(Ticket),
    Syncing(Ticket),
    /// It owns partitions.
    In,
}

/// A consumer as a client library behaves.
#[derive(Debug)]
struct Consumer {
    instance: Option<String>,
    member_id: String,
    generation: i32,
    phase: Phase,
    owned: BTreeSet<u8>,
    /// Steps during which it does nothing, as in a long garbage collection.
    paused: u64,
    /// Steps for which the answer to its request is on the way.
    delay: u64,
    version: i16,
    /// Another process has its name.
    fenced: bool,
}

struct Simulation {
    h: Harness,
    random: Random,
    consumers: Vec<Consumer>,
    /// Who owns a partition in a generation.
    owners: BTreeMap<(i32, u8), String>,
    /// The next offset to consume of each partition.
    consumed: i64,
    names: u64,
    stormy: bool,
    /// Requests that the network has kept, with their generations.
    late: Vec<(i32, GroupRequest)>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let delays = [0, 100, 3_000];
        let config = GroupConfig {
            initial_rebalance_delay_ms: delays[random.below(3) as usize],
            ..GroupConfig::default()
        };
        Self {
            h: Harness::new(config),
            random,
            consumers: Vec::new(),
            owners: BTreeMap::new(),
            consumed: 0,
            names: 0,
            stormy: true,
            late: Vec::new(),
        }
    }

    fn run(&mut self) {
        for _ in 0..120 {
            self.storm();
            self.step();
        }
        self.stormy = false;
        if self.consumers.is_empty() {
            self.arrive();
        }
        for consumer in &mut self.consumers {
            consumer.paused = 0;
        }
        self.converge();
        if self.consumers.len() > 1 {
            self.consumers.remove(0);
            self.converge();
        }
    }

    /// Long enough for every session and rebalance timeout to pass.
    fn converge(&mut self) {
        for _ in 0..400 {
            self.step();
        }
        self.check_converged();
    }

    fn storm(&mut self) {
        let count = self.consumers.len() as u64;
        match self.random.below(20) {
            0 | 1 if count < 6 => self.arrive(),
            2 if count > 0 => {
                let at = self.random.below(count) as usize;
                self.leave(at);
            }
            // kill -9, and perhaps another process with the same name.
            3 if count > 0 => {
                let at = self.random.below(count) as usize;
                let mut dead = self.consumers.remove(at);
                let (instance, version) = (dead.instance.clone(), dead.version);
                if self.random.chance(70) {
                    self.consumers.push(Consumer::new(instance, version));
                    if dead.instance.is_some() && self.random.chance(50) {
                        // It is not dead at all.
                        dead.paused = self.random.below(40);
                        self.consumers.push(dead);
                    }
                }
            }
            4 if count > 0 => {
                let at = self.random.below(count) as usize;
                self.consumers[at].paused = self.random.below(40);
            }
            5 if self.random.chance(20) => {
                self.h.restart();
                // Parked requests ended with their connections.
                for consumer in &mut self.consumers {
                    if matches!(consumer.phase, Phase::Joining(_) | Phase::Syncing(_)) {
                        consumer.phase = Phase::Out;
                    }
                }
            }
            _ => {}
        }
    }

    fn arrive(&mut self) {
        self.names += 1;
        let instance = self.random.chance(40).then(|| format!("i{}", self.names));
        let version = [3, 5, 8, 9][self.random.below(4) as usize];
        self.consumers.push(Consumer::new(instance, version));
    }

    fn leave(&mut self, at: usize) {
        let gone = self.consumers.remove(at);
        if !gone.member_id.is_empty() {
            self.h.leave(&[(&gone.member_id, gone.instance.as_deref())]);
        }
    }

    /// Half a second passes, then every consumer does what is next.
    fn step(&mut self) {
        self.h.sleep(500);
        for at in 0..self.consumers.len() {
            let mut consumer = std::mem::replace(&mut self.consumers[at], Consumer::new(None, 9));
            self.act(&mut consumer);
            self.consumers[at] = consumer;
        }
        for at in (0..self.consumers.len()).rev() {
            if !std::mem::take(&mut self.consumers[at].fenced) {
                continue;
            }
            // A process ends when it is fenced; one that was told so by mistake, after a restart, begins anew.
            let fenced = self.consumers.remove(at);
            let has_name = |other: &Consumer| other.instance == fenced.instance;
            if !self.consumers.iter().any(has_name) {
                let anew = Consumer::new(fenced.instance, fenced.version);
                self.consumers.push(anew);
            }
        }
        if self.stormy && self.random.chance(30) {
            self.deliver_late();
        }
    }

    /// The network may send a request twice, the second time much later.
    fn may_come_late(&mut self, generation: i32, request: GroupRequest) {
        if self.stormy && self.late.len() < 8 && self.random.chance(10) {
            self.late.push((generation, request));
        }
    }

    fn deliver_late(&mut self) {
        let Some(Group::Classic(group)) = self.h.shard.groups.get("g") else {
            return;
        };
        let current = group.generation();
        let old = (self.late.iter()).position(|(generation, _)| *generation < current);
        if let Some(at) = old {
            let (generation, request) = self.late.remove(at);
            let response = self.h.ask(request);
            assert_ne!(
                code(&response),
                0,
                "{generation}, not {current}: {response:?}"
            );
        }
    }

    fn act(&mut self, consumer: &mut Consumer) {
        if consumer.paused > 0 {
            consumer.paused -= 1;
            return;
        }
        if consumer.delay > 0 {
            consumer.delay -= 1;
            return;
        }
        if self.stormy && self.random.chance(20) {
            consumer.delay = self.random.below(6);
            return;
        }
        match consumer.phase {
            Phase::Out => self.join(consumer),
            Phase::Joining(ticket) => self.joining(consumer, ticket),
            Phase::Syncing(ticket) => self.syncing(consumer, ticket),
            Phase::In => self.consume(consumer),
        }
    }

    fn join(&mut self, consumer: &mut Consumer) {
        let request = join_request(&consumer.member_id)
            .with_group_instance_id(consumer.instance.as_deref().map(text));
        let origin = origin_of(consumer.version);
        let ticket = self.h.send(GroupRequest::JoinGroup(origin, request));
        if self.stormy && self.random.chance(5) {
            // The answer is lost; the client asks again.
            return;
        }
        consumer.phase = Phase::Joining(ticket);
    }

    fn joining(&mut self, consumer: &mut Consumer, ticket: Ticket) {
        let Some(response) = self.h.take(ticket) else {
            return;
        };
        let GroupResponse::JoinGroup(response) = response else {
            panic!("{response:?}");
        };
        consumer.phase = Phase::Out;
        match response.error_code {
            0 => self.sync(consumer, &response),
            79 => consumer.member_id = response.member_id.to_string(),
            25 => consumer.forget(),
            82 => consumer.fenced = true,
            27 => {}
            code => panic!("JoinGroup answers {code}"),
        }
    }

    /// The leader deals the partitions out.
    fn sync(&mut self, consumer: &mut Consumer, joined: &JoinGroupResponse) {
        consumer.member_id = joined.member_id.to_string();
        consumer.generation = joined.generation_id;
        let mut assignments: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let leads = joined.leader == joined.member_id && !joined.skip_assignment;
        if leads {
            let members: BTreeSet<String> = (joined.members.iter())
                .map(|member| member.member_id.to_string())
                .collect();
            assert_eq!(members.len(), joined.members.len());
            let members: Vec<String> = members.into_iter().collect();
            for partition in 0..PARTITIONS {
                let owner = &members[usize::from(partition) % members.len()];
                assignments
                    .entry(owner.clone())
                    .or_default()
                    .push(partition);
            }
        }
        let assignments: Vec<(&str, &[u8])> = (assignments.iter())
            .map(|(member, partitions)| (&**member, &**partitions))
            .collect();
        let request = sync_request(&consumer.member_id, consumer.generation, &assignments)
            .with_group_instance_id(consumer.instance.as_deref().map(text));
        self.may_come_late(
            consumer.generation,
            GroupRequest::SyncGroup(request.clone()),
        );
        let ticket = self.h.sync(request);
        consumer.phase = Phase::Syncing(ticket);
    }

    fn syncing(&mut self, consumer: &mut Consumer, ticket: Ticket) {
        let Some(response) = self.h.take(ticket) else {
            return;
        };
        let GroupResponse::SyncGroup(response) = response else {
            panic!("{response:?}");
        };
        consumer.phase = Phase::Out;
        match response.error_code {
            0 => {
                consumer.phase = Phase::In;
                consumer.owned = response.assignment.iter().copied().collect();
                self.check_owners(consumer);
            }
            25 => consumer.forget(),
            82 => consumer.fenced = true,
            22 | 27 => {}
            code => panic!("SyncGroup answers {code}"),
        }
    }

    /// Within a generation nobody else gets the partition; a process that takes the place of a static member is
    /// the same owner.
    fn check_owners(&mut self, consumer: &Consumer) {
        let name = consumer
            .instance
            .clone()
            .unwrap_or_else(|| consumer.member_id.clone());
        for partition in &consumer.owned {
            let owner = self.owners.entry((consumer.generation, *partition));
            let owner = owner.or_insert_with(|| name.clone());
            assert_eq!(
                *owner, name,
                "generation {}, partition {partition}",
                consumer.generation
            );
        }
    }

    fn consume(&mut self, consumer: &mut Consumer) {
        let request = heartbeat_request(&consumer.member_id, consumer.generation)
            .with_group_instance_id(consumer.instance.as_deref().map(text));
        self.may_come_late(
            consumer.generation,
            GroupRequest::Heartbeat(request.clone()),
        );
        let GroupResponse::Heartbeat(response) = self.h.ask(GroupRequest::Heartbeat(request))
        else {
            panic!();
        };
        match response.error_code {
            0 => {}
            27 => consumer.phase = Phase::Out,
            22 => consumer.phase = Phase::Out,
            25 => consumer.forget(),
            82 => consumer.fenced = true,
            code => panic!("Heartbeat answers {code}"),
        }
        if consumer.owned.contains(&0) {
            self.commit(consumer);
        }
    }

    /// The owner of partition 0 reads from where the group is and goes on; one that is late is refused.
    fn commit(&mut self, consumer: &mut Consumer) {
        let from = self.h.fetch_offset().0;
        assert!(
            from.max(0) >= self.consumed,
            "{from} after {}",
            self.consumed
        );
        let request = commit_request(&consumer.member_id, consumer.generation, from.max(0) + 1)
            .with_group_instance_id(consumer.instance.as_deref().map(text));
        let late = GroupRequest::OffsetCommit(origin_of(7), request.clone());
        self.may_come_late(consumer.generation, late);
        match self.h.commit_offset(7, request) {
            0 => self.consumed = from.max(0) + 1,
            22 | 25 | 27 | 82 => {}
            code => panic!("OffsetCommit answers {code}"),
        }
        assert_eq!(self.h.fetch_offset().0.max(0), self.consumed);
    }

    fn check_converged(&mut self) {
        assert_eq!(self.h.state(), "Stable");
        let generation = self.consumers[0].generation;
        let mut owned = BTreeSet::new();
        for consumer in &self.consumers {
            assert_eq!(consumer.phase, Phase::In, "{consumer:?}");
            assert_eq!(consumer.generation, generation, "{consumer:?}");
            for partition in &consumer.owned {
                assert!(owned.insert(*partition), "{partition} has two owners");
            }
        }
        assert_eq!(owned.len(), usize::from(PARTITIONS));
    }
}

impl Consumer {
    fn new(instance: Option<String>, version: i16) -> Self {
        Self {
            instance,
            member_id: String::new(),
            generation: -1,
            phase: Phase::Out,
            owned: BTreeSet::new(),
            paused: 0,
            delay: 0,
            version,
            fenced: false,
        }
    }

    /// The coordinator does not know it any more.
    fn forget(&mut self) {
        self.phase = Phase::Out;
        self.member_id.clear();
        self.generation = -1;
        self.owned.clear();
    }
}

/// The seeds to run: `count` of them unless the environment says otherwise.
pub(super) fn seeds(count: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    match number("OTTLA_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("OTTLA_SEEDS").unwrap_or(count),
    }
}

#[test]
fn consumers_in_any_weather() {
    for seed in seeds(SEEDS) {
        println!("seed {seed}");
        Simulation::new(seed).run();
    }
}
