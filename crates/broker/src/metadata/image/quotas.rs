//! Client quotas (KIP-546): for each entity the values set for it (`ClientQuotasImage`).

use std::collections::BTreeMap;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use crate::metadata::record::{ClientQuotaRecord, EntityData, MetadataRecord};

/// Whom quotas are set for: a user, a client id, a user and a client id, or an ip address (`ClientQuotaEntity`).
///
/// Its parts, sorted by type and then by name. A name of `None` is the default of its type.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientQuotaEntity(Vec<(String, Option<String>)>);

impl ClientQuotaEntity {
    /// Type of the part that names a user.
    pub const USER: &'static str = "user";
    /// Type of the part that names a client id.
    pub const CLIENT_ID: &'static str = "client-id";
    /// Type of the part that names an ip address.
    pub const IP: &'static str = "ip";

    /// With these parts, in any order.
    pub fn new<'a>(parts: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Self {
        let owned = |(part_type, name): (&str, Option<&str>)| {
            (part_type.to_owned(), name.map(ToOwned::to_owned))
        };
        let mut parts: Vec<_> = parts.into_iter().map(owned).collect();
        parts.sort();
        Self(parts)
    }

    /// The parts: type, and name or `None` for the default of that type.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = (&str, Option<&str>)> {
        self.0
            .iter()
            .map(|(part_type, name)| (part_type.as_str(), name.as_deref()))
    }

    /// Name of the part of a type: `None` when the entity has no such part, `Some(None)` when it is the default.
    pub fn part(&self, part_type: &str) -> Option<Option<&str>> {
        self.parts()
            .find(|(found, _)| *found == part_type)
            .map(|(_, name)| name)
    }

    /// The parts as records hold them.
    pub fn records(&self) -> Vec<EntityData> {
        let part = |(part_type, name): (&str, Option<&str>)| EntityData {
            entity_type: part_type.to_owned(),
            entity_name: name.map(ToOwned::to_owned),
        };
        self.parts().map(part).collect()
    }
}

/// All client quotas. What none was set for is not in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientQuotasImage {
    entities: RedBlackTreeMapSync<ClientQuotaEntity, Arc<BTreeMap<String, f64>>>,
}

impl ClientQuotasImage {
    /// The values set for exactly this entity, by the name of the quota; `None` when there are none.
    pub fn get(&self, entity: &ClientQuotaEntity) -> Option<&BTreeMap<String, f64>> {
        self.entities.get(entity).map(|values| &**values)
    }

    /// All entities that values are set for, with those values by the name of the quota; sorted.
    pub fn entities(&self) -> impl Iterator<Item = (&ClientQuotaEntity, &BTreeMap<String, f64>)> {
        self.entities
            .iter()
            .map(|(entity, values)| (entity, &**values))
    }

    pub(super) fn replay(&mut self, record: &ClientQuotaRecord) {
        let parts = record.entity.iter();
        let entity = ClientQuotaEntity::new(
            parts.map(|part| (part.entity_type.as_str(), part.entity_name.as_deref())),
        );
        let mut values = self.entities.get(&entity).cloned().unwrap_or_default();
        if record.remove {
            Arc::make_mut(&mut values).remove(&record.key);
        } else {
            Arc::make_mut(&mut values).insert(record.key.clone(), record.value);
        }
        if values.is_empty() {
            self.entities.remove_mut(&entity);
        } else {
            self.entities.insert_mut(entity, values);
        }
    }

    pub(super) fn write(&self, records: &mut Vec<MetadataRecord>) {
        for (entity, values) in self.entities() {
            records.extend(values.iter().map(|(key, value)| {
                MetadataRecord::from(ClientQuotaRecord {
                    entity: entity.records(),
                    key: key.clone(),
                    value: *value,
                    remove: false,
                })
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(parts: &[(&str, Option<&str>)], key: &str, value: Option<f64>) -> ClientQuotaRecord {
        let part = |(part_type, name): &(&str, Option<&str>)| EntityData {
            entity_type: (*part_type).to_owned(),
            entity_name: name.map(ToOwned::to_owned),
        };
        ClientQuotaRecord {
            entity: parts.iter().map(part).collect(),
            key: key.to_owned(),
            value: value.unwrap_or_default(),
            remove: value.is_none(),
        }
    }

    #[test]
    fn one_entity_whatever_the_order_of_its_parts() {
        let (alice, default) = (("user", Some("alice")), ("client-id", None));
        let mut image = ClientQuotasImage::default();
        image.replay(&record(&[alice, default], "producer_byte_rate", Some(5.0)));
        image.replay(&record(&[default, alice], "consumer_byte_rate", Some(7.5)));
        image.replay(&record(&[alice], "consumer_byte_rate", Some(9.0)));

        let both = ClientQuotaEntity::new([alice, default]);
        let values = image.get(&both).expect("it was set");
        let values: Vec<_> = values.iter().map(|(key, value)| (&**key, *value)).collect();
        assert_eq!(
            values,
            [("consumer_byte_rate", 7.5), ("producer_byte_rate", 5.0)]
        );
        assert_eq!(both.part("client-id"), Some(None));
        assert_eq!(both.part("user"), Some(Some("alice")));
        assert_eq!(both.part("ip"), None);
        assert_eq!(image.entities().count(), 2);
        assert_eq!(image.get(&ClientQuotaEntity::new([default])), None);
    }

    #[test]
    fn what_has_no_values_left_is_gone() {
        let ip = [("ip", Some("127.0.0.1"))];
        let mut image = ClientQuotasImage::default();
        image.replay(&record(&ip, "connection_creation_rate", Some(3.0)));
        image.replay(&record(&ip, "connection_creation_rate", None));
        image.replay(&record(&ip, "never_set", None));
        assert_eq!(image, ClientQuotasImage::default());
        let mut records = Vec::new();
        image.write(&mut records);
        assert_eq!(records, []);
    }
}
