//! What this process is in the cluster, and what it does for clients by itself.

use super::key::config_keys;

config_keys! {
    /// What this process is in the cluster, and what it does for clients by itself.
    pub struct NodeSettings, keys KEYS {
        /// Roles of this node; `broker,controller` is one process that does both.
        process_roles: Vec<String>, "process.roles" = "broker,controller", ReadOnly, EachOf(&["broker", "controller"]), Applied;
        /// Id of this node, unique in the cluster; kept in meta.properties.
        node_id: i32, "node.id" = 1, ReadOnly, AtLeast(0), Applied;
        /// Rack or zone of this broker, shown to clients and used to spread replicas.
        broker_rack: Option<String>, "broker.rack" = null, ReadOnly, Any, Applied;
        /// Whether a client may create a topic by asking for its metadata or producing to it.
        auto_create_topics_enable: bool, "auto.create.topics.enable" = true, ReadOnly, Any, Applied;
        /// Whether DeleteTopics is allowed.
        delete_topic_enable: bool, "delete.topic.enable" = true, ReadOnly, Any, Applied;
        /// Partitions of a topic created without a count.
        num_partitions: i32, "num.partitions" = 1, ReadOnly, AtLeast(1), Applied;
        /// Replicas of a topic created without a factor.
        default_replication_factor: i32, "default.replication.factor" = 1, ReadOnly, Any, Applied;
    }
    without_field {
        /// Old name of node.id.
        Int "broker.id" = "-1", ReadOnly, Any, Applied;
        /// Java class that may refuse CreateTopics.
        Class "create.topic.policy.class.name" = null, ReadOnly, Any, Unsupported("topic policies are Java classes; use ACLs or the limits of this table");
        /// Java class that may refuse AlterConfigs.
        Class "alter.config.policy.class.name" = null, ReadOnly, Any, Unsupported("config policies are Java classes; there is no replacement");
        /// Threads for background jobs; the runtime sizes itself by the cores.
        Int "background.threads" = 10, ClusterWide, AtLeast(1), NoEffect;
        /// Request handler threads; the runtime sizes itself by the cores.
        Int "num.io.threads" = 8, ClusterWide, AtLeast(1), NoEffect;
        /// Socket threads per listener; the runtime sizes itself by the cores.
        Int "num.network.threads" = 3, ClusterWide, AtLeast(1), NoEffect;
        /// Whether leadership is moved away before a stop; always done.
        Boolean "controlled.shutdown.enable" = true, ReadOnly, Any, NoEffect;
        /// How long a broker waits to be registered by the controller.
        Int "initial.broker.registration.timeout.ms" = 60000, ReadOnly, Any, NoEffect;
        /// Advertise request versions that are not final in Apache Kafka; never done.
        Boolean "unstable.api.versions.enable" = false, ReadOnly, Any, NoEffect;
        /// Allow feature levels that are not final in Apache Kafka; never done.
        Boolean "unstable.feature.versions.enable" = false, ReadOnly, Any, NoEffect;
        /// Data directories that get no new partitions.
        List "cordoned.log.dirs" = "", PerBroker, Any, NoEffect;
        /// Names of the providers that may stand in values; `file`, `env` and `dir` always work.
        List "config.providers" = "", ClusterWide, EachOf(&["file", "env", "dir", "directory"]), NoEffect;
    }
}
