use ottla_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_protocol::messages::{
    AlterConfigsRequest, CreateTopicsRequest, IncrementalAlterConfigsRequest,
    alter_configs_request, create_topics_request,
};

use super::*;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn with_topic() -> Cluster {
    let mut cluster = Cluster::new();
    let topic = create_topics_request::CreatableTopic::default()
        .with_name(messages::TopicName(text("t")))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]);
    cluster.run(|controller| controller.create_topics(&request));
    cluster
}

fn resource(
    resource_type: i8,
    name: &str,
    changes: &[(&str, i8, Option<&str>)],
) -> AlterConfigsResource {
    let configs = changes.iter().map(|(name, operation, value)| {
        AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(*operation)
            .with_value(value.map(text))
    });
    AlterConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(text(name))
        .with_configs(configs.collect())
}

fn alter(
    cluster: &mut Cluster,
    resources: Vec<AlterConfigsResource>,
) -> Vec<(String, i16, String)> {
    let request = IncrementalAlterConfigsRequest::default().with_resources(resources);
    let response = cluster.run(|controller| controller.incremental_alter_configs(&request));
    let result =
        |result: &messages::incremental_alter_configs_response::AlterConfigsResourceResponse| {
            let message = result
                .error_message
                .as_ref()
                .map_or(String::new(), ToString::to_string);
            (result.resource_name.to_string(), result.error_code, message)
        };
    response.responses.iter().map(result).collect()
}

fn configs(cluster: &Cluster, name: &str) -> Vec<(String, String)> {
    cluster
        .image
        .configs
        .topic(name)
        .clone()
        .into_iter()
        .collect()
}

#[test]
fn lists_are_appended_to_from_their_default() {
    let mut cluster = with_topic();
    let steps = [
        (APPEND, Some("compact"), Some("delete,compact")),
        (APPEND, Some("compact"), Some("delete,compact")),
        (SUBTRACT, Some("delete"), Some("compact")),
        (SET, Some("delete"), Some("delete")),
        (DELETE, None, None),
    ];
    for (operation, value, expected) in steps {
        let results = alter(
            &mut cluster,
            vec![resource(
                TOPIC,
                "t",
                &[("cleanup.policy", operation, value)],
            )],
        );
        assert_eq!(results, [("t".to_owned(), 0, String::new())]);
        assert_eq!(
            cluster
                .image
                .configs
                .topic("t")
                .get("cleanup.policy")
                .map(String::as_str),
            expected
        );
    }
}

#[test]
fn a_resource_is_altered_whole_or_not_at_all() {
    let mut cluster = with_topic();
    let table = [
        (
            resource(
                TOPIC,
                "t",
                &[("retention.ms", SET, Some("1")), ("nope", SET, Some("1"))],
            ),
            40,
            "Unknown topic config name: nope",
        ),
        (
            resource(TOPIC, "none", &[("retention.ms", SET, Some("1"))]),
            3,
            "The topic 'none' does not exist.",
        ),
        (
            resource(TOPIC, "t", &[("retention.ms", APPEND, Some("1"))]),
            40,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            resource(TOPIC, "t", &[("retention.ms", SET, None)]),
            42,
            "Null value not supported for : retention.ms",
        ),
        (
            resource(TOPIC, "t", &[("retention.ms", 9, Some("1"))]),
            42,
            "Unknown operation type 9",
        ),
        (
            resource(
                TOPIC,
                "t",
                &[
                    ("retention.ms", SET, Some("1")),
                    ("retention.ms", DELETE, None),
                ],
            ),
            42,
            "Error due to duplicate config keys",
        ),
        (
            resource(BROKER, "x", &[("log.retention.ms", SET, Some("1"))]),
            42,
            "Node id must be an integer, but it is: x",
        ),
        (
            resource(BROKER, "9", &[("log.retention.ms", SET, Some("1"))]),
            42,
            "Unexpected broker id, expected 1, but received 9",
        ),
        (
            resource(BROKER, "1", &[("node.id", SET, Some("2"))]),
            42,
            "Cannot update these configs dynamically: Set(node.id)",
        ),
    ];
    for (resource, code, message) in table {
        let name = resource.resource_name.to_string();
        let good = self::resource(TOPIC, "t", &[("retention.ms", SET, Some("77"))]);
        let both = if name == "t" {
            vec![resource]
        } else {
            vec![resource, good]
        };
        assert_eq!(
            alter(&mut cluster, both)[0],
            (name.clone(), code, message.to_owned())
        );
        let expected = if name == "t" { None } else { Some("77") };
        assert_eq!(
            cluster
                .image
                .configs
                .topic("t")
                .get("retention.ms")
                .map(String::as_str),
            expected
        );
        cluster.run(|controller| {
            let undo = self::resource(TOPIC, "t", &[("retention.ms", DELETE, None)]);
            controller.incremental_alter_configs(
                &IncrementalAlterConfigsRequest::default().with_resources(vec![undo]),
            )
        });
    }
}

#[test]
fn a_resource_named_twice_is_refused_twice() {
    let mut cluster = with_topic();
    let twice = vec![resource(TOPIC, "t", &[("retention.ms", SET, Some("1"))]); 2];
    let refused = (
        "t".to_owned(),
        42,
        "Each resource must appear at most once.".to_owned(),
    );
    assert_eq!(alter(&mut cluster, twice), [refused.clone(), refused]);
    assert!(configs(&cluster, "t").is_empty());
}

#[test]
fn only_topics_and_this_broker_can_be_configured() {
    let mut cluster = with_topic();
    for (resource_type, name, message) in [
        (TOPIC, "", "Default topic resources are not allowed."),
        (
            8,
            "1",
            "Configs of this kind of resource cannot be altered yet.",
        ),
        (77, "x", "Unknown resource type 77"),
    ] {
        let results = alter(
            &mut cluster,
            vec![resource(
                resource_type,
                name,
                &[("retention.ms", SET, Some("1"))],
            )],
        );
        assert_eq!(results, [(name.to_owned(), 42, message.to_owned())]);
    }
}

#[test]
fn the_old_api_takes_no_nulls() {
    let mut cluster = with_topic();
    let config = alter_configs_request::AlterableConfig::default()
        .with_name(text("retention.ms"))
        .with_value(None);
    let whole = alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text("t"))
        .with_configs(vec![config]);
    let request = AlterConfigsRequest::default().with_resources(vec![whole]);
    let response = cluster.run(|controller| controller.alter_configs(&request));
    let result = &response.responses[0];
    assert_eq!(
        (
            result.error_code,
            result.error_message.as_ref().unwrap().as_str()
        ),
        (42, "Null value not supported for : retention.ms")
    );
}

#[test]
fn the_old_api_removes_what_it_does_not_name() {
    let mut cluster = with_topic();
    alter(
        &mut cluster,
        vec![resource(
            TOPIC,
            "t",
            &[
                ("retention.ms", SET, Some("1")),
                ("segment.ms", SET, Some("2")),
            ],
        )],
    );
    let config = alter_configs_request::AlterableConfig::default()
        .with_name(text("retention.ms"))
        .with_value(Some(text("3")));
    let whole = alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text("t"))
        .with_configs(vec![config]);
    let request = AlterConfigsRequest::default().with_resources(vec![whole]);
    let validated = cluster
        .run(|controller| controller.alter_configs(&request.clone().with_validate_only(true)));
    assert_eq!(validated.responses[0].error_code, 0);
    assert_eq!(configs(&cluster, "t").len(), 2);
    let response = cluster.run(|controller| controller.alter_configs(&request));
    assert_eq!(response.responses[0].error_code, 0);
    assert_eq!(
        configs(&cluster, "t"),
        [("retention.ms".to_owned(), "3".to_owned())]
    );
}

#[test]
fn broker_configs_are_kept_for_one_broker_or_all() {
    let mut cluster = Cluster::new();
    let results = alter(
        &mut cluster,
        vec![
            resource(BROKER, "1", &[("log.retention.ms", SET, Some("5"))]),
            resource(BROKER, "", &[("log.retention.ms", SET, Some("6"))]),
        ],
    );
    assert_eq!(
        results.iter().map(|result| result.1).collect::<Vec<_>>(),
        [0, 0]
    );
    assert_eq!(
        cluster
            .image
            .configs
            .broker(BrokerId(1))
            .get("log.retention.ms")
            .unwrap(),
        "5"
    );
    assert_eq!(
        cluster
            .image
            .configs
            .all_brokers()
            .get("log.retention.ms")
            .unwrap(),
        "6"
    );
}

#[test]
fn min_insync_replicas_stays_with_eligible_leader_replicas() {
    const KEY: &str = "min.insync.replicas";
    let rows = [
        ("", SET, Some("1"), 0),
        ("", DELETE, None, 40),
        ("1", SET, Some("1"), 40),
        ("1", DELETE, None, 40),
    ];
    for elr in [true, false] {
        let mut cluster = Cluster::empty(elr);
        cluster.start(1, -1);
        for (name, operation, value, with_elr) in rows {
            let change = resource(BROKER, name, &[(KEY, operation, value)]);
            let expected = if elr { with_elr } else { 0 };
            assert_eq!(alter(&mut cluster, vec![change])[0].1, expected, "{name}");
        }
        // The old API removes what it does not name.
        let all = alter_configs_request::AlterConfigsResource::default().with_resource_type(BROKER);
        let request = AlterConfigsRequest::default().with_resources(vec![all]);
        let response = cluster.run(|controller| controller.alter_configs(&request));
        let expected = if elr { 40 } else { 0 };
        assert_eq!(response.responses[0].error_code, expected);
    }
}

#[test]
fn configs_of_groups_need_no_group_and_stay_within_the_limits() {
    const GROUP: i8 = 32;
    let mut cluster = Cluster::new();
    let session = "consumer.session.timeout.ms";
    let interval = "consumer.heartbeat.interval.ms";
    let long = "g".repeat(40_000);
    let table = [
        ("g", session, SET, Some("50000"), 0, ""),
        ("g", interval, SET, Some("6000"), 0, ""),
        (
            "h",
            session,
            SET,
            Some("44999"),
            40,
            "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
        ),
        (
            "h",
            session,
            SET,
            Some("soon"),
            40,
            "Invalid value soon for configuration consumer.session.timeout.ms: Not a number of type INT",
        ),
        (
            "h",
            session,
            APPEND,
            Some("1"),
            40,
            "Can't APPEND to key consumer.session.timeout.ms because its type is not LIST.",
        ),
        (
            "h",
            "nope",
            SET,
            Some("1"),
            40,
            "Unknown group config name: nope",
        ),
        (
            "h",
            session,
            SET,
            None,
            42,
            "Null value not supported for : consumer.session.timeout.ms",
        ),
        (
            "",
            session,
            SET,
            Some("50000"),
            42,
            "Default group resources are not allowed.",
        ),
        (
            &long,
            session,
            SET,
            Some("50000"),
            42,
            "The name of the group is too long.",
        ),
        ("g", interval, DELETE, None, 0, ""),
    ];
    for (group, key, operation, value, code, message) in table {
        let changed = resource(GROUP, group, &[(key, operation, value)]);
        let results = alter(&mut cluster, vec![changed]);
        assert_eq!(
            (results[0].1, &*results[0].2),
            (code, message),
            "{key} {value:?}"
        );
    }
    let held = cluster.image.configs.group("g");
    assert_eq!(
        held.iter().collect::<Vec<_>>(),
        [(&session.to_owned(), &"50000".to_owned())]
    );
    assert!(cluster.image.configs.group("h").is_empty());
}
