use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_protocol::messages::{CreateTopicsRequest, IncrementalAlterConfigsRequest, TopicName};

use super::*;
use crate::metadata::testing::service;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn ask(resource_type: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    let keys = keys.map(|keys| keys.iter().map(|key| text(key)).collect());
    let resource = DescribeConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(text(name))
        .with_configuration_keys(keys);
    DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true)
}

/// Topic `t` keeps records for 5 s; the file and the cluster's default say otherwise.
async fn cluster() -> MetadataService {
    let metadata = service(&[("log.retention.hours", "1"), ("ssl.key.password", "s3cret")]);
    let config = CreatableTopicConfig::default()
        .with_name(text("retention.ms"))
        .with_value(Some(text("5000")));
    let topic = CreatableTopic::default()
        .with_name(TopicName(text("t")))
        .with_num_partitions(1)
        .with_replication_factor(1)
        .with_configs(vec![config]);
    let created = metadata
        .controller
        .create_topics(CreateTopicsRequest::default().with_topics(vec![topic]))
        .await
        .unwrap();
    assert_eq!(created.topics[0].error_code, 0);
    let config = AlterableConfig::default()
        .with_name(text("log.retention.ms"))
        .with_value(Some(text("7000")));
    let all = AlterConfigsResource::default()
        .with_resource_type(BROKER)
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![all]);
    let altered = metadata
        .controller
        .incremental_alter_configs(request)
        .await
        .unwrap();
    assert_eq!(altered.responses[0].error_code, 0);
    metadata
}

fn only(metadata: &MetadataService, request: &DescribeConfigsRequest) -> DescribeConfigsResult {
    let mut response = answer(metadata, request);
    assert_eq!(response.results.len(), 1);
    response.results.remove(0)
}

fn find<'a>(result: &'a DescribeConfigsResult, name: &str) -> &'a DescribeConfigsResourceResult {
    result
        .configs
        .iter()
        .find(|config| config.name.as_str() == name)
        .unwrap()
}

#[tokio::test]
async fn a_topics_value_comes_with_all_that_it_overrides() {
    let metadata = cluster().await;
    let result = only(&metadata, &ask(TOPIC, "t", Some(&["retention.ms"])));
    assert_eq!((result.error_code, result.configs.len()), (0, 1));
    let config = &result.configs[0];
    assert_eq!(
        (
            config.value.as_ref().unwrap().as_str(),
            config.config_source
        ),
        ("5000", 1)
    );
    let synonyms: Vec<_> = config
        .synonyms
        .iter()
        .map(|synonym| {
            (
                synonym.name.as_str(),
                synonym.value.as_ref().map(|value| value.as_str()),
                synonym.source,
            )
        })
        .collect();
    assert_eq!(
        synonyms,
        [
            ("retention.ms", Some("5000"), 1),
            ("log.retention.ms", Some("7000"), 3),
            ("log.retention.hours", Some("1"), 4),
            ("log.retention.hours", Some("168"), 5),
        ]
    );
}

#[tokio::test]
async fn what_was_set_by_another_name_alone_looks_like_a_default() {
    let metadata = service(&[("log.roll.hours", "2")]);
    let topic = CreatableTopic::default()
        .with_name(TopicName(text("t")))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]);
    metadata.controller.create_topics(request).await.unwrap();
    for (kind, name, key) in [(TOPIC, "t", "segment.ms"), (BROKER, "1", "log.roll.ms")] {
        let result = only(&metadata, &ask(kind, name, Some(&[key])));
        let config = &result.configs[0];
        assert_eq!(
            (
                config.value.as_ref().unwrap().as_str(),
                config.config_source
            ),
            ("7200000", 5)
        );
        assert!(config.synonyms.is_empty());
    }
}

#[tokio::test]
async fn null_and_empty_lists_of_keys_ask_for_all() {
    let metadata = cluster().await;
    for keys in [None, Some(&[][..])] {
        let topic = only(&metadata, &ask(TOPIC, "t", keys));
        assert_eq!(topic.configs.len(), TOPIC_KEYS.len());
        let broker = only(&metadata, &ask(BROKER, "1", keys));
        assert_eq!(broker.configs.len(), KEYS.len());
    }
    assert!(
        only(&metadata, &ask(TOPIC, "t", Some(&["nope"])))
            .configs
            .is_empty()
    );
}

#[tokio::test]
async fn a_broker_tells_types_documentation_and_what_can_be_changed_but_no_secret() {
    let metadata = cluster().await;
    let request = ask(BROKER, "1", None);
    let result = only(
        &metadata,
        &request
            .clone()
            .with_include_documentation(true)
            .with_include_synonyms(false),
    );
    let node_id = find(&result, "node.id");
    assert_eq!(
        (
            node_id.read_only,
            node_id.config_type,
            node_id.config_source
        ),
        (true, 3, 5)
    );
    assert!(!node_id.documentation.as_ref().unwrap().is_empty());
    let retention = find(&result, "log.retention.ms");
    assert_eq!((retention.read_only, retention.config_source), (false, 3));
    assert!(retention.synonyms.is_empty());
    let secret = find(&result, "ssl.key.password");
    assert_eq!((secret.is_sensitive, &secret.value), (true, &None));
    assert!(!format!("{:?}", only(&metadata, &request)).contains("s3cret"));
    assert_eq!(
        find(&only(&metadata, &request), "node.id").documentation,
        None
    );
}

#[tokio::test]
async fn the_defaults_of_all_brokers_are_only_those_that_were_set() {
    let metadata = cluster().await;
    let result = only(&metadata, &ask(BROKER, "", None));
    assert_eq!(result.configs.len(), 1);
    let config = &result.configs[0];
    assert_eq!(
        (
            config.name.as_str(),
            config.value.as_ref().unwrap().as_str(),
            config.config_source
        ),
        ("log.retention.ms", "7000", 3)
    );
    assert_eq!(config.synonyms.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_described_has_its_error() {
    let metadata = cluster().await;
    let table = [
        (TOPIC, "none", 3, None),
        (
            TOPIC,
            "a b",
            17,
            Some(
                "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
            ),
        ),
        (
            BROKER,
            "7",
            42,
            Some("Unexpected broker id, expected 1 or empty string, but received 7"),
        ),
        (
            BROKER,
            "x",
            42,
            Some("Broker id must be an integer, but it is: x"),
        ),
        (8, "1", 42, Some("Unsupported resource type: 8")),
    ];
    for (resource_type, name, code, message) in table {
        let result = only(&metadata, &ask(resource_type, name, None));
        let found = result
            .error_message
            .as_ref()
            .map(|message| message.as_str());
        assert_eq!(
            (
                result.error_code,
                found,
                result.resource_type,
                result.resource_name.as_str()
            ),
            (code, message, resource_type, name)
        );
        assert!(result.configs.is_empty());
    }
}
