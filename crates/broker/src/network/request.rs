//! Who sent a request, and where it came in: what a handler may know beside the request itself.

use std::net::SocketAddr;
use std::sync::Arc;

use ottla_protocol::kafka_protocol::protocol::StrBytes;

/// What stays the same for all requests of one connection.
#[derive(Debug, Clone)]
pub struct ConnectionContext {
    /// Name of the listener that accepted the connection, as in `listeners` (`PLAINTEXT`).
    pub listener: Arc<str>,
    /// Our end: an address at which this very client can reach this broker.
    pub local_addr: SocketAddr,
    /// The client's end.
    pub peer_addr: SocketAddr,
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
}

impl RequestContext<'_> {
    /// The client's id for log lines, `-` when it gave none.
    pub fn client(&self) -> &str {
        self.client_id.as_deref().unwrap_or("-")
    }
}
