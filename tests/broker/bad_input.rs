//! Garbage and hostile frames: the one who sent them is cut off, everybody else is served.

use ottla_tests::TestBroker;
use ottla_tests::records;

/// Frames that make a decoder which trusts counts ask for hundreds of gigabytes.
fn killers() -> Vec<(&'static str, Vec<u8>)> {
    let frame = |key: i16, version: i16, body: &[u8]| {
        let mut bytes = Vec::new();
        // Client id null; from the flexible versions on an empty tag section follows.
        let flexible = matches!((key, version), (0, 9..) | (1, 12..) | (3, 9..) | (19, 5..));
        let header_len = 10 + usize::from(flexible);
        bytes.extend(((header_len + body.len()) as u32).to_be_bytes());
        bytes.extend(key.to_be_bytes());
        bytes.extend(version.to_be_bytes());
        bytes.extend([0, 0, 0, 1, 0xff, 0xff]);
        bytes.extend(flexible.then_some(0));
        bytes.extend(body);
        bytes
    };
    vec![
        (
            "metadata v1 with 2^31-1 topics",
            frame(3, 1, &[0x7f, 0xff, 0xff, 0xff]),
        ),
        ("metadata v9 of ones", frame(3, 9, &[0xff; 12])),
        (
            "produce v3 with 2^31-1 topics",
            frame(
                0,
                3,
                &[0xff, 0xff, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff],
            ),
        ),
        ("produce v9 of ones", frame(0, 9, &[0xff; 12])),
        ("fetch v12 of ones", frame(1, 12, &[0xff; 30])),
        ("create topics v5 of ones", frame(19, 5, &[0xff; 20])),
        ("nothing behind the header", frame(0, 9, &[])),
        (
            "HTTP",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
        (
            "TLS",
            [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[0x55; 200]].concat(),
        ),
        ("negative length", vec![0xff; 64]),
        ("empty frame", vec![0; 64]),
    ]
}

#[tokio::test]
async fn hostile_frames_close_their_connection_and_nothing_else() {
    let broker = TestBroker::start().await;
    let mut bystander = broker.client().await;
    bystander.create_topic("t", 1, &[]).await;
    for (what, bytes) in killers() {
        let mut attacker = broker.client().await;
        attacker.send_raw(&bytes).await;
        assert!(attacker.receive_raw().await.is_none(), "{what}");
        assert_eq!(
            bystander
                .produce("t", 0, records::batch(&["alive"]))
                .await
                .error_code,
            0,
            "{what}"
        );
    }
}
