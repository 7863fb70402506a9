//! What the members of a group subscribe to: names, expressions, and whether the topics have changed.
//!
//! As in Kafka, no heartbeat waits for an expression: what a new one matches, or an old one once topics have come or
//! gone, is looked up afterwards, and comes to the members with their next heartbeats. What a member names it gets at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_protocol::ids::Timestamp;

use super::draft::Draft;
use super::group::ConsumerGroup;
use super::member::Member;
use crate::coordinator::group::core::{Core, TimerKey};
use crate::coordinator::group::records::{ConsumerGroupRegularExpressionValue, GroupRecord};
use crate::coordinator::group::topics::{Topic, Topics};
use crate::expression;

/// The topics an expression matches now; none when it is not an expression.
pub(super) fn resolve(
    expression: &str,
    topics: &dyn Topics,
    now: Timestamp,
) -> ConsumerGroupRegularExpressionValue {
    let names = topics.names();
    let mut matching: Vec<String> = match expression::compile(expression) {
        Some(regex) => (names.iter())
            .filter(|name| regex.is_match(name))
            .map(|name| name.to_string())
            .collect(),
        None => Vec::new(),
    };
    matching.sort();
    ConsumerGroupRegularExpressionValue {
        topics: matching,
        version: topics.version(),
        timestamp: now.0,
    }
}

impl ConsumerGroup {
    /// The topics a member subscribes to, as far as they exist.
    pub(super) fn topics_of(&self, member: &Member, topics: &dyn Topics) -> Vec<Topic> {
        let by_regex = member
            .regex
            .as_ref()
            .and_then(|regex| self.regexes.get(regex));
        let by_regex = by_regex
            .into_iter()
            .flat_map(|resolved| resolved.topics.iter().map(String::as_str));
        let names: BTreeSet<&str> = member
            .topics
            .iter()
            .map(|name| &**name)
            .chain(by_regex)
            .collect();
        names
            .into_iter()
            .filter_map(|name| topics.by_name(name))
            .collect()
    }

    /// A number that changes when a subscribed topic comes, goes or grows; 0 when there is none.
    pub(super) fn compute_metadata_hash(&self, topics: &dyn Topics) -> i64 {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for member in self.members.values() {
            names.extend(member.topics.iter().map(|name| &**name));
            let resolved = member
                .regex
                .as_ref()
                .and_then(|regex| self.regexes.get(regex));
            names.extend(
                resolved
                    .into_iter()
                    .flat_map(|resolved| resolved.topics.iter().map(String::as_str)),
            );
        }
        let mut hash = Fnv::default();
        for topic in names.into_iter().filter_map(|name| topics.by_name(name)) {
            hash.write(topic.id.0.as_bytes());
            hash.write(topic.name.as_bytes());
            hash.write(&topic.partitions.to_be_bytes());
        }
        hash.finish()
    }

    /// Have the expressions looked up of which it is not known what they match now.
    pub(super) fn schedule_expressions(&self, core: &mut Core) {
        let version = core.topics.version();
        let is_stale = |regex: &Arc<str>| {
            let resolved = self.regexes.get(regex);
            resolved.is_none_or(|resolved| resolved.version != version)
        };
        if self.expressions().iter().any(is_stale) {
            core.set_timer(TimerKey::ConsumerExpressions(self.id.clone()), 0);
        }
    }

    /// The records of what the members' expressions match now.
    pub(in crate::coordinator::group) fn resolved_expressions(
        &self,
        core: &Core,
    ) -> Vec<GroupRecord> {
        let mut draft = Draft::new(self);
        draft.resolve_expressions(core);
        draft.records
    }

    /// The expressions of all members.
    pub(super) fn expressions(&self) -> BTreeSet<Arc<str>> {
        let members = self.members.values();
        members
            .filter_map(|member| member.regex.clone())
            .filter(|regex| !regex.is_empty())
            .collect()
    }
}

/// FNV-1a, 64 bits: the hash is only ever compared with one made here, or taken for changed when Kafka made it.
struct Fnv(u64, bool);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325, false)
    }
}

impl Fnv {
    fn write(&mut self, bytes: &[u8]) {
        self.1 = true;
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(self) -> i64 {
        if self.1 { self.0.cast_signed() } else { 0 }
    }
}
