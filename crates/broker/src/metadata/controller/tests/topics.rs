use ottla_protocol::ids::{LeaderEpoch, TopicId};
use ottla_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use ottla_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use ottla_protocol::messages::create_topics_response::CreatableTopicResult;
use ottla_protocol::messages::delete_topics_request::DeleteTopicState;
use ottla_protocol::messages::{
    AllocateProducerIdsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    TopicName,
};

use super::*;

fn new_topic(name: &str, partitions: i32, factor: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(TopicName(text(name)))
        .with_num_partitions(partitions)
        .with_replication_factor(factor)
}

fn with_config(topic: CreatableTopic, name: &str, value: Option<&str>) -> CreatableTopic {
    let config = CreatableTopicConfig::default()
        .with_name(text(name))
        .with_value(value.map(text));
    topic.with_configs(vec![config])
}

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> CreatableTopic {
    let assignments = assignments.iter().map(|(index, brokers)| {
        let brokers = brokers
            .iter()
            .map(|broker| messages::BrokerId(*broker))
            .collect();
        CreatableReplicaAssignment::default()
            .with_partition_index(*index)
            .with_broker_ids(brokers)
    });
    new_topic(name, -1, -1).with_assignments(assignments.collect())
}

fn create(cluster: &mut Cluster, topics: Vec<CreatableTopic>) -> Vec<CreatableTopicResult> {
    let request = CreateTopicsRequest::default().with_topics(topics);
    cluster
        .run(|controller| controller.create_topics(&request))
        .topics
}

fn outcome(result: &CreatableTopicResult) -> (i16, &str) {
    (
        result.error_code,
        result
            .error_message
            .as_ref()
            .map_or("", |message| message.as_str()),
    )
}

#[test]
fn each_refusal_has_kafkas_code_and_words() {
    let table: Vec<(CreatableTopic, i16, &str)> = vec![
        (new_topic("old", 1, 1), 36, "Topic 'old' already exists."),
        (
            new_topic("", 1, 1),
            17,
            "Topic name is invalid: the empty string is not allowed",
        ),
        (
            new_topic("a.b", 1, 1),
            17,
            "Topic 'a.b' collides with existing topic: a_b",
        ),
        (
            new_topic("__cluster_metadata", 1, 1),
            42,
            "Creation of internal topic __cluster_metadata is prohibited.",
        ),
        (
            new_topic("t", 0, 1),
            37,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            new_topic("t", -2, 1),
            37,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            new_topic("t", 1, 0),
            38,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            new_topic("t", 1, -2),
            38,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            new_topic("t", 1, 3),
            38,
            "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because \
             only 1 broker(s) are registered.",
        ),
        (
            assigned("t", &[(0, &[])]),
            39,
            "The manual partition assignment includes an empty replica list.",
        ),
        (
            assigned("t", &[(0, &[7])]),
            39,
            "The manual partition assignment includes broker 7, but no such broker is registered.",
        ),
        (
            assigned("t", &[(0, &[1, 1])]),
            39,
            "The manual partition assignment includes the broker 1 more than once.",
        ),
        (
            assigned("t", &[(0, &[1]), (0, &[1])]),
            39,
            "Found multiple manual partition assignments for partition 0",
        ),
        (
            assigned("t", &[(0, &[1]), (2, &[1])]),
            39,
            "partitions should be a consecutive 0-based integer sequence",
        ),
        (
            assigned("t", &[(-1, &[1])]),
            39,
            "partitions should be a consecutive 0-based integer sequence",
        ),
        (
            assigned("t", &[(0, &[1])]).with_num_partitions(1),
            42,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            assigned("t", &[(0, &[1])]).with_replication_factor(1),
            42,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ),
        (
            with_config(new_topic("t", 1, 1), "nope", Some("1")),
            40,
            "Unknown topic config name: nope",
        ),
        (
            with_config(new_topic("t", 1, 1), "retention.ms", None),
            40,
            "Null value not supported for topic configs: retention.ms",
        ),
        (
            with_config(new_topic("t", 1, 1), "segment.bytes", Some("x")),
            40,
            "Invalid value x for configuration segment.bytes: Not a number of type INT",
        ),
        (
            new_topic("t", 10_001, 1),
            44,
            "Excessively large number of partitions per request.",
        ),
    ];
    for (topic, code, message) in table {
        let mut cluster = Cluster::new();
        create(
            &mut cluster,
            vec![new_topic("old", 1, 1), new_topic("a_b", 1, 1)],
        );
        let offset = cluster.offset;
        let results = create(&mut cluster, vec![topic.clone()]);
        assert_eq!(outcome(&results[0]), (code, message), "{topic:?}");
        assert_eq!(
            cluster.offset, offset,
            "a refused topic leaves no record: {topic:?}"
        );
    }
}

#[test]
fn a_topic_is_created_with_defaults_and_its_configs() {
    let mut cluster = Cluster::with(&[("num.partitions", "3")]);
    let topic = with_config(new_topic("t", -1, -1), "retention.ms", Some("5000"));
    let results = create(&mut cluster, vec![topic]);
    assert_eq!(outcome(&results[0]), (0, ""));
    assert_eq!(
        (results[0].num_partitions, results[0].replication_factor),
        (3, 1)
    );
    assert_eq!(TopicId(results[0].topic_id), cluster.topic("t").id());
    assert_eq!(cluster.topic("t").partition_count(), 3);
    assert_eq!(
        cluster
            .image
            .configs
            .topic("t")
            .get("retention.ms")
            .unwrap(),
        "5000"
    );
    let partition = cluster.partition("t", 2);
    assert_eq!(
        (
            partition.leader,
            partition.leader_epoch,
            partition.partition_epoch
        ),
        (BrokerId(1), LeaderEpoch(0), 0)
    );
    assert_eq!(
        (&partition.isr, &partition.directories),
        (&vec![BrokerId(1)], &vec![Uuid::from_u128(201)])
    );

    let configs = results[0].configs.as_ref().unwrap();
    assert_eq!(configs.len(), crate::config::TOPIC_KEYS.len());
    let find = |name: &str| {
        configs
            .iter()
            .find(|config| config.name.as_str() == name)
            .unwrap()
    };
    let source = |name| {
        (
            find(name).value.as_ref().unwrap().as_str(),
            find(name).config_source,
        )
    };
    assert_eq!(source("retention.ms"), ("5000", 1));
    assert_eq!(source("cleanup.policy"), ("delete", 5));

    // A value comes back as the client wrote it, spaces and all.
    let odd = with_config(new_topic("odd", 1, 1), "segment.bytes", Some(" 2000000 "));
    let results = create(&mut cluster, vec![odd]);
    let configs = results[0].configs.as_ref().unwrap();
    let found = configs
        .iter()
        .find(|config| config.name.as_str() == "segment.bytes")
        .unwrap();
    assert_eq!(found.value.as_ref().unwrap().as_str(), " 2000000 ");
}

#[test]
fn validate_only_answers_the_same_and_changes_nothing() {
    let mut cluster = Cluster::new();
    let before = cluster.image.clone();
    let request = CreateTopicsRequest::default()
        .with_topics(vec![new_topic("t", 2, 1)])
        .with_validate_only(true);
    let response = cluster.run(|controller| controller.create_topics(&request));
    assert_eq!(
        (
            outcome(&response.topics[0]),
            response.topics[0].num_partitions
        ),
        ((0, ""), 2)
    );
    assert_eq!(cluster.image, before);
}

#[test]
fn a_name_that_stands_twice_is_answered_once_and_not_created() {
    let mut cluster = Cluster::new();
    let results = create(
        &mut cluster,
        vec![
            new_topic("t", 1, 1),
            new_topic("u", 1, 1),
            new_topic("t", 2, 1),
        ],
    );
    let outcomes: Vec<_> = results
        .iter()
        .map(|result| (result.name.as_str(), outcome(result)))
        .collect();
    assert_eq!(
        outcomes,
        [("u", (0, "")), ("t", (42, "Duplicate topic name."))]
    );
    assert!(cluster.image.topics.by_name("t").is_none());
}

#[test]
fn names_that_collide_within_a_request_are_not_both_created() {
    let mut cluster = Cluster::new();
    let results = create(
        &mut cluster,
        vec![new_topic("a.b", 1, 1), new_topic("a_b", 1, 1)],
    );
    assert_eq!(
        results
            .iter()
            .map(|result| result.error_code)
            .collect::<Vec<_>>(),
        [0, 17]
    );
    assert_eq!(cluster.image.topics.len(), 1);
}

#[test]
fn the_replication_factor_is_clamped_only_when_asked_for() {
    let mut cluster = Cluster::with(&[
        ("ottla.replication.factor.clamp", "true"),
        ("default.replication.factor", "3"),
    ]);
    let results = create(
        &mut cluster,
        vec![
            new_topic("t", 1, 3),
            new_topic("u", 1, -1),
            assigned("v", &[(0, &[1, 2, 3])]),
        ],
    );
    for result in &results {
        assert_eq!(
            (result.error_code, result.replication_factor),
            (0, 1),
            "{result:?}"
        );
    }
    let results = create(&mut Cluster::new(), vec![new_topic("t", 1, 3)]);
    assert_eq!(results[0].error_code, 38);
}

#[test]
fn ten_thousand_partitions_are_the_most_of_one_request() {
    let mut cluster = Cluster::new();
    let results = create(&mut cluster, vec![new_topic("t", 9_999, 1)]);
    assert_eq!(results[0].error_code, 0);
    let results = create(
        &mut cluster,
        vec![new_topic("u", 6_000, 1), new_topic("v", 6_000, 1)],
    );
    assert_eq!(
        results
            .iter()
            .map(|result| result.error_code)
            .collect::<Vec<_>>(),
        [44, 44]
    );
    // With its topic record it is one record too many.
    let results = create(&mut cluster, vec![new_topic("u", 10_000, 1)]);
    assert_eq!(
        outcome(&results[0]),
        (44, "Unable to perform excessively large batch operation.")
    );
}

#[test]
fn topics_are_deleted_by_name_or_id_and_never_by_both() {
    let mut cluster = Cluster::new();
    create(
        &mut cluster,
        ["a", "b", "c", "d"]
            .map(|name| new_topic(name, 1, 1))
            .to_vec(),
    );
    let id = |name: &str| cluster.topic(name).id().0;
    let by_id = |id: Uuid| {
        DeleteTopicState::default()
            .with_name(None)
            .with_topic_id(id)
    };
    let by_name = |name: &str| DeleteTopicState::default().with_name(Some(TopicName(text(name))));
    let (a, b) = (id("a"), id("b"));
    let request = DeleteTopicsRequest::default().with_topics(vec![
        by_id(a),
        by_id(b),
        by_name("b"),
        by_name("c"),
        by_name("d"),
        by_name("d"),
        by_name("none"),
        by_id(Uuid::from_u128(5)),
        by_id(Uuid::nil()),
        by_id(Uuid::nil()),
        by_name("a").with_topic_id(a),
        by_name("a").with_topic_id(a),
    ]);
    let response = cluster.run(|controller| controller.delete_topics(&request, 6));
    let results = response.responses.iter().map(|result| {
        let name = result.name.as_ref().map_or("-", |name| name.as_str());
        (name, result.topic_id, result.error_code)
    });
    let mut results: Vec<_> = results.collect();
    results.sort_unstable();
    let zero = Uuid::nil();
    let c = results.iter().find(|result| result.0 == "c").unwrap().1;
    let mut expected = [
        ("a", a, 0),
        // Of a topic named in both ways the name is answered.
        ("b", b, 42),
        ("c", c, 0),
        ("d", zero, 42),
        ("none", zero, 3),
        ("-", Uuid::from_u128(5), 100),
        // What names nothing is answered each time.
        ("-", zero, 42),
        ("-", zero, 42),
        ("a", a, 42),
        ("a", a, 42),
    ];
    expected.sort_unstable();
    assert_eq!(results, expected);
    let left: Vec<_> = cluster
        .image
        .topics
        .iter()
        .map(|topic| topic.name().to_string())
        .collect();
    assert_eq!(left, ["b", "d"]);
}

#[test]
fn a_topic_created_anew_has_a_new_id() {
    let mut cluster = Cluster::new();
    create(&mut cluster, vec![new_topic("t", 1, 1)]);
    let old = cluster.topic("t").id();
    let request = DeleteTopicsRequest::default().with_topic_names(vec![TopicName(text("t"))]);
    let response = cluster.run(|controller| controller.delete_topics(&request, 5));
    assert_eq!(
        (
            response.responses[0].error_code,
            response.responses[0].topic_id
        ),
        (0, old.0)
    );
    create(&mut cluster, vec![new_topic("t", 1, 1)]);
    assert_ne!(cluster.topic("t").id(), old);
}

#[test]
fn deletion_can_be_switched_off() {
    for (version, code) in [(1, 42), (3, 73), (6, 73)] {
        let mut cluster = Cluster::with(&[("delete.topic.enable", "false")]);
        create(&mut cluster, vec![new_topic("t", 1, 1)]);
        let request = DeleteTopicsRequest::default().with_topic_names(vec![TopicName(text("t"))]);
        let response = cluster.run(|controller| controller.delete_topics(&request, version));
        assert_eq!(response.responses[0].error_code, code);
        assert_eq!(cluster.image.topics.len(), 1);
    }
}

#[test]
fn partitions_are_added_and_each_topic_is_answered() {
    let mut cluster = Cluster::new();
    create(
        &mut cluster,
        ["a", "b", "c", "d", "e", "f"]
            .map(|name| new_topic(name, 2, 1))
            .to_vec(),
    );
    let grow = |name: &str, count| {
        CreatePartitionsTopic::default()
            .with_name(TopicName(text(name)))
            .with_count(count)
            .with_assignments(None)
    };
    let to = |brokers: &[i32]| {
        let brokers = brokers
            .iter()
            .map(|broker| messages::BrokerId(*broker))
            .collect();
        CreatePartitionsAssignment::default().with_broker_ids(brokers)
    };
    let request = CreatePartitionsRequest::default().with_topics(vec![
        grow("a", 4),
        grow("b", 2),
        grow("c", 1),
        grow("none", 3),
        grow("d", 3).with_assignments(Some(vec![to(&[1])])),
        grow("e", 4).with_assignments(Some(vec![to(&[1])])),
        grow("f", 3).with_assignments(Some(vec![to(&[9])])),
        grow("twice", 3),
        grow("twice", 4),
    ]);
    let response = cluster.run(|controller| controller.create_partitions(&request));
    let results: Vec<_> = response
        .results
        .iter()
        .map(|result| {
            (
                result.name.as_str(),
                result.error_code,
                result
                    .error_message
                    .as_ref()
                    .map_or("", |message| message.as_str()),
            )
        })
        .collect();
    assert_eq!(
        results,
        [
            ("a", 0, ""),
            ("b", 37, "Topic already has 2 partition(s)."),
            (
                "c",
                37,
                "The topic c currently has 2 partition(s); 1 would not be an increase."
            ),
            ("none", 3, ""),
            ("d", 0, ""),
            (
                "e",
                39,
                "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified."
            ),
            (
                "f",
                39,
                "The manual partition assignment includes broker 9, but no such broker is registered."
            ),
            ("twice", 42, "Duplicate topic name."),
        ]
    );
    assert_eq!(
        [
            cluster.topic("a").partition_count(),
            cluster.topic("d").partition_count()
        ],
        [4, 3]
    );
    assert_eq!(cluster.partition("a", 3).leader, BrokerId(1));
}

#[test]
fn blocks_of_producer_ids_do_not_overlap() {
    let mut cluster = Cluster::new();
    let epoch = cluster.image.cluster.broker(BrokerId(1)).unwrap().epoch();
    let request = |broker_epoch| {
        AllocateProducerIdsRequest::default()
            .with_broker_id(messages::BrokerId(1))
            .with_broker_epoch(broker_epoch)
    };
    let mut starts = Vec::new();
    for _ in 0..3 {
        let response = cluster.run(|controller| controller.allocate_producer_ids(&request(epoch)));
        assert_eq!((response.error_code, response.producer_id_len), (0, 1000));
        starts.push(response.producer_id_start.0);
    }
    assert_eq!(starts, [0, 1000, 2000]);
    let response = cluster.run(|controller| controller.allocate_producer_ids(&request(epoch + 1)));
    assert_eq!(response.error_code, 77);
    assert_eq!(cluster.image.producer_ids.next_producer_id().0, 3000);
}
