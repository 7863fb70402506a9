//! Requests that the network delivers a second time, much later, when their member has moved on: to an older epoch or
//! generation nothing is given, and nothing that it says counts.
//!
//! Those of the current epoch are left out: nobody could tell them from new ones, neither here nor in Apache Kafka. A
//! connection keeps the order of its requests, so it takes a client that has given one up to make a late one.

use super::bad_input::code;
use super::harness::*;
use super::simulation::Random;
use crate::coordinator::group::kind::Group;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};

/// Requests kept at once.
const KEPT: usize = 8;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Late {
    requests: Vec<Kept>,
    /// How many have been refused.
    pub(super) refused: u64,
}

struct Kept {
    member: String,
    epoch: i32,
    request: GroupRequest,
}

impl Late {
    /// The network may keep a request of this member, which names this epoch or generation.
    pub(super) fn may_keep(
        &mut self,
        random: &mut Random,
        (member, epoch): (&str, i32),
        request: GroupRequest,
    ) {
        if epoch > 0 && self.requests.len() < KEPT && random.chance(10) {
            self.requests.push(Kept {
                member: member.to_owned(),
                epoch,
                request,
            });
        }
    }

    /// One of them arrives, if there is one that is out of date.
    pub(super) fn deliver(&mut self, h: &mut Harness, random: &mut Random) {
        if self.requests.is_empty() {
            return;
        }
        let at = random.below(self.requests.len() as u64) as usize;
        let epochs = epochs(h, &self.requests[at].member);
        if epochs.is_some_and(|(current, _)| self.requests[at].epoch >= current) {
            return;
        }
        let late = self.requests.swap_remove(at);
        let response = h.ask(late.request);
        // A member one epoch behind may not have got the last answer.
        let is_heartbeat = matches!(response, GroupResponse::ConsumerGroupHeartbeat(_));
        let may_pass = epochs.is_some_and(|(_, previous)| late.epoch == previous) && is_heartbeat;
        if !may_pass {
            assert_ne!(
                code(&response),
                0,
                "{}, not {epochs:?}: {response:?}",
                late.epoch
            );
            self.refused += 1;
        }
    }
}

/// The epoch of a member and the one before; in a classic group its generation, and none before.
fn epochs(h: &Harness, member: &str) -> Option<(i32, i32)> {
    match h.shard.groups.get("g")? {
        Group::Classic(group) if group.has_member(member) => Some((group.generation(), 0)),
        Group::Classic(_) => None,
        Group::Consumer(group) => group.epochs_of(member),
    }
}
