use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::clock::SystemClock;
use crate::telemetry::BrokerState;

struct Server {
    address: SocketAddr,
    telemetry: Arc<Telemetry>,
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<()>,
}

async fn start(overrides: &[(&str, &str)]) -> Server {
    let config = Arc::new(BrokerConfig::with_overrides(overrides.iter().copied()).unwrap());
    let telemetry = Arc::new(Telemetry::new(&config, Arc::new(SystemClock)));
    let server = HttpServer::bind(&Endpoint {
        host: "127.0.0.1".into(),
        port: 0,
    })
    .await
    .unwrap();
    let (address, shutdown) = (server.local_addr().unwrap(), Shutdown::new());
    let context = HttpContext {
        telemetry: Arc::clone(&telemetry),
        config,
    };
    let task = tokio::spawn(server.serve(context, shutdown.clone()));
    Server {
        address,
        telemetry,
        shutdown,
        task,
    }
}

impl Server {
    /// Sends raw bytes and reads until the server closes.
    async fn send(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may close before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn get(&self, path: &str) -> (String, String) {
        let answer = self
            .send(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
            .await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
    }

    async fn stop(self) {
        self.shutdown.request();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn a_broker_is_alive_before_it_is_ready() {
    let server = start(&[]).await;
    assert_eq!(server.get("/livez").await, ("200".into(), "ok\n".into()));
    let (status, body) = server.get("/readyz").await;
    assert_eq!(status, "503");
    assert!(
        body.contains("[-]broker failed: the broker is not running"),
        "{body}"
    );
    server.telemetry.set_state(BrokerState::Running);
    assert_eq!(server.get("/readyz").await, ("200".into(), "ok\n".into()));
    server
        .telemetry
        .health
        .add("log directories", || Err("/data failed".into()));
    let (status, body) = server.get("/healthz?verbose").await;
    assert_eq!(
        (status.as_str(), body.as_str()),
        (
            "503",
            "[+]broker ok\n[-]log directories failed: /data failed\nhealthz check failed\n"
        )
    );
    server.stop().await;
}

#[tokio::test]
async fn metrics_are_served_in_prometheus_format() {
    let server = start(&[]).await;
    server.telemetry.topics.topic("a").batch_appended(2, 20);
    server.telemetry.set_state(BrokerState::Running);
    let (status, body) = server.get("/metrics").await;
    assert_eq!(status, "200");
    for line in [
        "kafka_server_brokertopicmetrics_messagesin_total{topic=\"a\"} 2",
        "kafka_server_kafkaserver_brokerstate 3",
        "# TYPE process_resident_memory_bytes gauge",
        "# TYPE kafka_network_socketserver_networkprocessoravgidle_percent gauge",
    ] {
        assert!(body.lines().any(|found| found == line), "{line}\n{body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_other_pages_tell_what_this_is_and_keep_secrets() {
    let server = start(&[("ssl.keystore.password", "s3cret"), ("num.partitions", "7")]).await;
    let (status, body) = server.get("/config").await;
    assert_eq!(status, "200");
    assert!(
        body.contains("num.partitions=7") && body.contains("ssl.keystore.password=[hidden]"),
        "{body}"
    );
    assert!(!body.contains("s3cret"));
    assert!(
        server
            .get("/version")
            .await
            .1
            .contains(env!("CARGO_PKG_VERSION"))
    );
    assert!(server.get("/").await.1.contains("127.0.0.1:9092"));
    assert_eq!(server.get("/nothing").await.0, "404");
    server.stop().await;
}

#[tokio::test]
async fn bad_requests_hurt_nobody() {
    let server = start(&[]).await;
    let huge_header = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(100_000));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(1000));
    let table: [(&[u8], &str); 5] = [
        (b"\x00\x00\x00\x20 not http at all \r\n\r\n", "400"),
        (b"POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999999\r\nconnection: close\r\n\r\n", "405"),
        (huge_header.as_bytes(), "431"),
        (many_headers.as_bytes(), "431"),
        (b"GET /../../etc/passwd HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "404"),
    ];
    for (bytes, status) in table {
        let answer = server.send(bytes).await;
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        assert_eq!(
            answer.split(' ').nth(1),
            Some(status),
            "{shown:?}: {answer}"
        );
    }
    assert_eq!(server.get("/livez").await.0, "200");
    server.stop().await;
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_their_turn() {
    let server = start(&[]).await;
    let mut idle = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    let leave = async { drop(idle) };
    let (answer, ()) = tokio::join!(server.get("/livez"), leave);
    assert_eq!(answer.0, "200");
    server.stop().await;
}
