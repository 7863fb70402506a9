//! Harness for tests of a whole broker: start one on port 0 in a directory of its own, and talk raw protocol to it.

pub mod client;
pub mod groups;
pub mod process;
pub mod records;
pub mod transactions;
pub mod transfers;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use ottla_broker::broker::RunningBroker;
use ottla_broker::clock::SystemClock;
use ottla_broker::config::BrokerConfig;
use ottla_broker::shutdown::Shutdown;
use ottla_broker::telemetry::Telemetry;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::AlterClientQuotasRequest;
use ottla_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use ottla_storage::{Fs, OsFs};
use tempfile::TempDir;

use crate::client::Client;

/// A broker in this process, listening on a free loopback port.
pub struct TestBroker {
    running: Option<RunningBroker>,
    fs: Arc<dyn Fs>,
    shutdown: Shutdown,
    overrides: Vec<(String, String)>,
    dir: TempDir,
}

impl std::fmt::Debug for TestBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestBroker")
            .field("running", &self.running)
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl TestBroker {
    /// Start with the defaults.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Start with these properties over the defaults.
    pub async fn start_with(overrides: &[(&str, &str)]) -> Self {
        Self::start_on(Arc::new(OsFs), overrides).await
    }

    /// The same on a file system that may fail.
    pub async fn start_on(fs: Arc<dyn Fs>, overrides: &[(&str, &str)]) -> Self {
        let overrides = overrides
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let mut broker = Self {
            running: None,
            fs,
            shutdown: Shutdown::new(),
            overrides,
            dir: TempDir::new().expect("a temporary directory"),
        };
        broker.run().await;
        broker
    }

    /// Stop as SIGTERM does, and start again on the same data.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.run().await;
    }

    /// The same for a broker with a failed data directory, which is not stopped cleanly.
    pub async fn restart_after_failure(&mut self) {
        let running = self.running.take().expect("the broker runs");
        running.stop().await.expect_err("not a clean stop");
        self.run().await;
    }

    /// Stop as SIGTERM does.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await.expect("a clean stop");
        }
    }

    /// Wait until the broker asks for its own stop, and stop it; what came of that.
    pub async fn stopped_by_itself(&mut self) -> std::io::Result<()> {
        self.shutdown.requested().await;
        let running = self.running.take().expect("the broker runs");
        running.stop().await
    }

    /// Value of a series, as the metrics page names it, labels and all.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let telemetry = Arc::clone(self.running().telemetry());
        // The groups answer for the page on this thread.
        let rendered = tokio::task::spawn_blocking(move || telemetry.render(true));
        let page = rendered.await.expect("a page of metrics");
        let line = page.lines().find_map(|line| line.strip_prefix(series))?;
        line.trim().parse().ok()
    }

    /// Set a quota for an entity of one part, or remove it; a name of `None` is the default. It holds when this returns.
    pub async fn set_quota(&self, entity: (&str, Option<&str>), key: &str, value: Option<f64>) {
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let part = EntityData::default()
            .with_entity_type(text(entity.0))
            .with_entity_name(entity.1.map(text));
        let op = OpData::default()
            .with_key(text(key))
            .with_value(value.unwrap_or_default())
            .with_remove(value.is_none());
        let entry = EntryData::default()
            .with_entity(vec![part])
            .with_ops(vec![op]);
        let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
        let controller = &self.running().metadata().controller;
        let response = controller.alter_client_quotas(request).await;
        let answered = &response.expect("a controller").entries[0];
        assert_eq!(answered.error_code, 0, "{:?}", answered.error_message);
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.running().addresses()[0].1
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    /// A new connection.
    pub async fn client(&self) -> Client {
        Client::connect(self.addr()).await
    }

    fn running(&self) -> &RunningBroker {
        self.running.as_ref().expect("the broker runs")
    }

    /// Start after [`Self::stop`], on the same data.
    pub async fn run(&mut self) {
        self.run_loading().await;
        self.loaded().await;
    }

    /// Wait until all partitions are there.
    pub async fn loaded(&self) {
        self.running().loaded().await;
    }

    /// Whether the broker says that it is ready.
    pub fn is_ready(&self) -> bool {
        self.running().telemetry().is_running()
    }

    /// Start as [`Self::run`], and do not wait until all partitions are there.
    pub async fn run_loading(&mut self) {
        let mut properties = vec![
            ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned()),
            ("ottla.http.listener".to_owned(), String::new()),
            ("log.dirs".to_owned(), self.dir.path().display().to_string()),
        ];
        properties.extend(self.overrides.iter().cloned());
        let config = BrokerConfig::with_overrides(
            properties
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        )
        .expect("a valid configuration");
        self.shutdown = Shutdown::new();
        let (config, clock) = (Arc::new(config), Arc::new(SystemClock));
        let telemetry = Arc::new(Telemetry::new(&config, clock.clone()));
        let (fs, shutdown) = (Arc::clone(&self.fs), self.shutdown.clone());
        let started = RunningBroker::start_on(fs, config, telemetry, clock, shutdown).await;
        self.running = Some(started.expect("the broker starts"));
    }
}
