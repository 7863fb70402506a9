//! Harness for tests of a whole broker: start one on port 0 in a directory of its own, and talk raw protocol to it.

#![forbid(unsafe_code)]

pub mod client;
pub mod process;
pub mod records;
pub mod transactions;

use std::net::SocketAddr;
use std::path::Path;

use ottla_broker::broker::RunningBroker;
use ottla_broker::config::BrokerConfig;
use tempfile::TempDir;

use crate::client::Client;

/// A broker in this process, listening on a free loopback port.
#[derive(Debug)]
pub struct TestBroker {
    running: Option<RunningBroker>,
    overrides: Vec<(String, String)>,
    dir: TempDir,
}

impl TestBroker {
    /// Start with the defaults.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Start with these properties over the defaults.
    pub async fn start_with(overrides: &[(&str, &str)]) -> Self {
        let overrides = overrides
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let mut broker = Self {
            running: None,
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

    /// Stop as SIGTERM does.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await.expect("a clean stop");
        }
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

    async fn run(&mut self) {
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
        self.running = Some(
            RunningBroker::start(config)
                .await
                .expect("the broker starts"),
        );
    }
}
