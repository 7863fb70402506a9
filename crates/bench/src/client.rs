//! The plain Kafka client of the set-up phase: connect, create, fill and delete topics.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::api::{decode_response, encode_request};
use ottla_protocol::kafka_protocol::protocol::{Request, StrBytes};
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::{
    ApiVersionsRequest, BrokerId, CreateTopicsRequest, DeleteTopicsRequest, ListOffsetsRequest,
};

use crate::error::{BenchError, Doing, Result};
use crate::request::{CLIENT_ID, topic_name, unencodable};

/// No answer of the set-up phase takes longer.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A connection for requests one at a time.
pub(crate) struct Client {
    socket: TcpStream,
}

impl Client {
    /// Connects to `address`.
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let socket = connect(address)?;
        socket
            .set_read_timeout(Some(TIMEOUT))
            .doing("setting a timeout")?;
        Ok(Self { socket })
    }

    /// The connection itself.
    pub(crate) fn into_socket(self) -> TcpStream {
        self.socket
    }

    /// Asks for the API versions, as every client does first.
    pub(crate) fn api_versions(&mut self) -> Result<()> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name("ottla-bench".into())
            .with_client_software_version("1".into());
        refused("ApiVersions", self.call(3, &request)?.error_code)
    }

    /// Creates `topic` and returns when every partition has a leader.
    pub(crate) fn create_topic(&mut self, topic: &str, partitions: usize) -> Result<()> {
        self.create_topic_with(topic, partitions, &[])
    }

    /// The same with configurations, keys and values.
    pub(crate) fn create_topic_with(
        &mut self,
        topic: &str,
        partitions: usize,
        configs: &[(&str, &str)],
    ) -> Result<()> {
        let configs = configs.iter().map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_string((*key).into()))
                .with_value(Some(StrBytes::from_string((*value).into())))
        });
        let wanted = CreatableTopic::default()
            .with_name(topic_name(topic))
            .with_num_partitions(partitions as i32)
            .with_replication_factor(1)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![wanted])
            .with_timeout_ms(10_000);
        for created in self.call(5, &request)?.topics {
            refused("CreateTopics", created.error_code)?;
        }
        self.await_leaders(topic, partitions)
    }

    /// Deletes `topic`.
    pub(crate) fn delete_topic(&mut self, topic: &str) -> Result<()> {
        let request = DeleteTopicsRequest::default()
            .with_topic_names(vec![topic_name(topic)])
            .with_timeout_ms(10_000);
        for deleted in self.call(5, &request)?.responses {
            refused("DeleteTopics", deleted.error_code)?;
        }
        Ok(())
    }

    /// Returns when every partition of `topic` answers.
    ///
    /// Apache Kafka answers CreateTopics before its brokers lead the partitions; ListOffsets is answered by a leader.
    pub(crate) fn await_leaders(&mut self, topic: &str, partitions: usize) -> Result<()> {
        let wanted = (0..partitions).map(|index| {
            ListOffsetsPartition::default()
                .with_partition_index(index as i32)
                .with_current_leader_epoch(-1)
                .with_timestamp(-1)
        });
        let topics = ListOffsetsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(wanted.collect());
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![topics]);
        for _ in 0..1000 {
            let answer = self.call(5, &request)?;
            let led = answer.topics.iter().flat_map(|topic| &topic.partitions);
            if led.filter(|partition| partition.error_code == 0).count() == partitions {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(BenchError::Server(format!(
            "topic {topic} has no leaders after 5 s"
        )))
    }

    /// Sends `request` and awaits its answer.
    pub(crate) fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        self.send(version, request)?;
        self.receive::<R>(version)
    }

    /// Sends `request`; [`Client::receive`] takes the answer.
    pub(crate) fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<()> {
        let frame = encode_request(version, 1, CLIENT_ID, request).map_err(unencodable)?;
        self.socket.write_all(&frame).doing("sending a request")
    }

    /// The answer to the oldest request that has none yet.
    pub(crate) fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response> {
        let mut prefix = [0; 4];
        self.socket
            .read_exact(&mut prefix)
            .doing("receiving a response")?;
        let mut body = vec![0; u32::from_be_bytes(prefix).min(64 << 20) as usize];
        self.socket
            .read_exact(&mut body)
            .doing("receiving a response")?;
        let (_, response) = decode_response::<R>(&mut Bytes::from(body), version)
            .map_err(|error| BenchError::Malformed(error.to_string()))?;
        Ok(response)
    }
}

/// A blocking socket without Nagle's delay.
pub(crate) fn connect(address: SocketAddr) -> Result<TcpStream> {
    let socket = TcpStream::connect(address).doing(format!("connecting to {address}"))?;
    socket.set_nodelay(true).doing("setting TCP_NODELAY")?;
    Ok(socket)
}

/// An error unless `code` is 0.
pub(crate) fn refused(api: &'static str, code: i16) -> Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(BenchError::Refused { api, code })
    }
}
