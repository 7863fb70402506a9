//! Where clients of one listener reach the brokers of the cluster.

use ottla_protocol::ids::BrokerId;
use ottla_protocol::kafka_protocol::protocol::StrBytes;

use crate::metadata::image::{BrokerRegistration, MetadataImage};
use crate::metadata::service::MetadataService;
use crate::network::request::ConnectionContext;

/// A broker, as clients are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: BrokerId,
    /// Host name or address.
    pub host: StrBytes,
    /// Port.
    pub port: i32,
    /// Its rack.
    pub rack: Option<StrBytes>,
    /// It takes no part at the moment.
    pub is_fenced: bool,
}

/// The brokers that have the listener of `connection`, by id; fenced ones too if asked for.
pub fn nodes(
    metadata: &MetadataService,
    image: &MetadataImage,
    connection: &ConnectionContext,
    include_fenced: bool,
) -> Vec<Node> {
    let wanted = image
        .cluster
        .brokers()
        .filter(|broker| include_fenced || !broker.record().fenced);
    wanted
        .filter_map(|broker| node(metadata, broker, connection))
        .collect()
}

fn node(
    metadata: &MetadataService,
    broker: &BrokerRegistration,
    connection: &ConnectionContext,
) -> Option<Node> {
    let (host, port) = if broker.id() == metadata.node_id() {
        own_endpoint(metadata, connection)
    } else {
        let endpoint = broker.listener(&connection.listener)?;
        (endpoint.host.clone(), endpoint.port)
    };
    Some(Node {
        id: broker.id(),
        host: StrBytes::from_string(host),
        port: i32::from(port),
        rack: broker.record().rack.clone().map(StrBytes::from_string),
        is_fenced: broker.record().fenced,
    })
}

/// What is advertised for the connection's listener, or else the address by which this very client came.
fn own_endpoint(metadata: &MetadataService, connection: &ConnectionContext) -> (String, u16) {
    let local = connection.local_addr;
    let listener = metadata
        .config
        .listeners
        .all
        .iter()
        .find(|listener| listener.name == *connection.listener);
    match listener.and_then(|listener| listener.advertised.as_ref()) {
        Some(endpoint) if endpoint.port == 0 => (endpoint.host.clone(), local.port()),
        Some(endpoint) => (endpoint.host.clone(), endpoint.port),
        // An IPv4 client of an IPv6 socket must be told the IPv4 address.
        None => (local.ip().to_canonical().to_string(), local.port()),
    }
}
