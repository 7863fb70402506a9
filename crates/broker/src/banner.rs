//! What a broker says once it is up: a banner for people, one line for collectors.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::SecurityProtocol;
use crate::version;

/// A broker that has just started.
#[derive(Clone, Debug)]
pub struct Started {
    /// Node id.
    pub node_id: i32,
    /// Cluster id.
    pub cluster_id: String,
    /// Data directories.
    pub log_dirs: Vec<PathBuf>,
    /// Whether they were formatted just now.
    pub is_new: bool,
    /// Listeners for clients: name, the address that was bound, protocol.
    pub listeners: Vec<(String, SocketAddr, SecurityProtocol)>,
    /// Address of metrics and health.
    pub http: Option<SocketAddr>,
    /// From the start of the process.
    pub took: Duration,
}

impl Started {
    /// For a terminal, with lines to copy and paste.
    pub fn banner(&self) -> String {
        let mut text = format!(
            "ottla {}  node {}  cluster {}  Kafka protocol <= {}\n",
            version::VERSION,
            self.node_id,
            self.cluster_id,
            version::PROTOCOL
        );
        let dirs: Vec<_> = self
            .log_dirs
            .iter()
            .map(|dir| dir.display().to_string())
            .collect();
        let new = if self.is_new { " (new)" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  data     {}{new}", dirs.join(", "));
        for (name, address, protocol) in &self.listeners {
            let _ = writeln!(
                text,
                "  kafka    {address} {name}{}",
                remark(*address, *protocol)
            );
        }
        if let Some(http) = self.http {
            let _ = writeln!(text, "  metrics  http://{http}/metrics");
        }
        if let Some(address) = self.reachable() {
            let _ = writeln!(text, "  try      echo hello | kcat -P -b {address} -t test");
            let _ = writeln!(
                text,
                "           kcat -C -b {address} -t test -o beginning -e"
            );
        }
        let _ = writeln!(text, "ready in {} ms", self.took.as_millis());
        text
    }

    /// For a log.
    pub fn log(&self) {
        let listeners: Vec<_> = self
            .listeners
            .iter()
            .map(|(name, address, _)| format!("{name}://{address}"))
            .collect();
        let dirs: Vec<_> = self
            .log_dirs
            .iter()
            .map(|dir| dir.display().to_string())
            .collect();
        tracing::info!(
            version = version::VERSION,
            node_id = self.node_id,
            cluster_id = %self.cluster_id,
            kafka = %self.listeners.first().map(|(_, address, _)| address.to_string()).unwrap_or_default(),
            listeners = %listeners.join(","),
            http = %self.http.map(|http| http.to_string()).unwrap_or_default(),
            log_dirs = %dirs.join(","),
            took_ms = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "ready"
        );
    }

    /// An address at which this machine reaches the broker.
    fn reachable(&self) -> Option<SocketAddr> {
        let (_, address, _) = self
            .listeners
            .iter()
            .find(|(_, _, protocol)| *protocol == SecurityProtocol::Plaintext)?;
        let loopback: SocketAddr = match address {
            SocketAddr::V4(_) => ([127, 0, 0, 1], address.port()).into(),
            SocketAddr::V6(_) => (std::net::Ipv6Addr::LOCALHOST, address.port()).into(),
        };
        Some(if address.ip().is_unspecified() {
            loopback
        } else {
            *address
        })
    }
}

fn remark(address: SocketAddr, protocol: SecurityProtocol) -> &'static str {
    match (protocol, address.ip().is_loopback()) {
        (SecurityProtocol::Plaintext, true) => " (no authentication, this machine only)",
        (SecurityProtocol::Plaintext, false) => " (no authentication, open to the network)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_has_lines_to_copy() {
        let mut started = Started {
            node_id: 1,
            cluster_id: "5L6g3nShT-eMCtK--X86sw".into(),
            log_dirs: vec!["./ottla-data".into()],
            is_new: true,
            listeners: vec![(
                "PLAINTEXT".into(),
                "0.0.0.0:9092".parse().unwrap(),
                SecurityProtocol::Plaintext,
            )],
            http: Some("127.0.0.1:9404".parse().unwrap()),
            took: Duration::from_millis(12),
        };
        let banner = started.banner();
        for line in [
            "  data     ./ottla-data (new)",
            "  kafka    0.0.0.0:9092 PLAINTEXT (no authentication, open to the network)",
            "  metrics  http://127.0.0.1:9404/metrics",
            "  try      echo hello | kcat -P -b 127.0.0.1:9092 -t test",
            "ready in 12 ms",
        ] {
            assert!(
                banner.lines().any(|found| found == line),
                "{line}\n{banner}"
            );
        }
        started.listeners[0].1 = "[::]:7".parse().unwrap();
        assert!(started.banner().contains("-b [::1]:7 "));
    }
}
