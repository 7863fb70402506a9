use ottla_protocol::messages::CreateTopicsRequest;
use ottla_protocol::messages::create_topics_request::CreatableTopic;

use super::*;
use crate::metadata::image::LeaderRecoveryState;
use crate::metadata::record::NO_LEADER;

fn with_topic(elr: bool) -> (Cluster, i64) {
    let mut cluster = Cluster::empty(elr);
    let epoch = cluster.start(1, -1);
    let topic = CreatableTopic::default()
        .with_name(messages::TopicName(text("t")))
        .with_num_partitions(2)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]);
    let response = cluster.run(|controller| controller.create_topics(&request));
    assert_eq!(response.topics[0].error_code, 0);
    (cluster, epoch)
}

#[test]
fn a_clean_stop_leaves_no_leader_and_the_next_start_a_new_epoch() {
    for elr in [false, true] {
        let (mut cluster, epoch) = with_topic(elr);
        cluster.run(|controller| controller.shut_down_broker(BrokerId(1)));
        let stopped = cluster.partition("t", 1);
        assert_eq!(
            (
                stopped.leader,
                stopped.leader_epoch.0,
                stopped.partition_epoch
            ),
            (NO_LEADER, 1, 1)
        );
        let kept = if elr {
            (vec![], vec![BrokerId(1)])
        } else {
            (vec![BrokerId(1)], vec![])
        };
        assert_eq!(
            (
                stopped.isr.clone(),
                stopped.eligible_leader_replicas.clone()
            ),
            kept
        );
        assert!(!cluster.image.cluster.is_active(BrokerId(1)));

        let next = cluster.start(1, epoch);
        assert!(next > epoch);
        let started = cluster.partition("t", 1);
        assert_eq!(
            (
                started.leader,
                started.leader_epoch.0,
                started.partition_epoch
            ),
            (BrokerId(1), 2, 2)
        );
        assert_eq!(
            (&started.isr, &started.eligible_leader_replicas),
            (&vec![BrokerId(1)], &vec![])
        );
        assert_eq!(
            started.leader_recovery_state,
            LeaderRecoveryState::Recovered
        );
        assert!(cluster.image.cluster.is_active(BrokerId(1)));
    }
}

#[test]
fn a_crash_costs_the_leadership_when_the_broker_comes_back() {
    for elr in [false, true] {
        let (mut cluster, _) = with_topic(elr);
        // No shutdown: the former process has left no trace of a clean end.
        let request = cluster.registration(1, -1);
        cluster.run(|controller| controller.register_broker(&request, CLUSTER_ID).unwrap());
        let lost = cluster.partition("t", 0);
        assert_eq!((lost.leader, lost.leader_epoch.0), (NO_LEADER, 1));
        let kept = if elr {
            (vec![], vec![BrokerId(1)])
        } else {
            (vec![BrokerId(1)], vec![])
        };
        assert_eq!((lost.isr.clone(), lost.last_known_elr.clone()), kept);

        cluster.run(|controller| controller.unfence_broker(BrokerId(1)));
        let back = cluster.partition("t", 0);
        assert_eq!(
            (back.leader, back.leader_epoch.0, &back.isr),
            (BrokerId(1), 2, &vec![BrokerId(1)])
        );
        // Of a replica that may have lost its tail Kafka says so until its leader has settled.
        assert_eq!(
            back.leader_recovery_state == LeaderRecoveryState::Recovering,
            elr
        );
        cluster.run(|controller| controller.settle_partitions(BrokerId(1)));
        let settled = cluster.partition("t", 0);
        assert_eq!(
            (settled.leader_recovery_state, settled.leader_epoch.0),
            (LeaderRecoveryState::Recovered, 2)
        );
        assert!(settled.last_known_elr.is_empty());
    }
}

#[test]
fn the_same_incarnation_keeps_its_epoch_and_its_leaderships() {
    let mut cluster = Cluster::empty(false);
    let request = cluster.registration(1, -1);
    let register = |cluster: &mut Cluster| {
        cluster
            .run(|controller| controller.register_broker(&request, CLUSTER_ID).unwrap())
            .broker_epoch
    };
    let epoch = register(&mut cluster);
    cluster.run(|controller| controller.unfence_broker(BrokerId(1)));
    assert_eq!(register(&mut cluster), epoch);
    assert!(cluster.image.cluster.is_active(BrokerId(1)));
}

#[test]
fn a_registration_that_does_not_fit_the_cluster_is_refused() {
    let mut cluster = Cluster::new();
    cluster.feature("share.version", 1);
    let share = cluster.registration(2, -1);
    cluster.feature("share.version", 0);
    let good = cluster.registration(2, -1);
    let change = |change: fn(&mut BrokerRegistrationRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let table = [
        (
            change(|r| r.cluster_id = text("other")),
            104,
            "Expected cluster ID MkU3OEVBNTcwNTJENDM2Qg, but got cluster ID other",
        ),
        (
            change(|r| r.log_dirs.clear()),
            119,
            "No directories specified in request",
        ),
        (
            change(|r| r.log_dirs = vec![Uuid::from_u128(99)]),
            119,
            "Reserved directory ID in request",
        ),
        (
            change(|r| r.log_dirs = vec![Uuid::from_u128(500); 2]),
            119,
            "Duplicate directory ID in request",
        ),
        (
            change(|r| r.log_dirs = vec![Uuid::from_u128(201)]),
            119,
            "Broker 1 is already registered with directory AAAAAAAAAAAAAAAAAAAAyQ",
        ),
        (
            change(|r| {
                r.features
                    .retain(|feature| feature.name.as_str() != "metadata.version")
            }),
            35,
            "Unable to register because the broker does not support finalized version 27 of metadata.version. The broker \
             wants a version between 0 and 0, inclusive.",
        ),
    ];
    for (request, code, message) in table {
        let error = cluster
            .decide(|controller| controller.register_broker(&request, CLUSTER_ID))
            .unwrap_err();
        assert_eq!(
            (error.error.code(), error.message.as_deref()),
            (code, Some(message))
        );
    }
    cluster.feature("share.version", 1);
    let error = cluster
        .decide(|controller| controller.register_broker(&share, CLUSTER_ID))
        .unwrap_err();
    assert!(
        error
            .message
            .unwrap()
            .contains("finalized version 1 of share.version")
    );
}
