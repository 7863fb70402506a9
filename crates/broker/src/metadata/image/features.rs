//! The finalized features (KIP-584).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::metadata::record::{
    FeatureLevelRecord, METADATA_VERSION_FEATURE, MetadataRecord, MetadataVersion,
};

/// At which level each feature is finalized.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeaturesImage {
    levels: Arc<BTreeMap<String, i16>>,
}

impl FeaturesImage {
    /// Level of a feature; 0 when it is not finalized.
    pub fn level(&self, feature: &str) -> i16 {
        self.levels.get(feature).copied().unwrap_or(0)
    }

    /// The level of `metadata.version`. A log without one is of the lowest level there is.
    pub fn metadata_version(&self) -> MetadataVersion {
        self.levels
            .get(METADATA_VERSION_FEATURE)
            .map_or(MetadataVersion::MINIMUM, |level| MetadataVersion(*level))
    }

    /// All finalized features and their levels, by name.
    pub fn finalized(&self) -> impl ExactSizeIterator<Item = (&str, i16)> {
        self.levels
            .iter()
            .map(|(name, level)| (name.as_str(), *level))
    }

    pub(super) fn replay(&mut self, record: &FeatureLevelRecord) {
        let levels = Arc::make_mut(&mut self.levels);
        if record.feature_level == 0 {
            levels.remove(&record.name);
        } else {
            levels.insert(record.name.clone(), record.feature_level);
        }
    }

    /// The metadata version goes first: it says how all the other records are to be read.
    pub(super) fn write(&self, records: &mut Vec<MetadataRecord>) {
        let record = |(name, level): (&str, i16)| {
            MetadataRecord::from(FeatureLevelRecord {
                name: name.to_owned(),
                feature_level: level,
            })
        };
        let is_version = |(name, _): &(&str, i16)| *name == METADATA_VERSION_FEATURE;
        records.extend(self.finalized().filter(is_version).map(record));
        records.extend(
            self.finalized()
                .filter(|feature| !is_version(feature))
                .map(record),
        );
    }
}
