//! Copying partitions between brokers and moving leadership.

use super::key::config_keys;

config_keys! {
    /// Copying partitions between brokers and moving leadership.
    pub struct ReplicationSettings, keys KEYS {
    }
    without_field {
        /// Fetcher threads for each source broker.
        Int "num.replica.fetchers" = 1, ClusterWide, AtLeast(1), NoEffect;
        /// Threads that move replicas between data directories.
        Int "num.replica.alter.log.dirs.threads" = null, ReadOnly, Any, NoEffect;
        /// Bytes asked for each partition by a follower.
        Int "replica.fetch.max.bytes" = 1048576, ReadOnly, AtLeast(0), NoEffect;
        /// Bytes asked for in one fetch by a follower.
        Int "replica.fetch.response.max.bytes" = 10485760, ReadOnly, AtLeast(0), NoEffect;
        /// Longest wait of a follower's fetch, ms.
        Int "replica.fetch.wait.max.ms" = 500, ReadOnly, Any, NoEffect;
        /// Smallest answer a follower waits for, bytes.
        Int "replica.fetch.min.bytes" = 1, ReadOnly, Any, NoEffect;
        /// Pause of a follower after a failed fetch, ms.
        Int "replica.fetch.backoff.ms" = 1000, ReadOnly, AtLeast(0), NoEffect;
        /// A follower that has not caught up for this long leaves the ISR, ms.
        Long "replica.lag.time.max.ms" = 30000, ReadOnly, Any, NoEffect;
        /// Socket timeout of follower fetches, ms.
        Int "replica.socket.timeout.ms" = 30000, ReadOnly, Any, NoEffect;
        /// Receive buffer of follower connections, bytes.
        Int "replica.socket.receive.buffer.bytes" = 65536, ReadOnly, Any, NoEffect;
        /// How often high watermarks are written, ms.
        Long "replica.high.watermark.checkpoint.interval.ms" = 5000, ReadOnly, Any, NoEffect;
        /// Java class that picks the replica a consumer reads from.
        String "replica.selector.class" = null, ReadOnly, Any, Unsupported("only the built-in rack-aware choice is planned");
        /// Whether leadership moves back to the preferred replicas by itself.
        Boolean "auto.leader.rebalance.enable" = true, ReadOnly, Any, NoEffect;
        /// How often leader balance is looked at, seconds.
        Long "leader.imbalance.check.interval.seconds" = 300, ReadOnly, AtLeast(1), NoEffect;
        /// Socket timeout of requests to the controller, ms.
        Int "controller.socket.timeout.ms" = 30000, ReadOnly, Any, NoEffect;
        /// First pause before asking again whether a transaction is open, ms.
        Int "add.partitions.to.txn.retry.backoff.ms" = 20, ReadOnly, AtLeast(1), NoEffect;
        /// Longest pause before asking again whether a transaction is open, ms.
        Int "add.partitions.to.txn.retry.backoff.max.ms" = 100, ReadOnly, AtLeast(0), NoEffect;
        /// Whether a new follower of a tiered topic begins after what is tiered.
        Boolean "follower.fetch.last.tiered.offset.enable" = false, ClusterWide, Any, NoEffect;
    }
}
