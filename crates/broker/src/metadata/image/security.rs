//! ACLs, SCRAM credentials and delegation tokens. Kept as records: nothing reads them yet, and a snapshot must not
//! lose them.

use rpds::RedBlackTreeMapSync;
use uuid::Uuid;

use crate::metadata::record::{
    AccessControlEntryRecord, DelegationTokenRecord, MetadataRecord,
    RemoveAccessControlEntryRecord, RemoveDelegationTokenRecord, RemoveUserScramCredentialRecord,
    UserScramCredentialRecord,
};

macro_rules! keyed_records {
    ($(#[$doc:meta])* $image:ident { $key:ty => $record:ident by $of:expr, removed by $removal:ident by $removed:expr }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $image {
            entries: RedBlackTreeMapSync<$key, $record>,
        }

        impl $image {
            /// All of them, by key.
            pub fn iter(&self) -> impl Iterator<Item = &$record> {
                self.entries.values()
            }

            pub(super) fn add(&mut self, record: &$record) {
                let key: fn(&$record) -> $key = $of;
                self.entries.insert_mut(key(record), record.clone());
            }

            pub(super) fn remove(&mut self, record: &$removal) {
                let key: fn(&$removal) -> $key = $removed;
                self.entries.remove_mut(&key(record));
            }

            pub(super) fn write(&self, records: &mut Vec<MetadataRecord>) {
                records.extend(self.iter().map(|entry| entry.clone().into()));
            }
        }
    };
}

keyed_records! {
    /// All ACLs.
    AclsImage {
        Uuid => AccessControlEntryRecord by |record| record.id,
        removed by RemoveAccessControlEntryRecord by |record| record.id
    }
}
keyed_records! {
    /// All SCRAM credentials, by mechanism and user.
    ScramImage {
        (i8, String) => UserScramCredentialRecord by |record| (record.mechanism, record.name.clone()),
        removed by RemoveUserScramCredentialRecord by |record| (record.mechanism, record.name.clone())
    }
}
keyed_records! {
    /// All delegation tokens.
    DelegationTokensImage {
        String => DelegationTokenRecord by |record| record.token_id.clone(),
        removed by RemoveDelegationTokenRecord by |record| record.token_id.clone()
    }
}
