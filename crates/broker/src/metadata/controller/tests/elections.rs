use ottla_protocol::messages::elect_leaders_request::TopicPartitions;
use ottla_protocol::messages::{ElectLeadersRequest, TopicName};

use super::*;

fn elect(cluster: &mut Cluster, election: i8, partitions: Option<&[i32]>) -> Vec<(i32, i16)> {
    let named = partitions.map(|partitions| {
        vec![
            TopicPartitions::default()
                .with_topic(TopicName(text("t")))
                .with_partitions(partitions.to_vec()),
        ]
    });
    let request = ElectLeadersRequest::default()
        .with_election_type(election)
        .with_topic_partitions(named);
    let response = cluster.run(|controller| controller.elect_leaders(&request));
    assert_eq!(response.error_code, 0);
    let results = response
        .replica_election_results
        .iter()
        .flat_map(|topic| &topic.partition_result);
    results
        .map(|result| (result.partition_id, result.error_code))
        .collect()
}

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

#[test]
fn the_preferred_replica_leads_when_it_can() {
    let partitions: [(&[i32], &[i32], i32); 4] = [
        (&[1, 2], &[1, 2], 1),
        (&[2, 1], &[1, 2], 1),
        (&[3, 1], &[1], 1),
        (&[2, 1], &[1], 1),
    ];
    let mut named = cluster(&partitions);
    let results = elect(&mut named, PREFERRED, Some(&[0, 1, 2, 3, 9]));
    // Where the present leader is as good as can be had there is no change, and no preferred leader.
    assert_eq!(results, [(0, 84), (1, 0), (2, 80), (3, 80), (9, 3)]);
    let leaders =
        |cluster: &Cluster| [0, 1, 2, 3].map(|index| cluster.partition("t", index).leader.0);
    assert_eq!(leaders(&named), [1, 2, 1, 1]);
    let mut all = cluster(&partitions);
    assert_eq!(elect(&mut all, PREFERRED, None), [(1, 0), (2, 80), (3, 80)]);
    assert_eq!(leaders(&all), leaders(&named));
}

#[test]
fn an_unclean_election_takes_whom_it_can_get() {
    let mut cluster = cluster(&[(&[1], &[1], 1), (&[3, 2], &[3], -1), (&[3], &[3], -1)]);
    assert_eq!(
        elect(&mut cluster, UNCLEAN, Some(&[0, 1, 2])),
        [(0, 84), (1, 0), (2, 83)]
    );
    let elected = cluster.partition("t", 1);
    assert_eq!(
        (elected.leader, &elected.isr, elected.leader_epoch.0),
        (BrokerId(2), &vec![BrokerId(2)], 1)
    );
    assert_eq!(
        elected.leader_recovery_state,
        crate::metadata::image::LeaderRecoveryState::Recovering
    );
}

#[test]
fn an_unknown_kind_of_election_is_refused() {
    let cluster = Cluster::new();
    let request = ElectLeadersRequest::default()
        .with_election_type(7)
        .with_topic_partitions(None);
    let decision = cluster.decide(|controller| controller.elect_leaders(&request));
    assert_eq!(
        (decision.records.len(), decision.response.error_code),
        (0, 42)
    );
    // Where there is nothing to elect, nobody asks how.
    let request = request.with_topic_partitions(Some(Vec::new()));
    let decision = cluster.decide(|controller| controller.elect_leaders(&request));
    assert_eq!(decision.response.error_code, 0);
}
