//! ListOffsets: ends, and records by timestamp.

use ottla_tests::TestBroker;
use ottla_tests::records::{self, Codec};

#[tokio::test]
async fn timestamps_find_the_exact_record_in_every_codec() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    for codec in Codec::ALL {
        let topic = format!("t-{codec:?}");
        client.create_topic(&topic, 1, &[]).await;
        client
            .produce(
                &topic,
                0,
                records::compressed_at(codec, &[(100, "a"), (300, "b"), (200, "c")]),
            )
            .await;
        client
            .produce(
                &topic,
                0,
                records::compressed_at(codec, &[(400, "d"), (400, "e")]),
            )
            .await;
        let cases = [
            (0, 0, 100),
            (100, 0, 100),
            (101, 1, 300),
            (300, 1, 300),
            (301, 3, 400),
            (400, 3, 400),
            (401, -1, -1),
        ];
        for (wanted, offset, timestamp) in cases {
            let found = client.list_offset(&topic, 0, wanted).await;
            assert_eq!(
                (found.error_code, found.offset, found.timestamp),
                (0, offset, timestamp),
                "{codec:?} at {wanted}"
            );
        }
        let latest = client.list_offset(&topic, 0, -1).await;
        assert_eq!((latest.offset, latest.timestamp), (5, -1));
        assert_eq!(client.list_offset(&topic, 0, -2).await.offset, 0);
        let max = client.list_offset(&topic, 0, -3).await;
        assert_eq!((max.offset, max.timestamp), (3, 400));
        assert_eq!(client.list_offset(&topic, 0, -4).await.offset, 0);
        let tiered = client.list_offset(&topic, 0, -5).await;
        assert_eq!((tiered.error_code, tiered.offset), (0, -1));
        assert_eq!(
            client.list_offset(&topic, 0, -6).await.error_code,
            35,
            "UNSUPPORTED_VERSION"
        );
        assert_eq!(client.list_offset(&topic, 9, -1).await.error_code, 3);
    }
}

#[tokio::test]
async fn a_leader_epoch_ends_where_the_next_begins() {
    let mut broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    // An epoch without records yet is the leader's own.
    assert_eq!(client.epoch_end("t", 0, -1, 0).await, (0, 0, 0));
    client
        .produce("t", 0, records::batch(&["a", "b", "c"]))
        .await;
    broker.restart().await;
    client = broker.client().await;
    let now = client.list_offset("t", 0, -1).await.leader_epoch;
    assert!(now > 0, "a restart begins a new epoch");
    // Nothing has been appended in the new epoch: both end at the end of the log.
    assert_eq!(client.epoch_end("t", 0, now, 0).await, (0, 0, 3));
    assert_eq!(client.epoch_end("t", 0, now, now).await, (0, now, 3));
    client.produce("t", 0, records::batch(&["d"])).await;
    for (current, asked, expected) in [
        (now, 0, (0, 0, 3)),
        (-1, now, (0, now, 4)),
        (now, now + 1, (0, -1, -1)),
        (now, -1, (0, -1, -1)),
        (now - 1, 0, (74, -1, -1)),
        (now + 1, 0, (75, -1, -1)),
    ] {
        let found = client.epoch_end("t", 0, current, asked).await;
        assert_eq!(found, expected, "epoch {asked} asked in {current}");
    }
    assert_eq!(client.epoch_end("t", 9, -1, 0).await, (3, -1, -1));
    assert_eq!(client.epoch_end("none", 0, -1, 0).await, (3, -1, -1));
}
