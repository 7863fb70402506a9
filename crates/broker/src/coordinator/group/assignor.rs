//! Server-side assignors (KIP-848): who shall own which partition.
//!
//! Pure functions over plain data: members with their subscriptions and what they had, and the sizes of the topics.

mod range;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_protocol::ids::TopicId;

/// Partitions by topic; topics without partitions are left out.
pub type Assignment = BTreeMap<TopicId, BTreeSet<i32>>;

/// A member as an assignor sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignorMember {
    /// The topics it subscribes to, as far as they exist.
    pub topics: BTreeSet<TopicId>,
    /// What it was to own until now.
    pub previous: Assignment,
}

/// Members by id.
pub type AssignorMembers = BTreeMap<Arc<str>, AssignorMember>;

/// An assignor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// As many partitions for each as for the others, and as few moves as that allows.
    Uniform,
    /// Of each topic a run of partitions, so that equal indexes of several topics meet.
    Range,
}

impl Assignor {
    /// All of them, the default first.
    pub const ALL: [Self; 2] = [Self::Uniform, Self::Range];

    /// By its name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|assignor| assignor.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// Give every partition of a subscribed topic to one of its subscribers.
    pub fn assign(
        self,
        members: &AssignorMembers,
        sizes: &BTreeMap<TopicId, i32>,
    ) -> BTreeMap<Arc<str>, Assignment> {
        match self {
            Self::Uniform => uniform::assign(members, sizes),
            Self::Range => range::assign(members, sizes),
        }
    }
}

#[cfg(test)]
mod tests;
