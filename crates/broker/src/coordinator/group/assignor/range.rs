//! The range assignor: every topic is cut into as many runs as it has subscribers, the first ones longer by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::ids::TopicId;

use super::{Assignment, AssignorMembers};

/// See [`super::Assignor::assign`].
pub(super) fn assign(
    members: &AssignorMembers,
    sizes: &BTreeMap<TopicId, i32>,
) -> BTreeMap<Arc<str>, Assignment> {
    let mut assigned: BTreeMap<Arc<str>, Assignment> = members
        .keys()
        .map(|id| (id.clone(), Assignment::new()))
        .collect();
    for (topic, size) in sizes {
        let subscribers: Vec<&Arc<str>> = (members.iter())
            .filter(|(_, member)| member.topics.contains(topic))
            .map(|(id, _)| id)
            .collect();
        let count = i32::try_from(subscribers.len()).unwrap_or(i32::MAX).max(1);
        let (each, longer) = (size / count, size % count);
        let mut first = 0;
        for (at, id) in (0..).zip(subscribers) {
            let end = first + each + i32::from(at < longer);
            if let Some(assignment) = assigned.get_mut(id).filter(|_| first < end) {
                assignment.insert(*topic, (first..end).collect());
            }
            first = end;
        }
    }
    assigned
}
