use super::*;
use crate::clock::ManualClock;
use crate::metadata::record::{ClientQuotaRecord, EntityData, MetadataRecord};
use ottla_protocol::ids::Timestamp;

const CLIENT: QuotaClient<'_> = QuotaClient {
    user: "ANONYMOUS",
    client_id: "c",
};

struct Lab {
    quotas: Arc<ClientQuotas>,
    clock: Arc<ManualClock>,
    image: Arc<MetadataImage>,
}

impl Lab {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(1_000_000)));
        let settings = crate::config::BrokerConfig::with_overrides([]).unwrap();
        Self {
            quotas: Arc::new(ClientQuotas::new(&settings.quotas, clock.clone())),
            clock,
            image: Arc::default(),
        }
    }

    /// Publishes a quota, or that there is none any more.
    fn set(&mut self, entity: (&str, Option<&str>), key: &str, value: Option<f64>) {
        let record = ClientQuotaRecord {
            entity: vec![EntityData {
                entity_type: entity.0.to_owned(),
                entity_name: entity.1.map(str::to_owned),
            }],
            key: key.to_owned(),
            value: value.unwrap_or_default(),
            remove: value.is_none(),
        };
        let mut delta = MetadataDelta::new(Arc::clone(&self.image));
        delta.replay(&MetadataRecord::from(record)).unwrap();
        self.image = Arc::new(delta.image().clone());
        self.quotas.publish(&delta, &self.image);
    }

    fn limit(&self, kind: QuotaKind) -> Limit {
        self.quotas.limit(kind, &CLIENT).unwrap()
    }

    fn record(&self, kind: QuotaKind, value: f64) -> i32 {
        let now_ms = self.quotas.now_ms();
        self.quotas.record(&self.limit(kind), value, now_ms)
    }

    fn advance(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    fn tracked(&self, kind: QuotaKind) -> usize {
        lock(&self.quotas.sensors[kind as usize]).iter_mut().count()
    }
}

#[test]
fn without_quotas_there_is_nothing_to_record_in() {
    let mut lab = Lab::new();
    assert!(lab.quotas.index.load().is_none());
    assert!(lab.quotas.limit(QuotaKind::Produce, &CLIENT).is_none());
    lab.set(
        ("client-id", Some("other")),
        "producer_byte_rate",
        Some(1.0),
    );
    assert!(lab.quotas.is_set(QuotaKind::Produce) && !lab.quotas.is_set(QuotaKind::Fetch));
    assert!(lab.quotas.limit(QuotaKind::Produce, &CLIENT).is_none());
    assert_eq!(lab.tracked(QuotaKind::Produce), 0);
    lab.set(("client-id", Some("other")), "producer_byte_rate", None);
    assert!(lab.quotas.index.load().is_none());
}

#[test]
fn a_changed_quota_holds_at_once_for_what_was_used_before() {
    let mut lab = Lab::new();
    lab.set(("client-id", Some("c")), "producer_byte_rate", Some(1000.0));
    assert_eq!(lab.record(QuotaKind::Produce, 10_000.0), 0);
    assert_eq!(lab.record(QuotaKind::Produce, 2000.0), 2000);
    // 12,000 in 10 s, and 600 a second are allowed: they take 20 s.
    lab.set(("client-id", None), "producer_byte_rate", Some(1.0));
    lab.set(("client-id", Some("c")), "producer_byte_rate", Some(600.0));
    assert_eq!(lab.record(QuotaKind::Produce, 0.0), 10_000);
    lab.set(("client-id", Some("c")), "producer_byte_rate", None);
    assert_eq!(
        lab.record(QuotaKind::Produce, 0.0),
        11_990_000,
        "the default"
    );
    assert_eq!(lab.tracked(QuotaKind::Produce), 1);
    // By user they share another measure.
    lab.set(("user", None), "producer_byte_rate", Some(600.0));
    assert_eq!(lab.tracked(QuotaKind::Produce), 0);
    assert_eq!(lab.record(QuotaKind::Produce, 6000.0), 0);
}

#[test]
fn what_was_not_used_is_taken_back() {
    let mut lab = Lab::new();
    lab.set(
        ("user", Some("ANONYMOUS")),
        "consumer_byte_rate",
        Some(100.0),
    );
    assert_eq!(lab.record(QuotaKind::Fetch, 900.0), 0);
    assert_eq!(lab.record(QuotaKind::Fetch, 200.0), 1000);
    let (limit, now_ms) = (lab.limit(QuotaKind::Fetch), lab.quotas.now_ms());
    lab.quotas.unrecord(&limit, 200.0, now_ms);
    assert_eq!(lab.record(QuotaKind::Fetch, 100.0), 0);
    assert_eq!(lab.quotas.most_at_once(&limit), 1000.0);
}

#[test]
fn requests_are_held_back_for_a_window_at_most() {
    let mut lab = Lab::new();
    lab.set(("client-id", None), "request_percentage", Some(1.0));
    // Half a second of a thread is 50 of the 10 percent-seconds there are, which took 40 s.
    assert_eq!(lab.record(QuotaKind::Request, 10.0), 0);
    assert_eq!(lab.record(QuotaKind::Request, 0.5), 500);
    assert_eq!(lab.record(QuotaKind::Request, 40.0), 1000);
}

#[test]
fn a_strict_mutation_quota_refuses_what_others_only_slow_down() {
    let mut lab = Lab::new();
    lab.set(
        ("client-id", Some("c")),
        "controller_mutation_rate",
        Some(2.0),
    );
    let request = |strict| lab.quotas.mutations(&CLIENT, strict).unwrap();
    let strict = request(true);
    // 22 tokens: what finds any takes all it needs and is not held back for it.
    assert!(strict.take(20) && strict.take(5));
    assert_eq!(strict.throttle_ms(), 0);
    assert!(!strict.take(1));
    assert_eq!(strict.throttle_ms(), 1500);
    lab.advance(600);
    assert_eq!(strict.throttle_ms(), 900, "time goes by until it is asked");
    let permissive = request(false);
    assert!(permissive.take(1));
    assert_eq!(permissive.throttle_ms(), 1400);
    lab.advance(1400);
    let next = request(true);
    assert!(next.take(1), "refilled to zero");
    assert_eq!((next.throttle_ms(), permissive.throttle_ms()), (0, 0));
}

#[test]
fn an_address_opens_so_many_connections_and_others_are_not_counted() {
    let mut lab = Lab::new();
    let ip: IpAddr = "10.0.0.1".parse().unwrap();
    assert_eq!(lab.quotas.connection_opened(ip), None);
    lab.set(
        ("ip", Some("10.0.0.1")),
        "connection_creation_rate",
        Some(2.9),
    );
    let opened = |ip| lab.quotas.connection_opened(ip);
    for _ in 0..20 {
        assert_eq!(opened(ip), None);
    }
    // The 21st at 2 a second: half a second too early; it is not counted.
    let wait = Some(Duration::from_millis(500));
    assert_eq!((opened(ip), opened(ip)), (wait, wait));
    assert_eq!(opened("10.0.0.2".parse().unwrap()), None);
    lab.advance(11_000);
    assert_eq!(opened(ip), None);
    lab.set(("ip", Some("10.0.0.1")), "connection_creation_rate", None);
    assert_eq!(lock(&lab.quotas.connections).iter_mut().count(), 0);
}

#[test]
fn the_busiest_show_with_rate_and_throttle_time() {
    use crate::telemetry::{Collect, Page};
    let mut lab = Lab::new();
    lab.set(("client-id", None), "producer_byte_rate", Some(100.0));
    for number in 0..150 {
        let client_id = format!("c{number}");
        let client = QuotaClient {
            user: "ANONYMOUS",
            client_id: &client_id,
        };
        let limit = lab.quotas.limit(QuotaKind::Produce, &client).unwrap();
        lab.quotas.record(&limit, 10.0 * f64::from(number), 0);
        lab.quotas.throttled(
            QuotaKind::Produce,
            &client,
            Duration::from_millis(number as u64),
        );
    }
    let mut page = Page::new(Duration::ZERO, Timestamp(0), true);
    lab.quotas.collect(&mut page);
    let text = page.finish();
    let labels = "{resource=\"Produce\",user=\"\",clientId=\"c149\"}";
    for line in [
        format!("kafka_server_quota_byte_rate{labels} 149"),
        format!("kafka_server_quota_throttle_time{labels} 149"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert_eq!(text.matches("kafka_server_quota_byte_rate{").count(), 100);
}
