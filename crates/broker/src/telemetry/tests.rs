use super::*;
use crate::clock::SystemClock;

#[test]
fn what_a_collector_writes_is_on_the_page() {
    struct One;
    impl Collect for One {
        fn collect(&self, page: &mut Page) {
            page.whole(Name::LeaderCount, &[], 5);
            page.whole(Name::LogSize, &["a", "0"], 6);
        }
    }
    let telemetry = Telemetry::new(&BrokerConfig::default(), Arc::new(SystemClock));
    telemetry.add(Arc::new(One));
    let text = telemetry.render(true);
    assert!(
        text.contains("leadercount 5\n")
            && text.contains("kafka_log_log_size{topic=\"a\",partition=\"0\"} 6\n")
    );
    assert!(!telemetry.render(false).contains("kafka_log_log_size"));
    assert!(text.contains(&format!(
        "ottla_build_info{{version=\"{}\"}} 1",
        env!("CARGO_PKG_VERSION")
    )));
}
