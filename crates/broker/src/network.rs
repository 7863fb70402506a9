//! Sockets: accept, read frames, write responses in order.

use std::time::Duration;

use crate::config::BrokerConfig;
use crate::network::frame_reader::RequestMemory;

pub mod cold_read;
pub mod connection;
pub mod drop_behind;
pub mod frame_reader;
pub mod listener;
pub mod request;
pub mod send;
pub mod thread_time;

/// What connections may take, from the configuration.
#[derive(Debug, Clone)]
pub struct NetworkLimits {
    /// Longest request (`socket.request.max.bytes`).
    pub max_request_bytes: usize,
    /// Memory for large requests of all connections together (`ottla.receive.memory.bytes`).
    pub request_memory: RequestMemory,
    /// A connection that does nothing for this long is closed (`connections.max.idle.ms`).
    pub max_idle: Duration,
    /// Most records of one fetch response (`fetch.max.bytes`).
    pub fetch_max_bytes: i32,
    /// Connections at once (`max.connections`).
    pub max_connections: usize,
    /// Connections at once from one address (`max.connections.per.ip`).
    pub max_connections_per_ip: usize,
    /// Fixed size of a socket's send buffer (`socket.send.buffer.bytes`); `None` leaves it to the kernel.
    pub send_buffer_bytes: Option<usize>,
    /// Fixed size of a socket's receive buffer (`socket.receive.buffer.bytes`); `None` leaves it to the kernel.
    pub receive_buffer_bytes: Option<usize>,
}

impl NetworkLimits {
    /// As the configuration says.
    pub fn new(config: &BrokerConfig) -> Self {
        let (network, ottla) = (&config.network, &config.ottla);
        let count = |value: i32| usize::try_from(value).unwrap_or(0);
        Self {
            max_request_bytes: count(network.socket_request_max_bytes),
            request_memory: RequestMemory::new(
                usize::try_from(ottla.ottla_receive_memory_bytes).unwrap_or(usize::MAX),
            ),
            max_idle: max_idle(network.connections_max_idle_ms),
            fetch_max_bytes: network.fetch_max_bytes,
            max_connections: count(network.max_connections),
            max_connections_per_ip: count(network.max_connections_per_ip),
            send_buffer_bytes: buffer_bytes(network.socket_send_buffer_bytes),
            receive_buffer_bytes: buffer_bytes(network.socket_receive_buffer_bytes),
        }
    }
}

/// Negative is "never", for which a hundred years will do.
fn max_idle(ms: i64) -> Duration {
    const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    u64::try_from(ms).map_or(NEVER, |ms| Duration::from_millis(ms).min(NEVER))
}

/// A small fixed buffer stalls on delayed acknowledgements, and the kernel's own sizing does better than Kafka's default
/// of 100 KiB, so only larger sizes are taken literally.
fn buffer_bytes(configured: i32) -> Option<usize> {
    const LEAST: usize = 128 * 1024;
    usize::try_from(configured)
        .ok()
        .filter(|bytes| *bytes >= LEAST)
}
