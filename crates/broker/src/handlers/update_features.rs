//! UpdateFeatures: change the finalized levels of features (KIP-584, KIP-778).
//!
//! Versions 0-2. v0 has only upgrades here, as with Apache Kafka 4, which does not read `AllowDowngrade`; v1: safe and
//! unsafe downgrades, and validation alone; v2: one error for the whole request, no results by feature.

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use super::Handler;
use crate::broker::Broker;
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct UpdateFeatures;

impl Handler for UpdateFeatures {
    type Request = UpdateFeaturesRequest;
    const NAME: &'static str = "UpdateFeatures";
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        version: i16,
        request: UpdateFeaturesRequest,
    ) -> UpdateFeaturesResponse {
        let controller = &broker.metadata().controller;
        let stopped = |_| {
            UpdateFeaturesResponse::default().with_error_code(ResponseError::NotController.code())
        };
        controller
            .update_features(request, version)
            .await
            .unwrap_or_else(stopped)
    }
}
