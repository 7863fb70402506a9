//! UpdateFeatures (`FeatureControlManager.updateFeatures`): levels of features, all of a request or none.
//!
//! With one node, what this broker can do is what the cluster can do. The level of `kraft.version` is fixed when the
//! directory is formatted; setting it to what it is does nothing. Where eligible leader replicas are switched on,
//! `min.insync.replicas` becomes a dynamic config of the cluster (`maybeGenerateElrSafetyRecords`).

use std::collections::HashMap;

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::update_features_request::FeatureUpdateKey;
use ottla_protocol::messages::update_features_response::UpdatableFeatureResult;
use ottla_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use super::{ApiError, Controller, Decision, REGISTERED_FEATURES, check_record_count};
use crate::metadata::format::ELR_FEATURE;
use crate::metadata::image::ConfigResourceType;
use crate::metadata::record::{
    ConfigRecord, FeatureLevelRecord, METADATA_VERSION_FEATURE, MetadataRecord, MetadataVersion,
};

/// Feature whose level is in the control records of the metadata log (KIP-853).
pub const KRAFT_VERSION_FEATURE: &str = "kraft.version";

/// From which `metadata.version` eligible leader replicas can be switched on
/// (`EligibleLeaderReplicasVersion.ELRV_1.dependencies`).
const ELR_NEEDS: MetadataVersion = MetadataVersion::IBP_4_0_IV1;

pub(super) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// What a level may be changed to (`FeatureUpdate.UpgradeType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UpgradeType {
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
}

impl Controller<'_> {
    /// Decide an UpdateFeatures request of a version.
    pub fn update_features(
        &self,
        request: &UpdateFeaturesRequest,
        version: i16,
    ) -> Decision<UpdateFeaturesResponse> {
        let mut response = UpdateFeaturesResponse::default();
        match self.feature_records(&request.feature_updates) {
            Ok(records) => {
                if version <= 1 {
                    let updates = request.feature_updates.iter();
                    response.results = updates
                        .map(|update| {
                            UpdatableFeatureResult::default()
                                .with_feature(update.feature.clone())
                                .with_error_message(Some(StrBytes::from_static_str("NONE")))
                        })
                        .collect();
                }
                let records = match request.validate_only {
                    true => Vec::new(),
                    false => records,
                };
                Decision { records, response }
            }
            Err(error) => {
                let reason = error.message.unwrap_or_default();
                let message = format!(
                    "The update failed for all features since the following feature had an error: {reason}"
                );
                Decision::answer(
                    response
                        .with_error_code(error.error.code())
                        .with_error_message(Some(message.into())),
                )
            }
        }
    }

    fn feature_records(
        &self,
        updates: &[FeatureUpdateKey],
    ) -> Result<Vec<MetadataRecord>, ApiError> {
        check_record_count(updates.len())?;
        // Of what is said twice of a feature the last holds.
        let said = updates.iter().enumerate();
        let last: HashMap<_, _> = said.map(|(at, update)| (&update.feature, at)).collect();
        let mut records = Vec::new();
        for (at, update) in updates.iter().enumerate() {
            if last.get(&update.feature) != Some(&at) {
                continue;
            }
            let (name, level) = (update.feature.as_str(), update.max_version_level);
            self.check_update(update, updates)?;
            if name == KRAFT_VERSION_FEATURE {
                continue;
            }
            let record = FeatureLevelRecord {
                name: name.to_owned(),
                feature_level: level,
            };
            records.push(record.into());
            if name == ELR_FEATURE && level > 0 {
                self.elr_safety_records(&mut records);
            }
        }
        Ok(records)
    }

    /// `updates` are all of the request: one may depend on another.
    fn check_update(
        &self,
        update: &FeatureUpdateKey,
        updates: &[FeatureUpdateKey],
    ) -> Result<(), ApiError> {
        let (name, level) = (update.feature.as_str(), update.max_version_level);
        let refuse = |reason: &str| Err(invalid_version(name, level, reason));
        let upgrade_type = match update.upgrade_type {
            1 => UpgradeType::Upgrade,
            2 => UpgradeType::SafeDowngrade,
            3 => UpgradeType::UnsafeDowngrade,
            _ => return refuse("The controller does not support the given upgrade type."),
        };
        if level < 0 {
            return refuse("A feature version cannot be less than 0.");
        }
        if let Some(reason) = self.reason_not_supported(name, level) {
            return refuse(&reason);
        }
        let present = match name {
            KRAFT_VERSION_FEATURE => self.kraft_version,
            METADATA_VERSION_FEATURE => self.image.features.metadata_version().0,
            other => self.image.features.level(other),
        };
        if level < present && upgrade_type == UpgradeType::Upgrade {
            return refuse(
                "Can't downgrade the version of this feature without setting the upgrade type to either safe or \
                 unsafe downgrade.",
            );
        }
        if level > present && upgrade_type != UpgradeType::Upgrade {
            return refuse("Can't downgrade to a newer version.");
        }
        match name {
            KRAFT_VERSION_FEATURE if level < present => {
                refuse("Can't downgrade the version of this feature.")
            }
            KRAFT_VERSION_FEATURE if level > present => {
                refuse("It is fixed when the directory of the metadata log is formatted.")
            }
            METADATA_VERSION_FEATURE => {
                check_metadata_version(MetadataVersion(present), level, upgrade_type)
            }
            ELR_FEATURE if level > 0 && self.proposed_version(updates) < ELR_NEEDS => {
                refuse(&format!(
                    "{name} could not be set to {level} because it depends on {METADATA_VERSION_FEATURE} level {}",
                    ELR_NEEDS.0
                ))
            }
            other if !is_registered(other) => refuse(&format!("Feature {other} not found.")),
            _ => Ok(()),
        }
    }

    fn reason_not_supported(&self, name: &str, level: i16) -> Option<String> {
        let known = REGISTERED_FEATURES
            .iter()
            .find(|(known, _, _)| *known == name);
        let (min, max) = known.map_or((0, 0), |(_, min, max)| (*min, *max));
        if (min..=max).contains(&level) {
            return None;
        }
        let who = format!("Local controller {}", self.config.node_id());
        Some(match max {
            0 => format!("{who} does not support this feature."),
            _ => format!("{who} only supports versions {min}-{max}"),
        })
    }

    /// The `metadata.version` that holds once the request is done.
    fn proposed_version(&self, updates: &[FeatureUpdateKey]) -> MetadataVersion {
        let proposed = updates
            .iter()
            .rfind(|update| update.feature.as_str() == METADATA_VERSION_FEATURE);
        proposed.map_or_else(
            || self.image.features.metadata_version(),
            |update| MetadataVersion(update.max_version_level),
        )
    }

    /// One `min.insync.replicas` for the whole cluster: eligible leader replicas rest on brokers agreeing about it.
    fn elr_safety_records(&self, records: &mut Vec<MetadataRecord>) {
        let configs = &self.image.configs;
        let record = |broker: &str, value| {
            MetadataRecord::from(ConfigRecord {
                resource_type: ConfigResourceType::BROKER.0,
                resource_name: broker.to_owned(),
                name: MIN_INSYNC_REPLICAS.to_owned(),
                value,
            })
        };
        if configs.all_brokers().get(MIN_INSYNC_REPLICAS).is_none() {
            let fixed = self.config.topic_defaults().min_insync_replicas;
            records.push(record("", Some(fixed.to_string())));
        }
        let this = self.config.node_id();
        if configs.broker(this).get(MIN_INSYNC_REPLICAS).is_some() {
            records.push(record(&this.to_string(), None));
        }
    }
}

/// Levels may go down as far as no record gains or loses a field by it.
fn check_metadata_version(
    present: MetadataVersion,
    level: i16,
    upgrade_type: UpgradeType,
) -> Result<(), ApiError> {
    let wanted = MetadataVersion(level);
    if wanted >= present || !present.changed_since(wanted) {
        return Ok(());
    }
    let reason = match upgrade_type {
        UpgradeType::UnsafeDowngrade => {
            "Unsafe metadata downgrade is not supported in this version."
        }
        _ => {
            "Refusing to perform the requested downgrade because it might delete metadata information."
        }
    };
    Err(ApiError::new(
        ResponseError::InvalidUpdateVersion,
        format!("Invalid {METADATA_VERSION_FEATURE} {level}. {reason}"),
    ))
}

fn is_registered(name: &str) -> bool {
    REGISTERED_FEATURES
        .iter()
        .any(|(known, _, _)| *known == name)
}

fn invalid_version(name: &str, level: i16, reason: &str) -> ApiError {
    ApiError::new(
        ResponseError::InvalidUpdateVersion,
        format!("Invalid update version {level} for feature {name}. {reason}"),
    )
}
