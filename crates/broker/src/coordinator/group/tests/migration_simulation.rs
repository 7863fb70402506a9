//! Clients of both protocols in one group that come, go, pause and die at random, with answers that are lost and
//! requests that come a second time, much later; each seed is one run on virtual time. The group changes its protocol with them, any number of times.

use super::consumer_client::*;
use super::harness::*;
use super::late::Late;
use super::mixed_client::*;
use super::simulation::{Random, seeds};
use crate::coordinator::group::kind::Group;
use crate::coordinator::group::message::GroupRequest;

const PARTITIONS: i32 = 6;

#[test]
fn eager_consumers_and_the_new_protocol_in_any_weather() {
    run(false);
}

#[test]
fn cooperative_consumers_and_the_new_protocol_in_any_weather() {
    run(true);
}

fn run(is_cooperative: bool) {
    let (mut turns, mut refused) = (0, 0);
    for seed in seeds(40) {
        println!("seed {seed}");
        let mut simulation = Simulation::new(seed, is_cooperative);
        simulation.run();
        turns += simulation.turns;
        refused += simulation.late.refused;
    }
    assert!(turns > 0, "no group has changed its protocol");
    assert!(refused > 0, "no request has come late");
}

struct Simulation {
    h: Harness,
    random: Random,
    classic: Vec<ClassicClient>,
    consumers: Vec<Client>,
    is_cooperative: bool,
    names: u64,
    was_classic: Option<bool>,
    /// How often the group has changed its protocol.
    turns: u64,
    late: Late,
}

impl Simulation {
    fn new(seed: u64, is_cooperative: bool) -> Self {
        let random = Random(seed);
        let h = harness();
        h.topics.set("t", PARTITIONS);
        Self {
            h,
            is_cooperative,
            random,
            classic: Vec::new(),
            consumers: Vec::new(),
            names: 0,
            was_classic: None,
            turns: 0,
            late: Late::default(),
        }
    }

    fn run(&mut self) {
        for _ in 0..200 {
            self.storm();
            let ms = self.random.below(3_000);
            self.h.sleep(ms);
            self.step(true);
        }
        if self.classic.is_empty() && self.consumers.is_empty() {
            self.classic.push(ClassicClient::new(self.is_cooperative));
        }
        for _ in 0..400 {
            self.h.sleep(500);
            self.step(false);
        }
        let of_classic: usize = self.classic.iter().map(|client| client.owned.len()).sum();
        let of_consumers: usize = self.consumers.iter().map(Client::count).sum();
        assert_eq!(of_classic + of_consumers, PARTITIONS as usize);
    }

    fn storm(&mut self) {
        let below = |random: &mut Random, len: usize| random.below(len as u64) as usize;
        match self.random.below(16) {
            0 if self.classic.len() < 4 => {
                self.classic.push(ClassicClient::new(self.is_cooperative));
            }
            1 if self.consumers.len() < 3 => {
                self.names += 1;
                let name = format!("consumer{}", self.names);
                let mut client = Client::new(&name, &["t"]);
                client.is_slow = self.random.chance(50);
                self.consumers.push(client);
            }
            2 if !self.classic.is_empty() => {
                let at = below(&mut self.random, self.classic.len());
                let gone = self.classic.remove(at);
                if self.random.chance(50) && !gone.id.is_empty() {
                    self.h.leave(&[(&gone.id, None)]);
                }
            }
            3 | 4 if !self.consumers.is_empty() => {
                let at = below(&mut self.random, self.consumers.len());
                let gone = self.consumers.remove(at);
                if self.random.chance(50) && gone.epoch > 0 {
                    gone.leave(&mut self.h, -1);
                }
            }
            5 if self.random.chance(20) => {
                self.h.restart();
                for client in &mut self.classic {
                    if client.phase != Phase::In {
                        client.phase = Phase::Out;
                    }
                }
            }
            _ => {}
        }
    }

    fn step(&mut self, stormy: bool) {
        for client in &mut self.classic {
            if stormy && self.random.chance(30) {
                continue;
            }
            if stormy && self.random.chance(3) && client.phase != Phase::In {
                // The answer is lost; the client asks again.
                client.phase = Phase::Out;
            }
            let late = client.step(&mut self.h, PARTITIONS);
            if let Some(request) = late.filter(|_| stormy) {
                let member = (client.id.as_str(), client.generation);
                self.late.may_keep(&mut self.random, member, request);
            }
        }
        for client in &mut self.consumers {
            if stormy && self.random.chance(30) {
                continue;
            }
            if !stormy || self.random.chance(30) {
                client.revoked();
            }
            let request = GroupRequest::ConsumerGroupHeartbeat(origin_of(1), client.request());
            if stormy {
                let member = (client.id.as_str(), client.epoch);
                self.late.may_keep(&mut self.random, member, request);
            }
            if stormy && self.random.chance(10) {
                send(&mut self.h, client.request());
                client.unsure = true;
            } else if client.beat(&mut self.h) != 0 {
                client.forget();
            }
        }
        if stormy && self.random.chance(30) {
            self.late.deliver(&mut self.h, &mut self.random);
        }
        one_owner(&self.h, &self.classic, &self.consumers);
        let is_classic = match self.h.shard.groups.get("g") {
            Some(Group::Classic(group)) if !group.is_empty() => Some(true),
            Some(Group::Consumer(group)) if !group.is_empty() => Some(false),
            _ => None,
        };
        if self.was_classic.is_some() && is_classic.is_some() && is_classic != self.was_classic {
            self.turns += 1;
        }
        self.was_classic = is_classic;
    }
}
