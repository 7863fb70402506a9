//! Records about the nodes of the cluster: brokers and controllers.

use ottla_protocol::ids::BrokerId;
use uuid::Uuid;

use super::message::message;

message! {
    /// A broker process registered, or registered again with other properties. Replaces the earlier
    /// registration of the same id.
    RegisterBrokerRecord {
        /// Id of the broker.
        broker_id: BrokerId [0+],
        /// It was a ZooKeeper-mode broker under migration. Always false since 4.0.
        is_migrating_zk_broker: bool [2+] = false,
        /// Random id of the process; another one means the process was restarted.
        incarnation_id: Uuid [0+],
        /// Epoch the controller gave to this registration; fences requests of earlier ones.
        broker_epoch: i64 [0+],
        /// Where it listens.
        end_points: Vec<BrokerEndpoint> [0+],
        /// Feature levels it can work with.
        features: Vec<BrokerFeature> [0+],
        /// Its rack, if it named one.
        rack: Option<String> [0+],
        /// It leads nothing and is not told to clients.
        fenced: bool [0+] = true,
        /// It is handing over its leaderships before it stops.
        in_controlled_shutdown: bool [1+] = false,
        /// Ids of its log directories that are online, sorted (KIP-858).
        log_dirs: Vec<Uuid> [3+] tag 0,
        /// Ids of log directories that get no new replicas (KIP-1066); none when null.
        cordoned_log_dirs: Option<Vec<Uuid>> [4+] tag 1 = None,
    }

    /// One listener of a broker.
    BrokerEndpoint {
        /// Name of the listener.
        name: String [0+],
        /// Host name or address told to clients.
        host: String [0+],
        /// Port told to clients.
        port: u16 [0+],
        /// `SecurityProtocol.id`: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
        security_protocol: i16 [0+],
    }

    /// Levels of one feature that a broker can work with.
    BrokerFeature {
        /// Name of the feature.
        name: String [0+],
        /// Lowest level.
        min_supported_version: i16 [0+],
        /// Highest level.
        max_supported_version: i16 [0+],
    }

    /// A broker was removed from the cluster for good.
    UnregisterBrokerRecord {
        /// Id of the broker.
        broker_id: BrokerId [0+],
        /// Epoch of the registration that is removed.
        broker_epoch: i64 [0+],
    }

    /// A broker was fenced. Old form of [`BrokerRegistrationChangeRecord`]; read, never written.
    FenceBrokerRecord {
        /// Id of the broker.
        id: BrokerId [0+],
        /// Epoch of its registration.
        epoch: i64 [0+],
    }

    /// A broker was unfenced. Old form of [`BrokerRegistrationChangeRecord`]; read, never written.
    UnfenceBrokerRecord {
        /// Id of the broker.
        id: BrokerId [0+],
        /// Epoch of its registration.
        epoch: i64 [0+],
    }

    /// Part of a broker's registration changed.
    BrokerRegistrationChangeRecord {
        /// Id of the broker.
        broker_id: BrokerId [0+],
        /// Epoch of its registration.
        broker_epoch: i64 [0+],
        /// -1 it is now unfenced, 0 no change, 1 it is now fenced.
        fenced: i8 [0+] tag 0,
        /// 0 no change, 1 it is now in controlled shutdown.
        in_controlled_shutdown: i8 [1+] tag 1,
        /// Ids of all log directories that are online now; no change when empty.
        log_dirs: Vec<Uuid> [2+] tag 2,
        /// Ids of all cordoned log directories; no change when null.
        cordoned_log_dirs: Option<Vec<Uuid>> [3+] tag 3 = None,
    }

    /// A controller process registered. Replaces the earlier registration of the same id.
    RegisterControllerRecord {
        /// Id of the controller.
        controller_id: i32 [0+],
        /// Random id of the process.
        incarnation_id: Uuid [0+],
        /// It could migrate a ZooKeeper cluster. Always false since 4.0.
        zk_migration_ready: bool [0+],
        /// Where it listens.
        end_points: Vec<ControllerEndpoint> [0+],
        /// Feature levels it can work with.
        features: Vec<ControllerFeature> [0+],
    }

    /// One listener of a controller.
    ControllerEndpoint {
        /// Name of the listener.
        name: String [0+],
        /// Host name or address.
        host: String [0+],
        /// Port.
        port: u16 [0+],
        /// `SecurityProtocol.id`, as in [`BrokerEndpoint`].
        security_protocol: i16 [0+],
    }

    /// Levels of one feature that a controller can work with.
    ControllerFeature {
        /// Name of the feature.
        name: String [0+],
        /// Lowest level.
        min_supported_version: i16 [0+],
        /// Highest level.
        max_supported_version: i16 [0+],
    }
}
