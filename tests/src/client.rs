//! A client of a few lines: one connection, requests as typed messages or as raw bytes.

use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use ottla_protocol::api as wire;
use ottla_protocol::ids::TopicId;
use ottla_protocol::kafka_protocol::protocol::{Request, StrBytes};
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::fetch_response::PartitionData;
use ottla_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use ottla_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::produce_response::PartitionProduceResponse;
use ottla_protocol::messages::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest response a test reads.
const MAX_RESPONSE: usize = 256 << 20;

/// One connection to a broker.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    next_id: i32,
}

impl Client {
    /// Connect.
    pub async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("the broker accepts");
        stream.set_nodelay(true).expect("a live socket");
        Self { stream, next_id: 1 }
    }

    /// Connect, if somebody listens.
    pub async fn try_connect(addr: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(addr).await.ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Self { stream, next_id: 1 })
    }

    /// Send a request and read its response.
    pub async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let id = self.send(version, request).await;
        self.receive::<R>(version, id).await
    }

    /// Send a request and read its response, if the broker lives to give it.
    pub async fn try_call<R: Request>(&mut self, version: i16, request: &R) -> Option<R::Response> {
        let id = self.next_id;
        self.next_id += 1;
        let frame =
            wire::encode_request(version, id, "ottla-test", request).expect("an encodable request");
        self.stream.write_all(&frame).await.ok()?;
        let mut frame = self.receive_raw().await?;
        let (got, response) =
            wire::decode_response::<R>(&mut frame, version).expect("a decodable response");
        assert_eq!(got, id, "responses come in the order of the requests");
        Some(response)
    }

    /// Send a request and do not wait. Gives back its correlation id.
    pub async fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        let id = self.next_id;
        self.next_id += 1;
        let frame =
            wire::encode_request(version, id, "ottla-test", request).expect("an encodable request");
        self.send_raw(&frame).await;
        id
    }

    /// Read the response to the request with that correlation id, which must be the next one.
    pub async fn receive<R: Request>(&mut self, version: i16, id: i32) -> R::Response {
        let mut frame = self
            .receive_raw()
            .await
            .expect("a response, not a closed connection");
        let (got, response) =
            wire::decode_response::<R>(&mut frame, version).expect("a decodable response");
        assert_eq!(got, id, "responses come in the order of the requests");
        assert!(
            !frame.has_remaining(),
            "{} bytes too many",
            frame.remaining()
        );
        response
    }

    /// Send bytes as they are.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        self.stream
            .write_all(bytes)
            .await
            .expect("the broker reads");
    }

    /// Close the sending half: no more requests come.
    pub async fn end_sending(&mut self) {
        self.stream.shutdown().await.expect("a live socket");
    }

    /// The next response without its length, or `None` when the broker has closed the connection.
    pub async fn receive_raw(&mut self) -> Option<Bytes> {
        let length = self.stream.read_u32().await.ok()? as usize;
        assert!(length <= MAX_RESPONSE, "a response of {length} bytes");
        let mut frame = BytesMut::zeroed(length);
        self.stream.read_exact(&mut frame).await.ok()?;
        Some(frame.freeze())
    }

    /// Create a topic and give back its id.
    pub async fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> TopicId {
        let configs = configs.iter().map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_string((*key).to_owned()))
                .with_value(Some(StrBytes::from_string((*value).to_owned())))
        });
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(10_000);
        let response = self.call(7, &request).await;
        let created = &response.topics[0];
        assert_eq!(created.error_code, 0, "{:?}", created.error_message);
        TopicId(created.topic_id)
    }

    /// Delete a topic.
    pub async fn delete_topic(&mut self, name: &str) {
        let request = DeleteTopicsRequest::default()
            .with_topic_names(vec![topic_name(name)])
            .with_timeout_ms(10_000);
        let response = self.call(5, &request).await;
        assert_eq!(response.responses[0].error_code, 0);
    }

    /// Set configs of a topic.
    pub async fn alter_topic(&mut self, name: &str, configs: &[(&str, &str)]) {
        let configs = configs.iter().map(|(key, value)| {
            AlterableConfig::default()
                .with_name(StrBytes::from_string((*key).to_owned()))
                .with_config_operation(0)
                .with_value(Some(StrBytes::from_string((*value).to_owned())))
        });
        let topic = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(StrBytes::from_string(name.to_owned()))
            .with_configs(configs.collect());
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![topic]);
        let response = self.call(1, &request).await;
        let altered = &response.responses[0];
        assert_eq!(altered.error_code, 0, "{:?}", altered.error_message);
    }

    /// Produce one partition's records with acks=all.
    pub async fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        records: Bytes,
    ) -> PartitionProduceResponse {
        let request = produce_request(topic, partition, records, -1);
        let mut response = self.call(9, &request).await;
        response.responses.remove(0).partition_responses.remove(0)
    }

    /// Fetch one partition without waiting.
    pub async fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        max_bytes: i32,
    ) -> PartitionData {
        let mut response = self
            .call(12, &fetch_request(topic, &[(partition, offset)], max_bytes))
            .await;
        assert_eq!(response.error_code, 0);
        response.responses.remove(0).partitions.remove(0)
    }

    /// Look one offset up.
    pub async fn list_offset(
        &mut self,
        topic: &str,
        partition: i32,
        timestamp: i64,
    ) -> ListOffsetsPartitionResponse {
        let query = ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![query]);
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_topics(vec![topic]);
        let mut response = self.call(9, &request).await;
        response.topics.remove(0).partitions.remove(0)
    }

    /// Error code, epoch and offset that OffsetForLeaderEpoch answers for `epoch`, asked by a client that takes
    /// `current` for the leader's.
    pub async fn epoch_end(
        &mut self,
        topic: &str,
        partition: i32,
        current: i32,
        epoch: i32,
    ) -> (i16, i32, i64) {
        let query = OffsetForLeaderPartition::default()
            .with_partition(partition)
            .with_current_leader_epoch(current)
            .with_leader_epoch(epoch);
        let topic = OffsetForLeaderTopic::default()
            .with_topic(topic_name(topic))
            .with_partitions(vec![query]);
        let request = OffsetForLeaderEpochRequest::default()
            .with_replica_id((-1).into())
            .with_topics(vec![topic]);
        let response = self.call(4, &request).await;
        let found = &response.topics[0].partitions[0];
        (found.error_code, found.leader_epoch, found.end_offset)
    }
}

/// The message type of a topic's name.
pub fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

/// A Produce request for one partition.
pub fn produce_request(topic: &str, partition: i32, records: Bytes, acks: i16) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(records));
    let topic = TopicProduceData::default()
        .with_name(topic_name(topic))
        .with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic])
}

/// A Fetch request that does not wait, for several partitions with their offsets.
pub fn fetch_request(topic: &str, partitions: &[(i32, i64)], max_bytes: i32) -> FetchRequest {
    let partitions = partitions.iter().map(|(index, offset)| {
        FetchPartition::default()
            .with_partition(*index)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(max_bytes)
    });
    let topic = FetchTopic::default()
        .with_topic(topic_name(topic))
        .with_partitions(partitions.collect());
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(max_bytes)
        .with_session_id(0)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}
