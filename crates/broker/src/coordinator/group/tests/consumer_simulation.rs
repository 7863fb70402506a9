//! Consumers of the consumer protocol in any weather: each seed is one run on virtual time.

use std::collections::BTreeSet;

use super::consumer_client::*;
use super::harness::*;
use super::late::Late;
use super::simulation::{Random, seeds};
use crate::coordinator::group::kind::Group;
use crate::coordinator::group::message::GroupRequest;
use crate::coordinator::group::topics::Topics;

/// Clients that come, go, pause, lose answers and are slow to give up partitions at random, and requests that come a
/// second time, much later; never two owners, and all is shared out in the end.
#[test]
fn consumers_in_any_weather() {
    let mut refused = 0;
    for seed in seeds(40) {
        println!("seed {seed}");
        let mut simulation = Simulation::new(seed);
        simulation.run();
        refused += simulation.late.refused;
    }
    assert!(refused > 0, "no request has come late");
}

struct Simulation {
    h: Harness,
    random: Random,
    clients: Vec<Client>,
    late: Late,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let h = harness();
        h.topics.set("u", 3);
        Self {
            h,
            random: Random(seed),
            clients: Vec::new(),
            late: Late::default(),
        }
    }

    fn run(&mut self) {
        for step in 0..200 {
            self.storm(step);
            let ms = self.random.below(9_000);
            self.h.sleep(ms);
            self.step();
        }
        if self.clients.is_empty() {
            self.clients.push(Client::new("last", &["t", "u"]));
        }
        for _ in 0..40 {
            self.h.sleep(2_000);
            for client in &mut self.clients {
                client.revoked();
                if client.beat(&mut self.h) != 0 {
                    client.forget();
                }
            }
        }
        self.check_settled();
    }

    fn storm(&mut self, step: usize) {
        let count = self.clients.len() as u64;
        match self.random.below(16) {
            0 | 1 if count < 6 => {
                let topics = [&["t"][..], &["u"], &["t", "u"]][self.random.below(3) as usize];
                let mut client = Client::new(&format!("m{step}"), topics);
                client.is_slow = self.random.chance(50);
                self.clients.push(client);
            }
            2 if count > 0 => {
                let gone = self.clients.remove(self.random.below(count) as usize);
                if gone.epoch > 0 && self.random.chance(50) {
                    gone.leave(&mut self.h, -1);
                }
            }
            3 if self.random.chance(25) => {
                self.h.topics.set("t", 6 + self.random.below(4) as i32);
            }
            4 if self.random.chance(25) => self.h.restart(),
            _ => {}
        }
    }

    fn step(&mut self) {
        for client in &mut self.clients {
            if self.random.chance(30) {
                client.revoked();
            }
            let fate = self.random.below(4);
            if fate == 0 {
                continue;
            }
            let (id, epoch) = (client.id.as_str(), client.epoch);
            let heartbeat = GroupRequest::ConsumerGroupHeartbeat(origin_of(1), client.request());
            let commit = GroupRequest::OffsetCommit(origin_of(9), commit_request(id, epoch, 1));
            for request in [heartbeat, commit] {
                self.late.may_keep(&mut self.random, (id, epoch), request);
            }
            if fate == 1 {
                // The answer is lost.
                send(&mut self.h, client.request());
                client.unsure = true;
            } else if client.beat(&mut self.h) != 0 {
                client.forget();
            }
        }
        if self.random.chance(30) {
            self.late.deliver(&mut self.h, &mut self.random);
        }
        // One that has not noticed yet that its session is over may still think it owns something.
        if let Some(Group::Consumer(group)) = self.h.shard.groups.get("g") {
            let clients = self.clients.iter();
            no_two_owners(
                clients.filter(|client| group.has_member(&client.id) && client.epoch > 0),
            );
        }
    }

    fn check_settled(&mut self) {
        assert_eq!(state(&mut self.h), "Stable");
        no_two_owners(self.clients.iter());
        for name in ["t", "u"] {
            let topic = self.h.topics.by_name(name);
            let size = topic.map_or(0, |topic| topic.partitions as usize);
            let mut clients = self.clients.iter();
            let is_wanted = clients.any(|client| client.topics.iter().any(|topic| topic == name));
            let owned: usize = (self.clients.iter())
                .filter_map(|client| client.owned.get(&TestTopics::id(name)))
                .map(BTreeSet::len)
                .sum();
            assert_eq!(owned, if is_wanted { size } else { 0 }, "{name}");
        }
    }
}
