//! What a client does shows in the metrics of a running broker.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::sync::Arc;

use bytes::Bytes;
use ottla_broker::broker::RunningBroker;
use ottla_broker::config::BrokerConfig;
use ottla_broker::telemetry::Telemetry;
use ottla_broker::telemetry::catalogue::CATALOGUE;
use ottla_protocol::api as wire;
use ottla_protocol::ids::Timestamp;
use ottla_protocol::kafka_protocol::protocol::{Request, StrBytes};
use ottla_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use ottla_protocol::messages::create_topics_request::CreatableTopic;
use ottla_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{
    AlterClientQuotasRequest, CreateTopicsRequest, DeleteRecordsRequest, FetchRequest,
    FindCoordinatorRequest, MetadataRequest, OffsetCommitRequest, ProduceRequest, TopicName,
};
use ottla_protocol::record::BatchBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn call<R: Request>(stream: &mut TcpStream, version: i16, request: &R) -> R::Response {
    let frame = wire::encode_request(version, 1, "test", request).unwrap();
    stream.write_all(&frame).await.unwrap();
    let mut answer = vec![0; usize::try_from(stream.read_i32().await.unwrap()).unwrap()];
    stream.read_exact(&mut answer).await.unwrap();
    wire::decode_response::<R>(&mut Bytes::from(answer), version)
        .unwrap()
        .1
}

fn topic(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn produce(records: Bytes) -> ProduceRequest {
    let partition = PartitionProduceData::default()
        .with_index(0)
        .with_records(Some(records));
    let topic = TopicProduceData::default()
        .with_name(topic("t"))
        .with_partition_data(vec![partition]);
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(1000)
        .with_topic_data(vec![topic])
}

fn fetch(offset: i64, max_wait_ms: i32) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(topic("t"))
        .with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_replica_id((-1).into())
        .with_session_epoch(-1)
        .with_topics(vec![topic]);
    request
        .with_max_bytes(1 << 20)
        .with_min_bytes(1)
        .with_max_wait_ms(max_wait_ms)
}

/// Commits offset 1 of `t-0` as an admin client does.
/// A quota on what the clients without one of their own send, which nobody reaches.
async fn limit_all_clients(stream: &mut TcpStream) {
    let all = EntityData::default()
        .with_entity_type(StrBytes::from_static_str("client-id"))
        .with_entity_name(None);
    let rate = OpData::default()
        .with_key(StrBytes::from_static_str("producer_byte_rate"))
        .with_value(1e12);
    let entry = EntryData::default()
        .with_entity(vec![all])
        .with_ops(vec![rate]);
    let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
    let altered = call(stream, 1, &request).await;
    assert_eq!(altered.entries[0].error_code, 0);
}

async fn commit(stream: &mut TcpStream) {
    let group = StrBytes::from_static_str("g");
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![group.clone()]);
    call(stream, 4, &find).await;
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(1);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic("t"))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group.into())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    loop {
        let answer = call(stream, 8, &request).await;
        match answer.topics[0].partitions[0].error_code {
            0 => return,
            // COORDINATOR_LOAD_IN_PROGRESS passes.
            code => assert_eq!(code, 14),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_does_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let overrides = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("log.dirs", dir.path().to_str().unwrap()),
    ];
    let broker = RunningBroker::start(BrokerConfig::with_overrides(overrides).unwrap())
        .await
        .unwrap();
    let mut stream = TcpStream::connect(broker.addresses()[0].1).await.unwrap();

    let new = CreatableTopic::default()
        .with_name(topic("t"))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let created = call(
        &mut stream,
        7,
        &CreateTopicsRequest::default()
            .with_topics(vec![new])
            .with_timeout_ms(1000),
    )
    .await;
    assert_eq!(created.topics[0].error_code, 0);
    limit_all_clients(&mut stream).await;
    let mut batch = BatchBuilder::new();
    for value in ["a", "b", "c"] {
        batch.append(Timestamp(1), None, Some(value.as_bytes()));
    }
    let batch = batch.build().unwrap().to_bytes();
    call(&mut stream, 9, &produce(batch.clone())).await;
    let mut damaged = batch.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    call(&mut stream, 9, &produce(damaged.into())).await;
    call(&mut stream, 12, &fetch(0, 0)).await;
    call(&mut stream, 12, &fetch(3, 1)).await;
    call(&mut stream, 12, &fetch(99, 0)).await;

    commit(&mut stream).await;
    let text = page(broker.telemetry()).await;
    let lag = "kafka_consumergroup_lag{consumergroup=\"g\",topic=\"t\",partition=\"0\"} 2";
    assert!(text.lines().any(|found| found == lag), "{lag}\n{text}");
    let seconds =
        "kafka_consumergroup_lag_seconds{consumergroup=\"g\",topic=\"t\",partition=\"0\"} ";
    let seconds = text.lines().find_map(|line| line.strip_prefix(seconds));
    let seconds: f64 = seconds.unwrap().parse().unwrap();
    assert!(
        seconds > 50.0 * 365.0 * 86_400.0,
        "since 1970, not {seconds}"
    );
    let everything = DeleteRecordsPartition::default().with_offset(-1);
    let topic = DeleteRecordsTopic::default()
        .with_name(topic("t"))
        .with_partitions(vec![everything]);
    let delete = DeleteRecordsRequest::default().with_topics(vec![topic]);
    call(&mut stream, 2, &delete).await;

    // A request is counted after its response has been sent, so before the next one of the connection is read.
    call(&mut stream, 9, &MetadataRequest::default()).await;

    let text = page(broker.telemetry()).await;
    let size = batch.len();
    let listener = "{listener=\"PLAINTEXT\",networkProcessor=\"0\"}";
    for line in [
        "kafka_server_brokertopicmetrics_messagesin_total{topic=\"t\"} 3",
        &format!("kafka_server_brokertopicmetrics_bytesin_total{{topic=\"t\"}} {size}"),
        &format!("kafka_server_brokertopicmetrics_bytesout_total{{topic=\"t\"}} {size}"),
        "kafka_server_brokertopicmetrics_totalproducerequests_total{topic=\"t\"} 2",
        "kafka_server_brokertopicmetrics_failedproducerequests_total{topic=\"t\"} 1",
        "kafka_server_brokertopicmetrics_invalidmessagecrcrecords_total{topic=\"t\"} 1",
        "kafka_server_brokertopicmetrics_totalfetchrequests_total{topic=\"t\"} 3",
        "kafka_server_brokertopicmetrics_failedfetchrequests_total{topic=\"t\"} 1",
        "kafka_network_requestmetrics_requests_total{request=\"Produce\",version=\"9\"} 2",
        "kafka_network_requestmetrics_requests_total{request=\"Fetch\",version=\"12\"} 3",
        "kafka_network_requestmetrics_errors_total{request=\"Produce\",error=\"NONE\"} 1",
        "kafka_network_requestmetrics_errors_total{request=\"Produce\",error=\"CORRUPT_MESSAGE\"} 1",
        "kafka_network_requestmetrics_errors_total{request=\"Fetch\",error=\"OFFSET_OUT_OF_RANGE\"} 1",
        "kafka_network_requestmetrics_errors_total{request=\"CreateTopics\",error=\"NONE\"} 1",
        "kafka_log_log_logendoffset{topic=\"t\",partition=\"0\"} 3",
        "kafka_log_log_logstartoffset{topic=\"t\",partition=\"0\"} 3",
        "kafka_log_log_numlogsegments{topic=\"t\",partition=\"0\"} 1",
        &format!("kafka_log_log_size{{topic=\"t\",partition=\"0\"}} {size}"),
        "kafka_network_requestmetrics_errors_total{request=\"DeleteRecords\",error=\"NONE\"} 1",
        "kafka_topic_partition_leader{topic=\"t\",partition=\"0\"} 1",
        "kafka_controller_kafkacontroller_globaltopiccount 2",
        "kafka_server_replicamanager_underminisrpartitioncount 0",
        "kafka_server_kafkaserver_brokerstate 3",
        "kafka_consumergroup_current_offset{consumergroup=\"g\",topic=\"t\",partition=\"0\"} 1",
        "kafka_consumergroup_lag{consumergroup=\"g\",topic=\"t\",partition=\"0\"} 0",
        "kafka_consumergroup_lag_sum{consumergroup=\"g\",topic=\"t\"} 0",
        "kafka_consumergroup_members{consumergroup=\"g\"} 0",
        "kafka_coordinator_group_groupmetadatamanager_numgroupsempty 1",
        "kafka_coordinator_group_groupmetadatamanager_numoffsets 1",
        "kafka_server_group_coordinator_metrics_offset_commit_count 1",
        "kafka_server_group_coordinator_metrics_num_partitions{state=\"failed\"} 0",
        &format!("ottla_sendfile_bytes_total{{tls=\"false\"}} {size}"),
        &format!("kafka_server_socket_server_metrics_connection_count{listener} 1"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    for metric in CATALOGUE {
        assert!(
            text.contains(&format!("# TYPE {} ", metric.name)),
            "nobody writes {}",
            metric.name
        );
    }
    let remote = "kafka_network_requestmetrics_remotetimems_sum{request=\"Fetch\"} ";
    let waited = text
        .lines()
        .find_map(|line| line.strip_prefix(remote))
        .unwrap();
    assert!(
        waited.parse::<f64>().unwrap() >= 1.0,
        "the fetch at the end waited: {waited} ms"
    );
    drop(stream);
    broker.stop().await.unwrap();
}

/// The page of metrics; the groups answer for it on the runtime's threads.
async fn page(telemetry: &Arc<Telemetry>) -> String {
    let telemetry = Arc::clone(telemetry);
    let rendered = tokio::task::spawn_blocking(move || telemetry.render(true));
    rendered.await.unwrap()
}
