//! Records about the cluster as a whole: configs, features, quotas, producer ids, metadata transactions.

use ottla_protocol::ids::{BrokerId, ProducerId};

use super::message::message;

message! {
    /// A dynamic config is set or deleted.
    ConfigRecord {
        /// `ConfigResource.Type.id`: 2 topic, 4 broker, 16 client metrics, 32 group.
        resource_type: i8 [0+],
        /// Name of the topic or id of the broker; empty means the default of all brokers.
        resource_name: String [0+],
        /// Name of the config.
        name: String [0+],
        /// Its value; null deletes it.
        value: Option<String> [0+],
    }

    /// A feature is finalized at a level.
    FeatureLevelRecord {
        /// Name of the feature.
        name: String [0+],
        /// The level; 0 removes the feature.
        feature_level: i16 [0+],
    }

    /// A client quota is set or removed.
    ClientQuotaRecord {
        /// Whom it applies to: user, client id, ip, or several of them together.
        entity: Vec<EntityData> [0+],
        /// Name of the quota.
        key: String [0+],
        /// Its value.
        value: f64 [0+],
        /// True removes the quota.
        remove: bool [0+],
    }

    /// One part of the entity of a quota.
    EntityData {
        /// `user`, `client-id` or `ip`.
        entity_type: String [0+],
        /// Its name; null is the default entity of that type.
        entity_name: Option<String> [0+],
    }

    /// A block of producer ids was handed out.
    ProducerIdsRecord {
        /// Broker that got it.
        broker_id: BrokerId [0+],
        /// Epoch of that broker.
        broker_epoch: i64 [0+] = -1,
        /// First id that has not been handed out.
        next_producer_id: ProducerId [0+],
    }

    /// Nothing; moves the offset on.
    NoOpRecord {}

    /// State of a migration from ZooKeeper. Read and ignored; controllers still write it at activation.
    ZkMigrationStateRecord {
        /// `ZkMigrationState`: 0 none, 1 pre-migration, 2 migration, 3 post-migration.
        zk_migration_state: i8 [0+],
    }

    /// A metadata transaction begins: nothing up to its end may be published (KIP-868).
    BeginTransactionRecord {
        /// What it does, for people.
        name: Option<String> [0+] tag 0 = None,
    }

    /// The metadata transaction is done: all its records count.
    EndTransactionRecord {}

    /// The metadata transaction failed: none of its records counts.
    AbortTransactionRecord {
        /// Why, for people.
        reason: Option<String> [0+] tag 0 = None,
    }
}
