//! `meta.properties`: whose data directory this is (`MetaProperties.java`, version 1).
//!
//! ```text
//! version=1
//! cluster.id=MkU3OEVBNTcwNTJENDM2Qg
//! node.id=1
//! directory.id=Y_r6SGjUQEyzZVVtSHVKkg
//! ```

use std::collections::BTreeMap;

use ottla_protocol::ids::BrokerId;
use uuid::Uuid;

use crate::properties::{self, MalformedEscape, Property};
use crate::uuid_text;

/// Name of the file.
pub const FILE_NAME: &str = "meta.properties";

/// What `meta.properties` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// Id of the cluster.
    pub cluster_id: String,
    /// Id of the node.
    pub node_id: BrokerId,
    /// Id of this directory (KIP-858); files from before 3.7 have none.
    pub directory_id: Option<Uuid>,
}

/// Why a `meta.properties` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaPropertiesError {
    /// A property is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A property has a value that it cannot have.
    #[error("{key}={value} makes no sense")]
    Value {
        /// The property.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// The file is no properties file.
    #[error(transparent)]
    Escape(#[from] MalformedEscape),
}

impl MetaProperties {
    /// The text of the file.
    pub fn format(&self) -> String {
        let mut text = String::from("#\n");
        let mut put = |key, value: &str| text.push_str(&properties::format(key, value));
        put("cluster.id", &self.cluster_id);
        if let Some(id) = self.directory_id {
            put("directory.id", &uuid_text::format(id));
        }
        put("node.id", &self.node_id.to_string());
        put("version", "1");
        text
    }

    /// Read the text of the file. Properties that are not known are passed over.
    pub fn parse(text: &str) -> Result<Self, MetaPropertiesError> {
        let entry = |property: Property| (property.key, property.value);
        let properties = properties::parse(text.as_bytes())?.into_iter().map(entry);
        let properties = properties.collect::<BTreeMap<_, _>>();
        let get = |key| properties.get(key).ok_or(MetaPropertiesError::Missing(key));
        let bad = |key, value: &str| MetaPropertiesError::Value {
            key,
            value: value.to_owned(),
        };
        let version = get("version")?;
        if version != "1" {
            return Err(bad("version", version));
        }
        let node = get("node.id")?;
        let directory = properties.get("directory.id");
        Ok(Self {
            cluster_id: get("cluster.id")?.clone(),
            node_id: BrokerId(node.parse().map_err(|_| bad("node.id", node))?),
            directory_id: directory
                .map(|text| uuid_text::parse(text).ok_or_else(|| bad("directory.id", text)))
                .transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_out_and_in() {
        let meta = MetaProperties {
            cluster_id: "MkU3OEVBNTcwNTJENDM2Qg".to_owned(),
            node_id: BrokerId(1),
            directory_id: Some(Uuid::from_u128(7 << 64)),
        };
        assert_eq!(MetaProperties::parse(&meta.format()), Ok(meta));
    }

    #[test]
    fn a_cluster_id_is_kept_to_the_last_blank() {
        for id in [" x ", "\u{1d54a} ", "a=b:c", "#x", "\\", "a\n b\t"] {
            let meta = MetaProperties {
                cluster_id: id.to_owned(),
                node_id: BrokerId(1),
                directory_id: None,
            };
            assert_eq!(MetaProperties::parse(&meta.format()), Ok(meta));
        }
    }

    #[test]
    fn kafkas_file_is_read() {
        let text =
            "#\n#Sat Nov 21 05:00:00 UTC 2026\ncluster.id=abc\nversion=1\nnode.id=3\nother=x\n";
        let meta = MetaProperties::parse(text).unwrap();
        assert_eq!((meta.node_id, meta.directory_id), (BrokerId(3), None));
        for broken in [
            "",
            "version=1\nnode.id=1\n",
            "version=0\nbroker.id=1\ncluster.id=a\n",
            "version=1\nnode.id=x\ncluster.id=a\n",
            "version=1\nnode.id=1\ncluster.id=a\ndirectory.id=short\n",
            "version=1\nnode.id=1\ncluster.id=\\u12\n",
        ] {
            assert!(MetaProperties::parse(broken).is_err(), "{broken:?}");
        }
    }
}
