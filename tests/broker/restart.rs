//! What a clean stop leaves is there again.

use ottla_tests::TestBroker;
use ottla_tests::records;

#[tokio::test]
async fn topics_records_and_ids_survive_a_restart() {
    let mut broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client
        .create_topic("kept", 3, &[("segment.bytes", "2000000")])
        .await;
    for round in 0..3 {
        for partition in 0..3 {
            let produced = client
                .produce("kept", partition, records::batch(&["a", "b"]))
                .await;
            assert_eq!((produced.error_code, produced.base_offset), (0, 2 * round));
        }
        broker.restart().await;
        client = broker.client().await;
        for partition in 0..3 {
            let data = client.fetch("kept", partition, 0, 1 << 20).await;
            assert_eq!(data.high_watermark, 2 * (round + 1));
            assert_eq!(
                records::values(&data.records.unwrap()).len() as i64,
                2 * (round + 1)
            );
        }
    }
}

#[tokio::test]
async fn one_directory_serves_one_process() {
    let broker = TestBroker::start().await;
    let properties = [
        ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned()),
        ("ottla.http.listener".to_owned(), String::new()),
        (
            "log.dirs".to_owned(),
            broker.data_dir().display().to_string(),
        ),
    ];
    let config = ottla_broker::config::BrokerConfig::with_overrides(
        properties
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str())),
    )
    .unwrap();
    let error = ottla_broker::broker::RunningBroker::start(config)
        .await
        .expect_err("the directory is taken");
    assert!(
        error.to_string().contains(&std::process::id().to_string()),
        "names the owner: {error}"
    );
}
