//! ListConfigResources: the names of what can have configs.
//!
//! *Behaviour*: topics and brokers are listed as they exist; groups and client metrics as far as a config is set for
//! them. An empty list of types asks for all of them. A type that has no configs is UNSUPPORTED_VERSION.
//!
//! *Versions*: 0 is ListClientMetricsResources and asks for those alone (KIP-714); 1 names the types (KIP-1142).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::list_config_resources_response::ConfigResource;
use ottla_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

use super::Handler;
use crate::broker::Broker;
use crate::metadata::image::{ConfigResourceType, MetadataImage};
use crate::network::request::RequestContext;

/// All types, in the order of their numbers.
const TYPES: [ConfigResourceType; 5] = [
    ConfigResourceType::TOPIC,
    ConfigResourceType::BROKER,
    ConfigResourceType::BROKER_LOGGER,
    ConfigResourceType::CLIENT_METRICS,
    ConfigResourceType::GROUP,
];

/// The API.
#[derive(Debug)]
pub struct ListConfigResources;

impl Handler for ListConfigResources {
    type Request = ListConfigResourcesRequest;
    const NAME: &'static str = "ListConfigResources";
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        version: i16,
        request: ListConfigResourcesRequest,
    ) -> ListConfigResourcesResponse {
        answer(&broker.metadata().image(), version, &request)
    }
}

fn answer(
    image: &MetadataImage,
    version: i16,
    request: &ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let asked: BTreeSet<ConfigResourceType> = match version {
        0 => BTreeSet::from([ConfigResourceType::CLIENT_METRICS]),
        _ if request.resource_types.is_empty() => TYPES.into(),
        _ => (request.resource_types.iter().copied())
            .map(ConfigResourceType)
            .collect(),
    };
    if asked.iter().any(|kind| !TYPES.contains(kind)) {
        let code = ResponseError::UnsupportedVersion.code();
        return ListConfigResourcesResponse::default().with_error_code(code);
    }
    let resources = asked.into_iter().flat_map(|kind| {
        names(image, kind).into_iter().map(move |name| {
            ConfigResource::default()
                .with_resource_type(kind.0)
                .with_resource_name(StrBytes::from_string(name))
        })
    });
    ListConfigResourcesResponse::default().with_config_resources(resources.collect())
}

fn names(image: &MetadataImage, kind: ConfigResourceType) -> Vec<String> {
    match kind {
        ConfigResourceType::TOPIC => (image.topics.iter())
            .map(|topic| topic.name().to_string())
            .collect(),
        ConfigResourceType::BROKER | ConfigResourceType::BROKER_LOGGER => (image.cluster.brokers())
            .map(|broker| broker.id().to_string())
            .collect(),
        _ => (image.configs.resources())
            .filter(|resource| resource.resource_type == kind)
            .map(|resource| resource.name.clone())
            .collect(),
    }
}
