//! The uniform assignor: balanced over all topics together, and sticky.
//!
//! Every member keeps what it had and may still have; what is free goes to the subscriber that has least; then
//! partitions move from members with more to subscribers with at least two less, until there are none.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::ids::TopicId;

use super::{Assignment, AssignorMembers};

type Partition = (TopicId, i32);

/// See [`super::Assignor::assign`].
pub(super) fn assign(
    members: &AssignorMembers,
    sizes: &BTreeMap<TopicId, i32>,
) -> BTreeMap<Arc<str>, Assignment> {
    let ids: Vec<&Arc<str>> = members.keys().collect();
    let subscribers: BTreeMap<TopicId, Vec<usize>> = (sizes.keys())
        .map(|topic| {
            let subscribed = |at: &usize| members[ids[*at]].topics.contains(topic);
            (*topic, (0..ids.len()).filter(subscribed).collect())
        })
        .collect();
    let mut owned: Vec<Vec<Partition>> = vec![Vec::new(); ids.len()];
    let mut taken: BTreeMap<Partition, usize> = BTreeMap::new();
    keep(members, sizes, &ids, &mut owned, &mut taken);
    for (topic, size) in sizes {
        for index in 0..*size {
            if taken.contains_key(&(*topic, index)) {
                continue;
            }
            let least = subscribers[topic].iter().min_by_key(|at| owned[**at].len());
            if let Some(at) = least {
                owned[*at].push((*topic, index));
            }
        }
    }
    balance(&subscribers, &mut owned);
    let assignments = owned.into_iter().map(|partitions| {
        let mut assignment = Assignment::new();
        for (topic, index) in partitions {
            assignment.entry(topic).or_default().insert(index);
        }
        assignment
    });
    ids.into_iter().cloned().zip(assignments).collect()
}

/// What each member had stays with it, if it still subscribes and nobody else has it.
fn keep(
    members: &AssignorMembers,
    sizes: &BTreeMap<TopicId, i32>,
    ids: &[&Arc<str>],
    owned: &mut [Vec<Partition>],
    taken: &mut BTreeMap<Partition, usize>,
) {
    for (at, id) in ids.iter().enumerate() {
        let member = &members[*id];
        for (topic, partitions) in &member.previous {
            let Some(size) = sizes.get(topic).filter(|_| member.topics.contains(topic)) else {
                continue;
            };
            for index in partitions.iter().filter(|index| *index < size) {
                if let std::collections::btree_map::Entry::Vacant(free) =
                    taken.entry((*topic, *index))
                {
                    free.insert(at);
                    owned[at].push((*topic, *index));
                }
            }
        }
    }
}

/// Each move makes the sum of the squares smaller, so there is an end.
fn balance(subscribers: &BTreeMap<TopicId, Vec<usize>>, owned: &mut [Vec<Partition>]) {
    let mut moved = true;
    while moved {
        moved = false;
        for from in 0..owned.len() {
            let mut slot = owned[from].len();
            // From the end: what came last goes first.
            while slot > 0 {
                slot -= 1;
                let topic = owned[from][slot].0;
                let least = subscribers[&topic]
                    .iter()
                    .min_by_key(|at| owned[**at].len());
                if let Some(&to) = least.filter(|to| owned[**to].len() + 1 < owned[from].len()) {
                    let partition = owned[from].remove(slot);
                    owned[to].push(partition);
                    moved = true;
                }
            }
        }
    }
}
