//! Limits of fetches: every record arrives exactly once, whatever the limits and wherever segments end.

use ottla_tests::TestBroker;
use ottla_tests::client::fetch_request;
use ottla_tests::records;

/// A topic whose batches of changing size fill many small segments. Gives back the count of records.
async fn fill(client: &mut ottla_tests::client::Client, topic: &str, batches: usize) -> i64 {
    client
        .create_topic(
            topic,
            1,
            &[
                ("segment.bytes", "1048576"),
                ("max.message.bytes", "400000"),
            ],
        )
        .await;
    let mut count = 0;
    for i in 0..batches {
        let value = format!("{i:06}").repeat(1 + (i * 7919) % 15_000);
        let values = vec![value.as_str(); 1 + i % 4];
        assert_eq!(
            client
                .produce(topic, 0, records::batch(&values))
                .await
                .error_code,
            0
        );
        count += values.len() as i64;
    }
    count
}

#[tokio::test]
async fn reads_run_on_across_segments_at_any_limit() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let count = fill(&mut client, "t", 120).await;
    let segments = std::fs::read_dir(broker.data_dir().join("t-0")).unwrap();
    let segments = segments
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .path()
                .extension()
                .is_some_and(|e| e == "log")
        })
        .count();
    assert!(segments > 4, "{segments} segments");
    for max_bytes in [1, 61, 4096, 100_000, 1_000_003, 3 << 20, i32::MAX] {
        let mut next = 0;
        while next < count {
            let data = client.fetch("t", 0, next, max_bytes).await;
            let got = records::offsets(data.records.as_ref().unwrap());
            assert!(!got.is_empty(), "progress at {next} with {max_bytes}");
            assert!(got[0] <= next, "the whole batch that holds the offset");
            let new: Vec<i64> = got.into_iter().filter(|offset| *offset >= next).collect();
            assert_eq!(
                new,
                (next..next + new.len() as i64).collect::<Vec<_>>(),
                "no record skipped at {max_bytes}"
            );
            next += new.len() as i64;
        }
    }
}

#[tokio::test]
async fn a_response_is_cut_and_not_the_connection() {
    let broker = TestBroker::start_with(&[("num.partitions", "150")]).await;
    let mut client = broker.client().await;
    client.create_topic("wide", 150, &[]).await;
    let value = "x".repeat(50_000);
    let batch = records::batch(&[&value]);
    for partition in 0..150 {
        client.produce("wide", partition, batch.clone()).await;
    }
    let all: Vec<(i32, i64)> = (0..150).map(|partition| (partition, 0)).collect();
    let response = client
        .call(12, &fetch_request("wide", &all, 1_000_000))
        .await;
    let sizes: Vec<usize> = response.responses[0]
        .partitions
        .iter()
        .map(|p| p.records.as_ref().unwrap().len())
        .collect();
    assert_eq!(sizes.len(), 150);
    assert!(sizes.iter().sum::<usize>() <= 1_000_000);
    assert!(
        sizes[..10].iter().all(|size| *size > 0),
        "limits hold in the order of the request: {sizes:?}"
    );
}

#[tokio::test]
async fn the_first_batch_comes_whole_above_every_limit() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 2, &[]).await;
    let large = "y".repeat(900_000);
    for partition in [0, 1] {
        client
            .produce("t", partition, records::batch(&[&large]))
            .await;
    }
    let response = client
        .call(12, &fetch_request("t", &[(0, 0), (1, 0)], 10))
        .await;
    let [first, second] = &response.responses[0].partitions[..] else {
        panic!("two partitions")
    };
    assert_eq!(records::values(first.records.as_ref().unwrap()), [large]);
    assert_eq!(second.records.as_ref().unwrap().len(), 0);
}
