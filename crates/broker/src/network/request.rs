//! Who sent a request, and where it came in: what a handler may know beside the request itself. And what became of it beside
//! its answer: the time it took and how long its client is held back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ottla_protocol::kafka_protocol::protocol::StrBytes;

use crate::network::thread_time::ThreadTime;
use crate::quota::{ClientQuotas, QuotaClient, Throttle};
use crate::telemetry::log::Repeats;

/// The principal of who has not authenticated (`KafkaPrincipal.ANONYMOUS`).
const ANONYMOUS: &str = "ANONYMOUS";

/// What stays the same for all requests of one connection.
#[derive(Debug)]
pub struct ConnectionContext {
    /// Name of the listener that accepted the connection, as in `listeners` (`PLAINTEXT`).
    pub listener: Arc<str>,
    /// Our end: an address at which this very client can reach this broker.
    pub local_addr: SocketAddr,
    /// The client's end.
    pub peer_addr: SocketAddr,
    /// Lets one log line a second say that this client's records are refused, however fast it sends them.
    pub refusals: Repeats,
}

impl ConnectionContext {
    /// A connection that `listener` accepted at `local_addr` from `peer_addr`.
    pub fn new(listener: Arc<str>, local_addr: SocketAddr, peer_addr: SocketAddr) -> Self {
        Self {
            listener,
            local_addr,
            peer_addr,
            refusals: Repeats::new(1000),
        }
    }

    /// Name of the client's principal.
    pub fn user(&self) -> &str {
        ANONYMOUS
    }
}

/// One request's origin.
#[derive(Debug)]
pub struct RequestContext<'a> {
    /// The connection it came in on.
    pub connection: &'a ConnectionContext,
    /// `client.id` of the request header.
    pub client_id: Option<StrBytes>,
    /// Id that ties the response to the request.
    pub correlation_id: i32,
    /// Its size, header and body, bytes.
    pub size: usize,
    /// Time it spent waiting for something to happen.
    pub waited: Waited,
    /// Time it kept threads busy; counted where there are quotas on it only.
    pub thread_time: ThreadTime,
    /// How long its client is held back.
    pub throttle: Throttle,
}

/// Time a request spent waiting, for its metrics.
#[derive(Debug, Default)]
pub struct Waited(AtomicU64);

impl Waited {
    /// It waited this long (more).
    pub fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_add(micros, Ordering::Relaxed);
    }

    /// How long it waited in all.
    pub fn total(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

impl RequestContext<'_> {
    /// The client's id for log lines, `-` when it gave none.
    pub fn client(&self) -> &str {
        self.client_id.as_deref().unwrap_or("-")
    }

    /// The client as quotas see it.
    pub fn client_of_quotas(&self) -> QuotaClient<'_> {
        QuotaClient {
            user: self.connection.user(),
            client_id: self.client_id.as_deref().unwrap_or_default(),
        }
    }

    /// The request is done but for its answer: hold it against the client's quota on time. Gives back `throttle_time_ms`, for
    /// which all quotas count.
    pub fn throttle_time_ms(&self, quotas: &ClientQuotas) -> i32 {
        quotas.record_request(
            &self.client_of_quotas(),
            self.thread_time.total(),
            &self.throttle,
        );
        self.throttle.ms()
    }
}
