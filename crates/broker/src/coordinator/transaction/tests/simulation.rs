//! Producers that write transactions, give up, pause and are replaced at random, over a network that delays, reorders
//! and loses, while the coordinator is killed and markers are slow.
//!
//! Each seed is one run on virtual time, in version 1 or 2 of transactions. What must hold: a transaction whose commit
//! was acknowledged is visible whole and once, one whose abort was acknowledged not at all, any other whole or not at
//! all; nothing is visible before it is decided; a producer that has been replaced commits nothing; in the end no
//! transaction hangs. The world compares live and reloaded state after every step.
//!
//! In version 1 a client that waits in vain for its coordinator comes back by a new connection, and what was under way
//! on the old one is lost with it: protocol version 1 cannot stand anything else (KAFKA-17754). In version 2, and on
//! the way to the partitions in both, late requests arrive.

mod brokers;
mod clients;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ottla_protocol::ResponseError as Error;
use ottla_protocol::ids::{ProducerEpoch, ProducerId};

use super::world::{Given, World};
use crate::coordinator::transaction::message::{Markers, Producer};
use crate::partition::verification::VerificationGuard;

/// `OTTLA_SEED` runs one seed, `OTTLA_SEEDS` so many of them.
const SEEDS: u64 = 150;
const PARTITIONS: usize = 3;
/// Transactional ids, each with one producer after the other.
const IDS: usize = 2;
const STEPS: usize = 400;
const TIMEOUT_MS: i32 = 3_000;
/// After so long without an answer a client asks again.
const PATIENCE_MS: u64 = 400;

/// A small generator of numbers (splitmix64), so that a seed is a run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What is broken on purpose, to see it caught.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// One marker of a transaction is the opposite of what it should be.
    FlippedMarker,
    /// One marker of a transaction is not written.
    LostMarker,
    /// Batches are appended without the coordinator's leave.
    Unverified,
    /// Requests of a producer that was replaced count as those of the new one.
    Unfenced,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Undecided,
    Committed,
    Aborted,
}

/// A transaction as its producer knows it.
#[derive(Debug)]
struct Transaction {
    /// What was acknowledged: partition and value.
    written: Vec<(usize, String)>,
    outcome: Outcome,
}

/// A request of a client.
#[derive(Clone, Debug, PartialEq)]
enum Request {
    Initialize(Option<(ProducerId, ProducerEpoch)>),
    Add(usize),
    Write {
        partition: usize,
        sequence: i32,
        value: String,
    },
    End(bool),
}

/// An answer to it.
#[derive(Clone, Debug)]
enum Answer {
    Given(Given),
    Done(Result<(), Error>),
}

/// A request on its way, or waiting at the coordinator.
#[derive(Debug)]
struct Flight {
    client: usize,
    /// Which of the client's requests it is.
    number: u64,
    producer: Producer,
    request: Request,
    arrives: u64,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Travelling,
    /// The coordinator has it.
    Asked(u64),
    /// The partition has leave to append it, or does without.
    Admitted(Option<VerificationGuard>),
}

#[derive(Debug)]
struct Client {
    producer: Producer,
    dead: bool,
    paused_until: u64,
    /// The request that is under way: its number, itself, when it was sent.
    waits_for: Option<(u64, Request, u64)>,
    sequences: BTreeMap<usize, i32>,
    /// The number of its transaction, and the writes it still means to do.
    transaction: Option<(usize, u64)>,
    added: Vec<usize>,
    /// Whether anything was sent within the transaction.
    has_sent: bool,
    /// A write was given up, so the sequences are in doubt.
    in_doubt: bool,
    tries: u32,
}

struct Simulation {
    world: World,
    random: Random,
    v2: bool,
    fault: Fault,
    clients: Vec<Client>,
    flights: Vec<Flight>,
    /// Markers to be written: what is left, and when the next one is.
    markers: Vec<(Markers, Vec<usize>, u64)>,
    transactions: Vec<Transaction>,
    /// The client that was initialised last, by transactional id.
    latest: BTreeMap<Arc<str>, usize>,
    next_number: u64,
    calm: bool,
}

impl Simulation {
    fn new(seed: u64, fault: Fault) -> Self {
        let mut random = Random(seed);
        let v2 = random.chance(50);
        let level = if v2 {
            2
        } else {
            [0, 1, 2][random.below(3) as usize]
        };
        Self {
            world: World::new(level, PARTITIONS),
            random,
            v2,
            fault,
            clients: Vec::new(),
            flights: Vec::new(),
            markers: Vec::new(),
            transactions: Vec::new(),
            latest: BTreeMap::new(),
            next_number: 0,
            calm: false,
        }
    }

    fn now(&self) -> u64 {
        self.world.now.steady.0
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            self.storm();
            self.step();
        }
        self.calm = true;
        for client in &mut self.clients {
            client.paused_until = 0;
        }
        for _ in 0..STEPS {
            self.step();
        }
        // Whoever still has a transaction open is timed out.
        self.clients
            .iter_mut()
            .for_each(|client| client.dead = true);
        for _ in 0..STEPS {
            self.step();
        }
        self.check();
    }

    fn storm(&mut self) {
        for id in 0..IDS {
            let living =
                (self.clients.iter()).any(|c| *c.producer.transactional_id == *name(id) && !c.dead);
            if !living || self.random.below(1_000) < 5 {
                self.arrive(id);
            }
        }
        let (now, pause) = (self.now(), self.random.below(8_000));
        let some = self.random.below(self.clients.len() as u64) as usize;
        match self.random.below(60) {
            0 => self.clients[some].paused_until = now + pause,
            1 => self.kill_coordinator(),
            _ => {}
        }
        let partition = self.random.below(PARTITIONS as u64) as usize;
        self.world.committed(partition);
    }

    fn kill_coordinator(&mut self) {
        self.world.restart();
        self.markers.clear();
        self.flights
            .retain(|flight| !matches!(flight.stage, Stage::Asked(_)));
    }

    /// Let some time pass, and everything happen whose time has come.
    fn step(&mut self) {
        let ms = self.random.below(40) + 1;
        self.world.sleep(ms);
        self.take_work();
        self.write_markers();
        self.deliver();
        for at in 0..self.clients.len() {
            self.act(at);
        }
    }

    fn check(&self) {
        let committed: Vec<_> = (0..PARTITIONS).map(|at| self.world.committed(at)).collect();
        for partition in 0..PARTITIONS {
            assert!(
                !self.world.is_hanging(partition),
                "partition {partition} hangs"
            );
        }
        for (number, transaction) in self.transactions.iter().enumerate() {
            let prefix = format!("{number}.");
            let mut seen: Vec<_> = (committed.iter().enumerate())
                .flat_map(|(at, values)| values.iter().map(move |value| (at, value.clone())))
                .filter(|(_, value)| value.starts_with(&prefix))
                .collect();
            let mut written = transaction.written.clone();
            seen.sort();
            written.sort();
            match transaction.outcome {
                Outcome::Committed => assert_eq!(seen, written, "{number} was committed"),
                Outcome::Aborted => assert!(seen.is_empty(), "{number} was aborted: {seen:?}"),
                Outcome::Undecided => assert!(
                    seen.is_empty() || seen == written,
                    "{number} is torn: {seen:?} of {written:?}"
                ),
            }
        }
    }
}

fn name(id: usize) -> String {
    format!("id-{id}")
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    match number("OTTLA_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("OTTLA_SEEDS").unwrap_or(SEEDS),
    }
}

#[test]
fn transactions_in_any_weather() {
    let (mut committed, mut aborted, mut in_doubt) = (0, 0, 0);
    for seed in seeds() {
        let run = catch_unwind(AssertUnwindSafe(|| {
            let mut simulation = Simulation::new(seed, Fault::None);
            simulation.run();
            simulation.transactions
        }));
        let transactions = run.unwrap_or_else(|_| panic!("OTTLA_SEED={seed}"));
        for transaction in transactions {
            match transaction.outcome {
                Outcome::Committed => committed += 1,
                Outcome::Aborted => aborted += 1,
                Outcome::Undecided => in_doubt += 1,
            }
        }
    }
    println!("{committed} committed, {aborted} aborted, {in_doubt} in doubt");
    assert!(committed > aborted && aborted > 0 && in_doubt > 0);
}

#[test]
fn planted_faults_are_caught() {
    for fault in [
        Fault::FlippedMarker,
        Fault::LostMarker,
        Fault::Unverified,
        Fault::Unfenced,
    ] {
        let is_caught =
            |seed| catch_unwind(AssertUnwindSafe(|| Simulation::new(seed, fault).run())).is_err();
        assert!((0..60).any(is_caught), "{fault:?}");
    }
}
