//! Consumers of the consumer protocol in any weather: each seed is one run on virtual time.

use std::collections::BTreeSet;

use super::consumer_client::*;
use super::harness::*;
use super::simulation::seeds;
use crate::coordinator::group::kind::Group;
use crate::coordinator::group::topics::Topics;

/// Clients that come, go, pause and lose answers at random; never two owners, and all is shared out in the end.
#[test]
fn consumers_in_any_weather() {
    for seed in seeds(40) {
        println!("seed {seed}");
        weather(seed);
    }
}

fn weather(seed: u64) {
    let mut state_of_chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = move |limit: u64| {
        state_of_chance ^= state_of_chance << 13;
        state_of_chance ^= state_of_chance >> 7;
        state_of_chance ^= state_of_chance << 17;
        (state_of_chance >> 11) % limit
    };
    let mut h = harness();
    h.topics.set("u", 3);
    let mut clients: Vec<Client> = Vec::new();
    for step in 0..200 {
        match below(16) {
            0 | 1 if clients.len() < 6 => {
                let topics: &[&str] = [&["t"][..], &["u"], &["t", "u"]][below(3) as usize];
                clients.push(Client::new(&format!("m{step}"), topics));
            }
            2 if !clients.is_empty() => {
                let gone = clients.remove(below(clients.len() as u64) as usize);
                if gone.epoch > 0 && below(2) == 0 {
                    gone.leave(&mut h, -1);
                }
            }
            3 if below(4) == 0 => h.topics.set("t", 6 + below(4) as i32),
            4 if below(4) == 0 => h.restart(),
            _ => {}
        }
        h.sleep(below(9_000));
        for client in &mut clients {
            match below(4) {
                0 => {}
                1 => {
                    // The answer is lost.
                    send(&mut h, client.request());
                    client.unsure = true;
                }
                _ => {
                    if client.beat(&mut h) != 0 {
                        client.epoch = 0;
                        client.owned.clear();
                    }
                }
            }
        }
        // One that has not noticed yet that its session is over may still think it owns something.
        let members = &h.shard.groups.get("g");
        let Some(Group::Consumer(group)) = members else {
            continue;
        };
        let alive = clients
            .iter()
            .filter(|client| group.has_member(&client.id) && client.epoch > 0);
        no_two_owners(alive);
    }
    if clients.is_empty() {
        clients.push(Client::new("last", &["t", "u"]));
    }
    for _ in 0..40 {
        h.sleep(2_000);
        for client in &mut clients {
            if client.beat(&mut h) != 0 {
                client.epoch = 0;
                client.owned.clear();
            }
        }
    }
    assert_eq!(state(&mut h), "Stable");
    no_two_owners(clients.iter());
    let wants = |name: &str| {
        clients
            .iter()
            .any(|client| client.topics.iter().any(|topic| topic == name))
    };
    for name in ["t", "u"] {
        let size = h
            .topics
            .by_name(name)
            .map_or(0, |topic| topic.partitions as usize);
        let owned: usize = (clients.iter())
            .filter_map(|client| client.owned.get(&TestTopics::id(name)))
            .map(BTreeSet::len)
            .sum();
        assert_eq!(owned, if wants(name) { size } else { 0 }, "{name}");
    }
}
