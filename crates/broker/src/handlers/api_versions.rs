//! ApiVersions, versions 0-4: what this broker serves, asked first on every connection.
//!
//! *Behaviour*: a version that is not known is answered in the layout of version 0 with UNSUPPORTED_VERSION and this
//! API alone, so that the client can ask again (KIP-511). Produce is announced from version 0, see [`super::produce`].
//!
//! *Versions*: 3 brings the client's name and version, and the features (KIP-584); 4 allows a feature whose lowest
//! version is 0 (KAFKA-17011), which version 3 leaves out.

use ottla_protocol::ResponseError;
use ottla_protocol::api as wire;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use ottla_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use super::{APIS, Answer, Api, Reply};
use crate::broker::Broker;
use crate::metadata::controller::{KRAFT_VERSION_FEATURE, REGISTERED_FEATURES};
use crate::network::request::RequestContext;

const MAX_VERSION: i16 = 4;

/// The API's place in [`APIS`].
pub const API: Api = Api {
    key: ApiKey::ApiVersions,
    name: "ApiVersions",
    announced_min: 0,
    min: 0,
    max: MAX_VERSION,
    run: |broker, context, version, mut body| -> Answer<'_> {
        Box::pin(async move {
            let (version, mut response) = if !(0..=MAX_VERSION).contains(&version) {
                (0, unsupported_version())
            } else {
                let request = wire::decode_request::<ApiVersionsRequest>(&mut body, version)?;
                (version, answer(broker, context, version, &request))
            };
            response.throttle_time_ms = context.throttle_time_ms(broker.quotas());
            let key = ApiKey::ApiVersions as i16;
            Ok(Reply::Bytes(wire::encode_response(
                key,
                version,
                context.correlation_id,
                &response,
            )?))
        })
    },
};

fn unsupported_version() -> ApiVersionsResponse {
    let this = ApiVersion::default()
        .with_api_key(ApiKey::ApiVersions as i16)
        .with_min_version(0)
        .with_max_version(MAX_VERSION);
    ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(vec![this])
}

fn answer(
    broker: &Broker,
    context: &RequestContext<'_>,
    version: i16,
    request: &ApiVersionsRequest,
) -> ApiVersionsResponse {
    if version >= 3 {
        let (name, of_version) = (
            &request.client_software_name,
            &request.client_software_version,
        );
        if !is_software_name(name) || !is_software_name(of_version) {
            tracing::info!(client = context.client(), peer = %context.connection.peer_addr, name = %name, version = %of_version,
                "client software name or version is not allowed (KIP-511)");
            return ApiVersionsResponse::default()
                .with_error_code(ResponseError::InvalidRequest.code());
        }
    }
    let mut response =
        ApiVersionsResponse::default().with_api_keys(APIS.iter().map(announce).collect());
    if version >= 3 {
        let image = broker.metadata().image();
        let offset = image.provenance.last_contained_offset;
        response.supported_features = supported_features(version);
        response.finalized_features_epoch = offset.0;
        let kraft_version = broker.metadata().cache.kraft_version();
        let kraft_version = (kraft_version > 0).then_some((KRAFT_VERSION_FEATURE, kraft_version));
        let finalized = image.features.finalized().chain(kraft_version);
        response.finalized_features = finalized
            .map(|(name, level)| {
                FinalizedFeatureKey::default()
                    .with_name(StrBytes::from_string(name.to_owned()))
                    .with_min_version_level(level)
                    .with_max_version_level(level)
            })
            .collect();
    }
    response
}

fn announce(api: &Api) -> ApiVersion {
    ApiVersion::default()
        .with_api_key(api.key as i16)
        .with_min_version(api.announced_min)
        .with_max_version(api.max)
}

fn supported_features(version: i16) -> Vec<SupportedFeatureKey> {
    REGISTERED_FEATURES
        .iter()
        // A client of version 3 takes a lowest version of 0 for an error.
        .filter(|(_, min, _)| version >= 4 || *min > 0)
        .map(|(name, min, max)| {
            SupportedFeatureKey::default()
                .with_name(StrBytes::from_static_str(name))
                .with_min_version(*min)
                .with_max_version(*max)
        })
        .collect()
}

/// Letters, digits, dots and dashes, with a letter or digit at both ends (`ApiVersionsRequest.isValid`).
fn is_software_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let ends_well = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    ends_well(bytes.first())
        && ends_well(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names() {
        for good in ["librdkafka", "apache-kafka-java", "2.0.2", "a", "v1.2-rc.3"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", ".", "a b", "a_b", "ä", "a\n"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }
}
