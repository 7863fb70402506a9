//! AlterClientQuotas: set and remove the quotas of users, client ids and ip addresses (KIP-546).
//!
//! Versions 0-1, which differ in encoding only. Decided by the controller; answered when the new values hold.

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};

use super::Handler;
use crate::broker::Broker;
use crate::metadata::controller::{ApiError, failed_alterations};
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct AlterClientQuotas;

impl Handler for AlterClientQuotas {
    type Request = AlterClientQuotasRequest;
    const NAME: &'static str = "AlterClientQuotas";
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: AlterClientQuotasRequest,
    ) -> AlterClientQuotasResponse {
        let asked = request.clone();
        let controller = &broker.metadata().controller;
        let stopped = ApiError {
            error: ResponseError::NotController,
            message: None,
        };
        controller
            .alter_client_quotas(request)
            .await
            .unwrap_or_else(|_| failed_alterations(&asked, &stopped))
    }
}
