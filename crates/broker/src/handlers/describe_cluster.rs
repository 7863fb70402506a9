//! DescribeCluster: the brokers, the controller, the cluster's id.
//!
//! Versions 0-2. v1: the client says which kind of endpoint it believes to talk to (KIP-919). v2: fenced brokers, if
//! asked for.

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use ottla_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use super::Handler;
use super::authorized_operations;
use super::nodes::{Node, nodes};
use crate::broker::Broker;
use crate::metadata::service::MetadataService;
use crate::network::request::ConnectionContext;
use crate::network::request::RequestContext;

/// `EndpointType.BROKER`.
const BROKER: i8 = 1;
/// `EndpointType.CONTROLLER`.
const CONTROLLER: i8 = 2;

/// The API.
#[derive(Debug)]
pub struct DescribeCluster;

impl Handler for DescribeCluster {
    type Request = DescribeClusterRequest;
    const NAME: &'static str = "DescribeCluster";
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    async fn handle(
        broker: &Broker,
        context: &RequestContext<'_>,
        version: i16,
        request: DescribeClusterRequest,
    ) -> DescribeClusterResponse {
        answer(broker.metadata(), context.connection, version, &request)
    }
}

/// Answer a request.
pub(crate) fn answer(
    metadata: &MetadataService,
    connection: &ConnectionContext,
    version: i16,
    request: &DescribeClusterRequest,
) -> DescribeClusterResponse {
    let refuse = |error: ResponseError, message: String| {
        let error = if version == 0 {
            ResponseError::InvalidRequest
        } else {
            error
        };
        DescribeClusterResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message)))
    };
    match request.endpoint_type {
        BROKER => {}
        CONTROLLER => {
            let message = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER";
            return refuse(ResponseError::MismatchedEndpointType, message.to_owned());
        }
        other => {
            return refuse(
                ResponseError::UnsupportedEndpointType,
                format!("Unsupported endpoint type {other}"),
            );
        }
    }
    let image = metadata.image();
    let nodes = nodes(metadata, &image, connection, request.include_fenced_brokers);
    let controller = nodes
        .iter()
        .find(|node| node.id == metadata.node_id())
        .or(nodes.first());
    let operations = if request.include_cluster_authorized_operations {
        authorized_operations::CLUSTER
    } else {
        authorized_operations::NOT_ASKED
    };
    DescribeClusterResponse::default()
        .with_error_message(None)
        .with_endpoint_type(BROKER)
        .with_cluster_id(StrBytes::from_string(metadata.cluster_id.to_string()))
        .with_controller_id(BrokerId(controller.map_or(-1, |node| node.id.0)))
        .with_brokers(nodes.iter().map(broker).collect())
        .with_cluster_authorized_operations(operations)
}

fn broker(node: &Node) -> DescribeClusterBroker {
    DescribeClusterBroker::default()
        .with_broker_id(BrokerId(node.id.0))
        .with_host(node.host.clone())
        .with_port(node.port)
        .with_rack(node.rack.clone())
        .with_is_fenced(node.is_fenced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::testing::service;

    fn ask(version: i16, request: &DescribeClusterRequest) -> DescribeClusterResponse {
        let connection = ConnectionContext::new(
            "PLAINTEXT".into(),
            "192.0.2.1:9092".parse().unwrap(),
            "192.0.2.9:5000".parse().unwrap(),
        );
        answer(
            &service(&[("broker.rack", "r")]),
            &connection,
            version,
            request,
        )
    }

    #[test]
    fn the_cluster_is_this_broker() {
        let response = ask(2, &DescribeClusterRequest::default());
        assert_eq!(
            (
                response.error_code,
                response.cluster_id.as_str(),
                response.controller_id.0
            ),
            (0, "cluster", 1)
        );
        assert_eq!(
            (response.brokers.len(), response.endpoint_type),
            (1, BROKER)
        );
        let broker = &response.brokers[0];
        assert_eq!(
            (
                broker.broker_id.0,
                broker.host.as_str(),
                broker.port,
                broker.is_fenced
            ),
            (1, "192.0.2.1", 9092, false)
        );
        assert_eq!(response.cluster_authorized_operations, i32::MIN);
        let request =
            DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
        assert_eq!(ask(0, &request).cluster_authorized_operations, 8096);
    }

    #[test]
    fn who_looks_for_a_controller_is_told() {
        for (version, endpoint_type, code) in [
            (0, CONTROLLER, 42),
            (1, CONTROLLER, 114),
            (0, 9, 42),
            (1, 9, 115),
        ] {
            let request = DescribeClusterRequest::default().with_endpoint_type(endpoint_type);
            assert_eq!(
                ask(version, &request).error_code,
                code,
                "v{version} {endpoint_type}"
            );
        }
    }
}
