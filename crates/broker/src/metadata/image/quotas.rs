//! Client quotas. Kept as records: nothing reads them yet, and a snapshot must not lose them.

use rpds::RedBlackTreeMapSync;

use crate::metadata::record::{ClientQuotaRecord, MetadataRecord};

/// The entity, its parts sorted by type, and the name of the quota.
type QuotaKey = (Vec<(String, Option<String>)>, String);

/// All client quotas.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientQuotasImage {
    quotas: RedBlackTreeMapSync<QuotaKey, ClientQuotaRecord>,
}

impl ClientQuotasImage {
    /// All quotas, by entity and name.
    pub fn iter(&self) -> impl Iterator<Item = &ClientQuotaRecord> {
        self.quotas.values()
    }

    pub(super) fn replay(&mut self, record: &ClientQuotaRecord) {
        let parts = record
            .entity
            .iter()
            .map(|part| (part.entity_type.clone(), part.entity_name.clone()));
        let mut entity: Vec<_> = parts.collect();
        entity.sort();
        let key = (entity, record.key.clone());
        if record.remove {
            self.quotas.remove_mut(&key);
        } else {
            self.quotas.insert_mut(key, record.clone());
        }
    }

    pub(super) fn write(&self, records: &mut Vec<MetadataRecord>) {
        records.extend(self.quotas.values().map(|quota| quota.clone().into()));
    }
}
