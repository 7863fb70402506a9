//! The consumer group protocol (KIP-848): members send heartbeats, the coordinator assigns.
//!
//! Each change of members, subscriptions or topics raises the group's epoch; a target assignment is computed for the
//! epoch; every member is led to the target step by step, by what its heartbeats tell it and what they tell of it. All
//! of it is in the log: a decision is made on a draft of the group, whose records then make the same of the group.

mod classic_member;
mod current_assignment;
mod draft;
mod group;
mod heartbeat;
mod member;
mod removal;
mod subscription;
mod target_assignment;
mod upgrade;

pub(super) use group::ConsumerGroup;
pub(super) use heartbeat::{Refusal, check};
