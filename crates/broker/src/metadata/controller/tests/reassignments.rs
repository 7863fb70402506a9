use ottla_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use ottla_protocol::messages::{AlterPartitionReassignmentsRequest, TopicName};

use super::*;

fn reassign(cluster: &mut Cluster, topic: &str, index: i32, replicas: Option<&[i32]>) -> i16 {
    reassign_by(cluster, topic, index, replicas, true)
}

fn reassign_by(
    cluster: &mut Cluster,
    topic: &str,
    index: i32,
    replicas: Option<&[i32]>,
    may_change_factor: bool,
) -> i16 {
    let brokers = replicas.map(|ids| {
        ids.iter()
            .map(|id| messages::BrokerId(*id))
            .collect::<Vec<_>>()
    });
    let partition = ReassignablePartition::default()
        .with_partition_index(index)
        .with_replicas(brokers);
    let topic = ReassignableTopic::default()
        .with_name(TopicName(text(topic)))
        .with_partitions(vec![partition]);
    let request = AlterPartitionReassignmentsRequest::default()
        .with_allow_replication_factor_change(may_change_factor)
        .with_topics(vec![topic]);
    let response = cluster.run(|controller| controller.alter_partition_reassignments(&request));
    assert_eq!(response.error_code, 0);
    response.responses[0].partitions[0].error_code
}

/// Replicas, in-sync replicas, removing, adding; leader and its epoch.
type State = ([Vec<i32>; 4], i32, i32);

fn state(cluster: &Cluster, index: i32) -> State {
    let partition = cluster.partition("t", index);
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|broker| broker.0).collect();
    let lists = [
        ids(&partition.replicas),
        ids(&partition.isr),
        ids(&partition.removing_replicas),
        ids(&partition.adding_replicas),
    ];
    assert_eq!(partition.directories.len(), partition.replicas.len());
    (lists, partition.leader.0, partition.leader_epoch.0)
}

#[test]
fn replicas_that_are_in_sync_stay_and_the_others_go_at_once() {
    let mut cluster = cluster(&[
        (&[1, 2], &[1, 2], 1),
        (&[3, 1], &[1], 1),
        (&[2, 1], &[1, 2], 2),
    ]);
    for index in 0..3 {
        assert_eq!(reassign(&mut cluster, "t", index, Some(&[1])), 0);
    }
    let alone = |epoch| ([vec![1], vec![1], vec![], vec![]], 1, epoch);
    // A follower that goes makes a new epoch; so does a change of the leader.
    assert_eq!(state(&cluster, 0), alone(1));
    assert_eq!(state(&cluster, 1), alone(1));
    assert_eq!(state(&cluster, 2), alone(1));
    // The same again changes nothing.
    assert_eq!(reassign(&mut cluster, "t", 0, Some(&[1])), 0);
    assert_eq!(cluster.partition("t", 0).partition_epoch, 1);
}

#[test]
fn a_replica_that_is_not_in_sync_is_waited_for_or_taken_back() {
    let mut cluster = cluster(&[(&[1], &[1], 1)]);
    assert_eq!(reassign(&mut cluster, "t", 0, Some(&[2])), 0);
    let waiting = ([vec![2, 1], vec![1], vec![1], vec![2]], 1, 0);
    assert_eq!(state(&cluster, 0), waiting);
    assert_eq!(reassign(&mut cluster, "t", 0, None), 0);
    assert_eq!(
        state(&cluster, 0),
        ([vec![1], vec![1], vec![], vec![]], 1, 1)
    );
    assert_eq!(reassign(&mut cluster, "t", 0, None), 85);
}

#[test]
fn the_order_of_replicas_changes_at_once() {
    let mut cluster = cluster(&[(&[1, 2], &[1, 2], 1)]);
    assert_eq!(reassign(&mut cluster, "t", 0, Some(&[2, 1])), 0);
    assert_eq!(
        state(&cluster, 0),
        ([vec![2, 1], vec![1, 2], vec![], vec![]], 1, 0)
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let mut cluster = cluster(&[(&[1, 2], &[1, 2], 1)]);
    for (topic, index, replicas, error) in [
        ("none", 0, Some(&[1][..]), 3),
        ("t", 9, Some(&[1]), 3),
        ("t", -1, None, 3),
        ("t", 0, Some(&[]), 39),
        ("t", 0, Some(&[1, 1]), 39),
        ("t", 0, Some(&[1, 77]), 39),
        ("t", 0, None, 85),
    ] {
        let found = reassign(&mut cluster, topic, index, replicas);
        assert_eq!(found, error, "{topic}-{index} to {replicas:?}");
    }
    let factor = reassign_by(&mut cluster, "t", 0, Some(&[1]), false);
    assert_eq!(factor, 38);
    assert_eq!(cluster.partition("t", 0).partition_epoch, 0);
    assert_eq!(reassign_by(&mut cluster, "t", 0, Some(&[2, 1]), false), 0);
}
