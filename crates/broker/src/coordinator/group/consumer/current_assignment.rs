//! The next step of one member towards its target (`CurrentAssignmentBuilder`).
//!
//! A member first gives up what it shall no longer have, and stays in its epoch until its heartbeat no longer names
//! it. Then it enters the target's epoch and gets what is free; what another member still has, it gets later. So no
//! partition has two owners.

use std::collections::BTreeSet;

use ottla_protocol::ids::TopicId;

use super::member::{Member, MemberState};
use crate::coordinator::group::assignor::Assignment;

/// What a step is decided on.
pub(super) struct Step<'a> {
    /// The epoch of the target.
    pub(super) target_epoch: i32,
    /// What the member shall have.
    pub(super) target: &'a Assignment,
    /// What the member says it has; `None` when it did not say.
    pub(super) owned: Option<&'a Assignment>,
    /// Whether somebody has the partition, this member included.
    pub(super) is_taken: &'a dyn Fn(TopicId, i32) -> bool,
}

impl Step<'_> {
    /// The member after the step; unchanged when there is none to take.
    pub(super) fn take(&self, member: &Member) -> Member {
        match member.state {
            MemberState::Stable if member.epoch == self.target_epoch => member.clone(),
            MemberState::UnrevokedPartitions if self.owns_any(&member.pending_revocation) => {
                member.clone()
            }
            MemberState::UnrevokedPartitions => self.next(member, member.epoch.saturating_add(1)),
            MemberState::Unknown => self.next(member, self.target_epoch),
            MemberState::Stable | MemberState::UnreleasedPartitions => {
                self.next(member, member.epoch)
            }
        }
    }

    /// Until it says what it has, it may have everything.
    fn owns_any(&self, partitions: &Assignment) -> bool {
        let Some(owned) = self.owned else { return true };
        (partitions.iter()).any(|(topic, indexes)| {
            owned
                .get(topic)
                .is_some_and(|owned| !owned.is_disjoint(indexes))
        })
    }

    fn next(&self, member: &Member, epoch: i32) -> Member {
        let mut assigned = Assignment::new();
        let mut revoked = Assignment::new();
        let mut added = Assignment::new();
        let mut unreleased = false;
        let topics: BTreeSet<&TopicId> = self.target.keys().chain(member.assigned.keys()).collect();
        let nothing = BTreeSet::new();
        for topic in topics {
            let target = self.target.get(topic).unwrap_or(&nothing);
            let current = member.assigned.get(topic).unwrap_or(&nothing);
            let put = |to: &mut Assignment, partitions: BTreeSet<i32>| {
                if !partitions.is_empty() {
                    to.entry(*topic).or_default().extend(partitions);
                }
            };
            put(
                &mut assigned,
                current.intersection(target).copied().collect(),
            );
            put(&mut revoked, current.difference(target).copied().collect());
            let (taken, free): (BTreeSet<i32>, BTreeSet<i32>) =
                (target.difference(current)).partition(|index| (self.is_taken)(*topic, **index));
            unreleased |= !taken.is_empty();
            put(&mut added, free);
        }
        if !revoked.is_empty() && self.owns_any(&revoked) {
            return Member {
                state: MemberState::UnrevokedPartitions,
                assigned,
                pending_revocation: revoked,
                ..with_epoch(member, epoch)
            };
        }
        for (topic, partitions) in added {
            assigned.entry(topic).or_default().extend(partitions);
        }
        Member {
            state: match unreleased {
                true => MemberState::UnreleasedPartitions,
                false => MemberState::Stable,
            },
            assigned,
            pending_revocation: Assignment::new(),
            ..with_epoch(member, self.target_epoch)
        }
    }
}

/// The member in `epoch`, with the one before noted.
fn with_epoch(member: &Member, epoch: i32) -> Member {
    Member {
        epoch,
        previous_epoch: member.epoch,
        ..member.clone()
    }
}
