//! Records about topics and their partitions.

use ottla_protocol::ids::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use uuid::Uuid;

use super::message::message;

/// Leader of a partition that has none (`LeaderConstants.NO_LEADER`).
pub const NO_LEADER: BrokerId = BrokerId(-1);
/// Value of [`PartitionChangeRecord::leader`] when the leader stays (`LeaderConstants.NO_LEADER_CHANGE`). Any other
/// value, even the same leader, also counts the leader epoch up by one.
pub const NO_LEADER_CHANGE: BrokerId = BrokerId(-2);
/// Value of [`PartitionChangeRecord::leader_recovery_state`] when it stays (`LeaderRecoveryState.NO_CHANGE`).
pub const NO_RECOVERY_STATE_CHANGE: i8 = -1;

/// Directory of a replica that was placed before directories had ids (`DirectoryId.MIGRATING`).
pub const DIRECTORY_MIGRATING: Uuid = Uuid::nil();
/// Directory of a replica whose broker has not chosen one yet (`DirectoryId.UNASSIGNED`).
pub const DIRECTORY_UNASSIGNED: Uuid = Uuid::from_u128(1);
/// Directory of a replica whose directory is offline (`DirectoryId.LOST`).
pub const DIRECTORY_LOST: Uuid = Uuid::from_u128(2);

message! {
    /// A topic exists. Its partitions and configs follow in records of their own.
    TopicRecord {
        /// Name of the topic.
        name: String [0+],
        /// Its id, never used before.
        topic_id: TopicId [0+],
    }

    /// A topic, its partitions and its configs are gone.
    RemoveTopicRecord {
        /// Id of the topic.
        topic_id: TopicId [0+],
    }

    /// The whole state of one partition.
    PartitionRecord {
        /// Index within the topic.
        partition_id: PartitionIndex [0+] = PartitionIndex(-1),
        /// Id of the topic.
        topic_id: TopicId [0+],
        /// Replicas, the preferred leader first.
        replicas: Vec<BrokerId> [0+],
        /// Replicas in sync with the leader.
        isr: Vec<BrokerId> [0+],
        /// Replicas that leave when the reassignment is done.
        removing_replicas: Vec<BrokerId> [0+],
        /// Replicas that the reassignment added.
        adding_replicas: Vec<BrokerId> [0+],
        /// The leader, or [`NO_LEADER`].
        leader: BrokerId [0+] = NO_LEADER,
        /// 0 recovered, 1 recovering from an unclean election.
        leader_recovery_state: i8 [0+] tag 0 = 0,
        /// Counts the changes of leader.
        leader_epoch: LeaderEpoch [0+] = LeaderEpoch(-1),
        /// Counts the changes of this partition's state.
        partition_epoch: i32 [0+] = -1,
        /// Log directory of each replica, in the order of `replicas` (KIP-858).
        directories: Vec<Uuid> [1+],
        /// Replicas that may lead though no longer in sync (KIP-966).
        eligible_leader_replicas: Option<Vec<BrokerId>> [2+] tag 1 = None,
        /// Last members of the above before the last unclean shutdown.
        last_known_elr: Option<Vec<BrokerId>> [2+] tag 2 = None,
    }

    /// What changed in one partition. Each one counts the partition epoch up by one.
    PartitionChangeRecord {
        /// Index within the topic.
        partition_id: PartitionIndex [0+] = PartitionIndex(-1),
        /// Id of the topic.
        topic_id: TopicId [0+],
        /// The new in-sync replicas; no change when null.
        isr: Option<Vec<BrokerId>> [0+] tag 0 = None,
        /// The new leader, [`NO_LEADER`] or [`NO_LEADER_CHANGE`].
        leader: BrokerId [0+] tag 1 = NO_LEADER_CHANGE,
        /// The new replicas; no change when null.
        replicas: Option<Vec<BrokerId>> [0+] tag 2 = None,
        /// The new list of leaving replicas; no change when null.
        removing_replicas: Option<Vec<BrokerId>> [0+] tag 3 = None,
        /// The new list of added replicas; no change when null.
        adding_replicas: Option<Vec<BrokerId>> [0+] tag 4 = None,
        /// 0 recovered, 1 recovering, [`NO_RECOVERY_STATE_CHANGE`] no change.
        leader_recovery_state: i8 [0+] tag 5 = NO_RECOVERY_STATE_CHANGE,
        /// The new eligible leader replicas; no change when null.
        eligible_leader_replicas: Option<Vec<BrokerId>> [2+] tag 6 = None,
        /// The new last known eligible leader replicas; no change when null.
        last_known_elr: Option<Vec<BrokerId>> [2+] tag 7 = None,
        /// The new log directories, in the order of the replicas; no change when null.
        directories: Option<Vec<Uuid>> [1+] tag 8 = None,
    }

    /// The eligible leader replicas of a topic's partitions are dropped.
    ClearElrRecord {
        /// Name of the topic; empty means all topics.
        topic_name: String [0+],
    }
}
