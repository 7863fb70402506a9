//! Transactions and where their state is kept.

use super::key::config_keys;

config_keys! {
    /// Transactions and where their state is kept.
    pub struct TransactionSettings, keys KEYS {
        /// Partitions of __transaction_state; not to be changed once it exists.
        transaction_state_log_num_partitions: i32, "transaction.state.log.num.partitions" = 50, ReadOnly, AtLeast(1), Applied;
        /// Replicas of __transaction_state; never more than there are brokers.
        transaction_state_log_replication_factor: i16, "transaction.state.log.replication.factor" = 3, ReadOnly, AtLeast(1), Applied;
        /// min.insync.replicas of __transaction_state; never more than there are brokers.
        transaction_state_log_min_isr: i32, "transaction.state.log.min.isr" = 2, ReadOnly, AtLeast(1), Applied;
        /// Segment size of __transaction_state, bytes.
        transaction_state_log_segment_bytes: i32, "transaction.state.log.segment.bytes" = 104857600, ReadOnly, AtLeast(1), Applied;
        /// Longest transaction timeout a producer may ask for, ms.
        transaction_max_timeout_ms: i32, "transaction.max.timeout.ms" = 900000, ReadOnly, AtLeast(1), Applied;
        /// How long an idle transactional id is kept, ms.
        transactional_id_expiration_ms: i32, "transactional.id.expiration.ms" = 604800000, ReadOnly, AtLeast(1), Applied;
        /// How often timed-out transactions are looked for, ms.
        transaction_abort_timed_out_transaction_cleanup_interval_ms: i32, "transaction.abort.timed.out.transaction.cleanup.interval.ms" = 10000, ReadOnly, AtLeast(1), NoEffect;
        /// How often expired transactional ids are looked for, ms.
        transaction_remove_expired_transaction_cleanup_interval_ms: i32, "transaction.remove.expired.transaction.cleanup.interval.ms" = 3600000, ReadOnly, AtLeast(1), Applied;
        /// Whether an append asks the coordinator if its transaction is open.
        transaction_partition_verification_enable: bool, "transaction.partition.verification.enable" = true, ClusterWide, Any, Applied;
    }
    without_field {
        /// Batch size when transactions are loaded, bytes.
        Int "transaction.state.log.load.buffer.size" = 5242880, ReadOnly, AtLeast(1), NoEffect;
        /// Whether producers may hold a transaction open for an outside coordinator (KIP-939).
        Boolean "transaction.two.phase.commit.enable" = false, ReadOnly, Any, NoEffect;
    }
}
