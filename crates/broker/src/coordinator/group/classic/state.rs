//! The states of a classic group and what it does in each.
//!
//! | state | JoinGroup | SyncGroup | Heartbeat | OffsetCommit of a member | leaves it |
//! |---|---|---|---|---|---|
//! | Empty | starts a rebalance | unknown member | unknown member | only without membership | a member joins |
//! | PreparingRebalance | parked | rebalance in progress | rebalance in progress | taken | all have joined, or time is up |
//! | CompletingRebalance | same answer, or a new rebalance | parked until the leader's | taken | rebalance in progress | the leader's SyncGroup |
//! | Stable | answered, or a new rebalance | answered | taken | taken | a member comes, changes, leaves or dies |

use std::fmt;

/// State of a classic group; its text form is what DescribeGroups and ListGroups tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No members; it lingers for the sake of its offsets.
    Empty,
    /// Members are joining. `initial` while an empty group waits for its first members to come together.
    PreparingRebalance {
        /// The initial delay, when it runs.
        initial: Option<InitialDelay>,
    },
    /// The members know their generation and wait for the leader's assignment.
    CompletingRebalance,
    /// The members have their assignments.
    Stable,
}

/// The delay before the first rebalance of an empty group (KIP-134).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InitialDelay {
    /// A member joined since the deadline was set.
    pub(super) new_member: bool,
    /// The delay that runs, ms.
    pub(super) delay_ms: i32,
    /// By how much it may still be extended, ms.
    pub(super) remaining_ms: i32,
}

impl State {
    /// Whether members are joining.
    pub(super) fn is_preparing(self) -> bool {
        matches!(self, Self::PreparingRebalance { .. })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance { .. } => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        })
    }
}
