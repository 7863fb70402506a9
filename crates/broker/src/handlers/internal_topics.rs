//! The topics of the coordinators, which are created when first needed (`AutoTopicCreationManager`).

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::CreateTopicsRequest;
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};

use crate::broker::Broker;
use crate::coordinator::runtime::OFFSETS_TOPIC;
use crate::coordinator::transaction::coordinator::TRANSACTIONS_TOPIC;

/// Have the group coordinator started, with its topic.
///
/// # Errors
/// COORDINATOR_NOT_AVAILABLE when the topic cannot be created.
pub async fn start_groups(broker: &Broker) -> Result<(), ResponseError> {
    if broker.groups().start() {
        return Ok(());
    }
    let settings = &broker.config().groups;
    let replicas = settings.offsets_topic_replication_factor;
    let topic = CreatableTopic::default()
        .with_name(StrBytes::from_static_str(OFFSETS_TOPIC).into())
        .with_num_partitions(settings.offsets_topic_num_partitions)
        .with_replication_factor(replicas)
        .with_configs(vec![
            config("cleanup.policy", "compact"),
            config("compression.type", "producer"),
            config("segment.bytes", settings.offsets_topic_segment_bytes),
        ]);
    create(broker, topic).await?;
    match broker.groups().start() {
        true => Ok(()),
        false => Err(ResponseError::CoordinatorNotAvailable),
    }
}

/// Have the transaction coordinator started, with its topic.
///
/// # Errors
/// COORDINATOR_NOT_AVAILABLE when the topic cannot be created.
pub async fn start_transactions(broker: &Broker) -> Result<(), ResponseError> {
    if broker.transactions().start() {
        return Ok(());
    }
    let settings = &broker.config().transactions;
    let topic = CreatableTopic::default()
        .with_name(StrBytes::from_static_str(TRANSACTIONS_TOPIC).into())
        .with_num_partitions(settings.transaction_state_log_num_partitions)
        .with_replication_factor(settings.transaction_state_log_replication_factor)
        .with_configs(vec![
            config("unclean.leader.election.enable", "false"),
            config("compression.type", "uncompressed"),
            config("cleanup.policy", "compact"),
            config(
                "min.insync.replicas",
                settings.transaction_state_log_min_isr,
            ),
            config(
                "segment.bytes",
                settings.transaction_state_log_segment_bytes,
            ),
        ]);
    create(broker, topic).await?;
    match broker.transactions().start() {
        true => Ok(()),
        false => Err(ResponseError::CoordinatorNotAvailable),
    }
}

fn config(name: &'static str, value: impl ToString) -> CreatableTopicConfig {
    CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str(name))
        .with_value(Some(StrBytes::from_string(value.to_string())))
}

/// Two clients may ask at once: the second is told that the topic exists, which is as good.
async fn create(broker: &Broker, topic: CreatableTopic) -> Result<(), ResponseError> {
    let brokers = broker.metadata().image().cluster.brokers().len();
    let brokers = i16::try_from(brokers).unwrap_or(i16::MAX);
    let replicas = topic.replication_factor.min(brokers);
    let name = topic.name.to_string();
    let topic = topic.with_replication_factor(replicas);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]);
    let response = broker.metadata().controller.create_topics(request).await;
    let response = response.map_err(|_| ResponseError::CoordinatorNotAvailable)?;
    let code = response.topics.first().map_or(0, |topic| topic.error_code);
    if code == 0 || code == ResponseError::TopicAlreadyExists.code() {
        return Ok(());
    }
    tracing::error!(code, topic = %name, "the topic of a coordinator cannot be created");
    Err(ResponseError::CoordinatorNotAvailable)
}
