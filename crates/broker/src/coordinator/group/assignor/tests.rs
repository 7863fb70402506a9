use super::*;
use uuid::Uuid;

fn topic(number: u128) -> TopicId {
    TopicId(Uuid::from_u128(number))
}

fn member(topics: &[u128], previous: &[(u128, &[i32])]) -> AssignorMember {
    AssignorMember {
        topics: topics.iter().map(|number| topic(*number)).collect(),
        previous: (previous.iter())
            .map(|(number, partitions)| (topic(*number), partitions.iter().copied().collect()))
            .collect(),
    }
}

fn members(list: &[(&str, AssignorMember)]) -> AssignorMembers {
    list.iter()
        .map(|(id, member)| (Arc::from(*id), member.clone()))
        .collect()
}

fn assign(
    assignor: Assignor,
    list: &[(&str, AssignorMember)],
    sizes: &[(u128, i32)],
) -> BTreeMap<Arc<str>, Assignment> {
    let sizes = sizes
        .iter()
        .map(|(number, size)| (topic(*number), *size))
        .collect();
    assignor.assign(&members(list), &sizes)
}

fn count(assignment: &Assignment) -> usize {
    assignment.values().map(BTreeSet::len).sum()
}

#[test]
fn range_cuts_every_topic_alike() {
    let list = ["a", "b", "c"].map(|id| (id, member(&[1, 2], &[])));
    let assigned = assign(Assignor::Range, &list, &[(1, 4), (2, 3)]);
    let of = |id: &str, number| {
        assigned[id]
            .get(&topic(number))
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(of("a", 1), BTreeSet::from([0, 1]));
    assert_eq!(of("b", 1), BTreeSet::from([2]));
    assert_eq!(of("c", 1), BTreeSet::from([3]));
    assert_eq!(of("a", 2), BTreeSet::from([0]));
    assert_eq!(of("c", 2), BTreeSet::from([2]));
}

#[test]
fn range_leaves_out_who_does_not_subscribe() {
    let list = [("a", member(&[1], &[])), ("b", member(&[2], &[]))];
    let assigned = assign(Assignor::Range, &list, &[(1, 2), (2, 1), (3, 5)]);
    assert_eq!(
        assigned["a"],
        Assignment::from([(topic(1), BTreeSet::from([0, 1]))])
    );
    assert_eq!(
        assigned["b"],
        Assignment::from([(topic(2), BTreeSet::from([0]))])
    );
}

#[test]
fn uniform_is_sticky_when_a_member_comes() {
    let first = assign(Assignor::Uniform, &[("a", member(&[1], &[]))], &[(1, 6)]);
    assert_eq!(count(&first["a"]), 6);
    let a = member(&[1], &[(1, &[0, 1, 2, 3, 4, 5])]);
    let second = assign(
        Assignor::Uniform,
        &[("a", a), ("b", member(&[1], &[]))],
        &[(1, 6)],
    );
    assert_eq!((count(&second["a"]), count(&second["b"])), (3, 3));
    assert_eq!(second["a"][&topic(1)], BTreeSet::from([0, 1, 2]));
}

/// Whatever the subscriptions: each partition has one owner, who subscribes, nobody has two more than another who
/// could take one, and a second run changes nothing.
#[test]
fn uniform_is_complete_balanced_and_stable() {
    let mut seed = 7_u64;
    let mut next = move |limit: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % limit
    };
    for _ in 0..200 {
        let sizes: BTreeMap<TopicId, i32> = (1..=4)
            .map(|number| (topic(number), next(9) as i32))
            .collect();
        let mut list: AssignorMembers = (0..=next(6))
            .map(|number| {
                let topics = (1..=4).filter(|_| next(3) > 0).map(topic).collect();
                let previous = sizes
                    .iter()
                    .map(|(topic, size)| (*topic, (0..*size).filter(|_| next(3) == 0).collect()));
                let previous = previous.collect();
                (
                    Arc::from(format!("m{number}")),
                    AssignorMember { topics, previous },
                )
            })
            .collect();
        let assigned = Assignor::Uniform.assign(&list, &sizes);
        for (topic, size) in &sizes {
            let subscribed = list.values().any(|member| member.topics.contains(topic));
            for index in 0..*size {
                let owners = assigned.iter().filter(|(_, assignment)| {
                    assignment
                        .get(topic)
                        .is_some_and(|partitions| partitions.contains(&index))
                });
                assert_eq!(owners.count(), usize::from(subscribed));
            }
        }
        for (from, assignment) in &assigned {
            for topic in assignment.keys() {
                assert!(list[from].topics.contains(topic));
                for (to, other) in &assigned {
                    let could = list[to].topics.contains(topic);
                    assert!(!could || count(other) + 1 >= count(assignment));
                }
            }
        }
        for (id, assignment) in &assigned {
            list.get_mut(id).unwrap().previous = assignment.clone();
        }
        assert_eq!(Assignor::Uniform.assign(&list, &sizes), assigned);
    }
}

#[test]
fn assignors_have_names() {
    for assignor in Assignor::ALL {
        assert_eq!(Assignor::by_name(assignor.name()), Some(assignor));
    }
    assert_eq!(Assignor::by_name("sticky"), None);
}
