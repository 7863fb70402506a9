use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::metadata::record::*;

fn id(number: u8) -> TopicId {
    TopicId(Uuid::from_u128(u128::from(number) + 100))
}

fn topic(number: u8, name: &str) -> MetadataRecord {
    TopicRecord {
        name: name.to_owned(),
        topic_id: id(number),
    }
    .into()
}

fn partition(number: u8, index: i32) -> MetadataRecord {
    let registration = PartitionRegistration::new(
        vec![BrokerId(1)],
        vec![Uuid::from_u128(9)],
        vec![BrokerId(1)],
    );
    registration
        .to_record(id(number), PartitionIndex(index))
        .into()
}

fn change(number: u8, index: i32) -> PartitionChangeRecord {
    PartitionChangeRecord {
        partition_id: PartitionIndex(index),
        topic_id: id(number),
        ..Default::default()
    }
}

fn image_of(records: &[MetadataRecord]) -> MetadataImage {
    let mut image = MetadataImage::default();
    for record in records {
        image.replay(record).unwrap();
    }
    image
}

#[test]
fn every_change_counts_the_partition_epoch_and_only_a_leader_counts_the_leader_epoch() {
    let mut image = image_of(&[topic(1, "a"), partition(1, 0)]);
    let steps = [
        (
            PartitionChangeRecord {
                isr: Some(vec![]),
                ..change(1, 0)
            },
            (1, 0),
            1,
        ),
        (
            PartitionChangeRecord {
                leader: NO_LEADER,
                ..change(1, 0)
            },
            (2, 1),
            -1,
        ),
        (
            PartitionChangeRecord {
                leader: BrokerId(1),
                ..change(1, 0)
            },
            (3, 2),
            1,
        ),
        // The same leader again is a new term of it.
        (
            PartitionChangeRecord {
                leader: BrokerId(1),
                ..change(1, 0)
            },
            (4, 3),
            1,
        ),
        (change(1, 0), (5, 3), 1),
    ];
    for (record, epochs, leader) in steps {
        image.replay(&record.into()).unwrap();
        let partition = image.topics.partition(id(1), PartitionIndex(0)).unwrap();
        assert_eq!(
            (partition.partition_epoch, partition.leader_epoch.0),
            epochs
        );
        assert_eq!(partition.leader, BrokerId(leader));
    }
}

#[test]
fn a_record_that_does_not_fit_changes_nothing() {
    let start = image_of(&[topic(1, "a"), partition(1, 0)]);
    let bad: [(MetadataRecord, ReplayError); 7] = [
        (
            topic(2, "a"),
            ReplayError::DuplicateTopic {
                name: "a".into(),
                id: id(2),
            },
        ),
        (
            topic(1, "b"),
            ReplayError::DuplicateTopic {
                name: "b".into(),
                id: id(1),
            },
        ),
        (partition(2, 0), ReplayError::UnknownTopic(id(2))),
        (
            change(1, 1).into(),
            ReplayError::UnknownPartition(id(1), PartitionIndex(1)),
        ),
        (
            RemoveTopicRecord { topic_id: id(2) }.into(),
            ReplayError::UnknownTopic(id(2)),
        ),
        (
            PartitionChangeRecord {
                directories: Some(vec![Uuid::nil(); 2]),
                ..change(1, 0)
            }
            .into(),
            ReplayError::Directories {
                replicas: 1,
                directories: 2,
            },
        ),
        (
            UnregisterBrokerRecord {
                broker_id: BrokerId(1),
                broker_epoch: 0,
            }
            .into(),
            ReplayError::UnknownBroker(BrokerId(1)),
        ),
    ];
    for (record, error) in bad {
        let mut image = start.clone();
        assert_eq!(image.replay(&record), Err(error));
        assert_eq!(image, start, "{record:?}");
    }
}

#[test]
fn a_change_of_registration_must_name_its_epoch() {
    let register = RegisterBrokerRecord {
        broker_id: BrokerId(1),
        broker_epoch: 5,
        ..Default::default()
    };
    let mut image = image_of(&[register.into()]);
    let change = BrokerRegistrationChangeRecord {
        broker_id: BrokerId(1),
        broker_epoch: 5,
        fenced: -1,
        ..Default::default()
    };
    let stale = BrokerRegistrationChangeRecord {
        broker_epoch: 4,
        ..change.clone()
    };
    let error = ReplayError::StaleBrokerEpoch {
        broker: BrokerId(1),
        registered: 5,
        found: 4,
    };
    assert_eq!(image.replay(&stale.into()), Err(error));
    assert!(!image.cluster.is_active(BrokerId(1)));
    image.replay(&change.into()).unwrap();
    assert!(image.cluster.is_active(BrokerId(1)));
}

#[test]
fn names_that_collide_are_found_until_the_topic_is_gone() {
    let mut image = image_of(&[topic(1, "a.b"), topic(2, "plain")]);
    assert_eq!(
        image.topics.collision("a_b").map(AsRef::as_ref),
        Some("a.b")
    );
    assert_eq!(image.topics.collision("a.c"), None);
    assert_eq!(image.topics.collision("plain"), None);
    image
        .replay(&RemoveTopicRecord { topic_id: id(1) }.into())
        .unwrap();
    assert_eq!(image.topics.collision("a_b"), None);
}

#[test]
fn a_topic_takes_its_configs_with_it() {
    let config = ConfigRecord {
        resource_type: 2,
        resource_name: "a".into(),
        name: "k".into(),
        value: Some("v".into()),
    };
    let mut image = image_of(&[topic(1, "a"), config.into()]);
    assert_eq!(
        image.configs.topic("a"),
        &BTreeMap::from([("k".to_owned(), "v".to_owned())])
    );
    image
        .replay(&RemoveTopicRecord { topic_id: id(1) }.into())
        .unwrap();
    assert!(image.configs.topic("a").is_empty());
}

#[test]
fn fifty_thousand_partitions_and_a_change_to_one_of_them() {
    let mut image = image_of(&[topic(1, "big")]);
    for index in 0..50_000 {
        image.replay(&partition(1, index)).unwrap();
    }
    let before = image.clone();
    image
        .replay(
            &PartitionChangeRecord {
                leader: NO_LEADER,
                ..change(1, 77)
            }
            .into(),
        )
        .unwrap();
    assert_eq!(image.topics.partition_count(), 50_000);
    let differs = |index| {
        let index = PartitionIndex(index);
        before.topics.partition(id(1), index) != image.topics.partition(id(1), index)
    };
    assert_eq!(
        (0..50_000)
            .filter(|index| differs(*index))
            .collect::<Vec<_>>(),
        [77]
    );
}

/// Records that may or may not fit; those that do not are skipped by the test.
fn any_record() -> impl Strategy<Value = MetadataRecord> {
    let small = 0..4_u8;
    let name = |number: u8| ["a", "a.b", "a_b", "z"][usize::from(number)].to_owned();
    prop_oneof![
        (small.clone(), small.clone()).prop_map(move |(number, n)| topic(number, &name(n))),
        (small.clone(), 0..5_i32).prop_map(|(number, index)| partition(number, index)),
        (small.clone(), 0..5_i32, -2..3_i32, any::<bool>(), -1..2_i8).prop_map(
            |(number, index, leader, elr, state)| {
                PartitionChangeRecord {
                    leader: BrokerId(leader),
                    leader_recovery_state: state,
                    eligible_leader_replicas: elr.then(|| vec![BrokerId(leader)]),
                    isr: elr.then(|| vec![BrokerId(2)]),
                    ..change(number, index)
                }
                .into()
            }
        ),
        small.clone().prop_map(|number| RemoveTopicRecord {
            topic_id: id(number)
        }
        .into()),
        Just(
            ClearElrRecord {
                topic_name: String::new()
            }
            .into()
        ),
        (small.clone(), 0..3_i64).prop_map(|(broker, epoch)| {
            let directory = vec![Uuid::from_u128(u128::from(broker) + 50)];
            RegisterBrokerRecord {
                broker_id: BrokerId(i32::from(broker)),
                broker_epoch: epoch,
                log_dirs: directory,
                ..Default::default()
            }
            .into()
        }),
        (small.clone(), 0..3_i64, -1..2_i8, 0..2_i8).prop_map(
            |(broker, epoch, fenced, stopping)| {
                BrokerRegistrationChangeRecord {
                    broker_id: BrokerId(i32::from(broker)),
                    broker_epoch: epoch,
                    fenced,
                    in_controlled_shutdown: stopping,
                    ..Default::default()
                }
                .into()
            }
        ),
        (small.clone(), 0..3_i64).prop_map(|(broker, epoch)| {
            UnregisterBrokerRecord {
                broker_id: BrokerId(i32::from(broker)),
                broker_epoch: epoch,
            }
            .into()
        }),
        (
            small.clone(),
            small.clone(),
            proptest::option::of("[a-z]{0,3}")
        )
            .prop_map(move |(resource, key, value)| {
                ConfigRecord {
                    resource_type: if resource % 2 == 0 { 2 } else { 4 },
                    resource_name: name(resource),
                    name: name(key),
                    value,
                }
                .into()
            }),
        (small.clone(), 0..3_i16).prop_map(|(feature, level)| {
            let name = ["metadata.version", "group.version", "aaa", "zzz"][usize::from(feature)]
                .to_owned();
            FeatureLevelRecord {
                name,
                feature_level: level,
            }
            .into()
        }),
        (small.clone(), any::<bool>(), 0..9_u8).prop_map(|(entity, remove, value)| {
            let user = EntityData {
                entity_type: "user".into(),
                entity_name: None,
            };
            let client = EntityData {
                entity_type: "client-id".into(),
                entity_name: Some(entity.to_string()),
            };
            let entity = if entity % 2 == 0 {
                vec![user, client]
            } else {
                vec![client, user]
            };
            ClientQuotaRecord {
                entity,
                key: "rate".into(),
                value: f64::from(value),
                remove,
            }
            .into()
        }),
        (0..9_i64).prop_map(|next| {
            ProducerIdsRecord {
                next_producer_id: ProducerId(next * 1000),
                ..Default::default()
            }
            .into()
        }),
        (0..4_u128).prop_map(|acl| {
            AccessControlEntryRecord {
                id: Uuid::from_u128(acl),
                principal: acl.to_string(),
                ..Default::default()
            }
            .into()
        }),
        (0..4_u128).prop_map(|acl| RemoveAccessControlEntryRecord {
            id: Uuid::from_u128(acl)
        }
        .into()),
        (small.clone(), 1..3_i8, 1..9_i32).prop_map(move |(user, mechanism, iterations)| {
            UserScramCredentialRecord {
                name: name(user),
                mechanism,
                iterations,
                ..Default::default()
            }
            .into()
        }),
        (small.clone(), 1..3_i8).prop_map(move |(user, mechanism)| {
            RemoveUserScramCredentialRecord {
                name: name(user),
                mechanism,
            }
            .into()
        }),
        (small.clone(), 0..9_i64).prop_map(move |(token, expiration_timestamp)| {
            DelegationTokenRecord {
                token_id: name(token),
                expiration_timestamp,
                ..Default::default()
            }
            .into()
        }),
        small.prop_map(move |token| RemoveDelegationTokenRecord {
            token_id: name(token)
        }
        .into()),
    ]
}

proptest! {
    #[test]
    fn a_snapshot_makes_the_same_image(script in proptest::collection::vec(any_record(), 0..120)) {
        let mut image = MetadataImage::default();
        for record in &script {
            // What does not fit is refused and must leave no trace, which the comparison below would show.
            let _refused = image.replay(record);
        }
        let records = image.to_records();
        // Through the bytes of the log, as a snapshot goes.
        let mut again = MetadataImage::default();
        for record in &records {
            let mut bytes = Vec::new();
            record.encode(record.version_at(MetadataVersion::MAXIMUM), &mut bytes).unwrap();
            let (decoded, _) = MetadataRecord::decode(&bytes).unwrap();
            again.replay(&decoded).unwrap();
        }
        prop_assert_eq!(&again, &image);
        prop_assert_eq!(again.to_records(), records);
        let counted: usize = image.topics.iter().map(TopicImage::partition_count).sum();
        prop_assert_eq!(image.topics.partition_count(), counted);
        for topic in image.topics.iter() {
            prop_assert_eq!(image.topics.get(topic.id()), Some(topic));
        }
    }
}
