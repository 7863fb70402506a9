use std::collections::BTreeSet;

use super::catalogue::CATALOGUE;
use super::*;
use crate::clock::SystemClock;

/// All `.json` and `.yml` files under `grafana/`.
fn dashboards_and_rules() -> Vec<(String, String)> {
    let mut folders = vec![std::path::PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../grafana"
    ))];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|extension| extension.to_str()) {
                None => folders.push(path),
                Some("json" | "yml") => {
                    files.push((
                        path.display().to_string(),
                        std::fs::read_to_string(&path).unwrap(),
                    ));
                }
                Some(_) => {}
            }
        }
    }
    files
}

/// Words that look like metric names.
fn metric_names(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| {
            ["kafka_", "ottla_", "process_"]
                .iter()
                .any(|prefix| word.starts_with(prefix))
        })
        .collect()
}

#[test]
fn dashboards_and_alerts_use_only_metrics_that_exist() {
    let known: BTreeSet<&str> = CATALOGUE.iter().map(|metric| metric.name).collect();
    let files = dashboards_and_rules();
    assert!(
        files.iter().any(|(path, _)| path.ends_with(".json")),
        "no dashboard found"
    );
    for (path, text) in &files {
        for name in metric_names(text) {
            let base = name
                .strip_suffix("_sum")
                .or_else(|| name.strip_suffix("_count"))
                .unwrap_or(name);
            assert!(
                known.contains(name) || known.contains(base),
                "{path} uses {name}"
            );
        }
    }
}

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
