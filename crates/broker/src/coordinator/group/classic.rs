//! The classic group protocol: members join, one of them assigns, all of them sync (KIP-62 and what followed).
//!
//! The coordinator knows nothing of what is assigned: eager and cooperative rebalancing are the members' business.
//! Only the outcome of a rebalance is in the log, one record for each generation; members that are joining, parked
//! requests and deadlines are not, and are rebuilt by the clients after a restart.

mod group;
mod heartbeat;
mod join;
mod leave;
mod member;
mod rebalance;
mod state;
mod sync;
mod upgrade;

pub(super) use group::ClassicGroup;
pub(super) use join::refusal as join_refusal;
pub(super) use sync::refusal as sync_refusal;
