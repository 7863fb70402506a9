//! What becomes of a partition's leader, replicas and in-sync replicas when a broker comes, leaves or crashes, or when
//! somebody asks for an election or a reassignment (`PartitionChangeBuilder`).

use std::collections::BTreeMap;

use ottla_protocol::ids::{BrokerId, PartitionIndex, TopicId};

use super::Controller;
use crate::config::dynamic;
use crate::metadata::image::{LeaderRecoveryState, PartitionRegistration, TopicImage};
use crate::metadata::record::{
    MetadataRecord, MetadataVersion, NO_LEADER, NO_LEADER_CHANGE, PartitionChangeRecord,
};

/// Feature by which replicas that left the ISR cleanly may still lead (KIP-966).
const ELR_FEATURE: &str = "eligible.leader.replicas.version";

/// Value of `leaderRecoveryState` in a record.
const RECOVERING: i8 = 1;

/// What happens to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BrokerEvent {
    /// It leaves or left in good order: it holds all it ever acknowledged.
    Leaves(BrokerId),
    /// It crashed: what it acknowledged may be lost.
    Crashed(BrokerId),
    /// It may lead from now on.
    Comes(BrokerId),
    /// Nothing: somebody asks for an election.
    None,
}

/// An election that somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Election {
    /// Of the first replica, if it is in sync.
    Preferred,
    /// Of any replica that is there, even if it has lost records.
    Unclean,
}

/// The configs that elections depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    has_elr: bool,
    min_isr: usize,
    unclean: bool,
    prefers_first: bool,
    bumps_on_shrink: bool,
}

/// What a partition is to have, elections apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Its replicas, the preferred leader first.
    pub(super) replicas: Vec<BrokerId>,
    /// Those of them that are in sync.
    pub(super) isr: Vec<BrokerId>,
    /// Replicas that leave once the others are in sync.
    pub(super) removing: Vec<BrokerId>,
    /// Replicas that a reassignment adds.
    pub(super) adding: Vec<BrokerId>,
}

impl Target {
    /// What `partition` has now.
    pub(super) fn of(partition: &PartitionRegistration) -> Self {
        Self {
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            removing: partition.removing_replicas.clone(),
            adding: partition.adding_replicas.clone(),
        }
    }

    /// A reassignment is done when every replica that stays is in sync (`maybeCompleteReassignment`).
    fn complete_reassignment(&mut self) {
        if self.removing.is_empty() && self.adding.is_empty() {
            return;
        }
        let staying = |brokers: &[BrokerId]| -> Vec<BrokerId> {
            let brokers = brokers.iter().copied();
            brokers
                .filter(|broker| !self.removing.contains(broker))
                .collect()
        };
        let (replicas, isr) = (staying(&self.replicas), staying(&self.isr));
        if !isr.is_empty() && replicas.iter().all(|broker| isr.contains(broker)) {
            *self = Self {
                replicas,
                isr,
                removing: Vec::new(),
                adding: Vec::new(),
            };
        }
    }
}

/// The outcome of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Elected {
    leader: BrokerId,
    unclean: bool,
}

impl Rules {
    /// Whether a replica that may have lost records may lead.
    pub(super) fn may_be_unclean(self) -> bool {
        self.unclean
    }

    /// The same, but only who has lost nothing may lead.
    pub(super) fn clean(self) -> Self {
        Self {
            unclean: false,
            ..self
        }
    }
}

impl Controller<'_> {
    /// The changes to all partitions that `event` concerns.
    pub(super) fn partition_changes(&self, event: BrokerEvent) -> Vec<MetadataRecord> {
        let concerns = |partition: &PartitionRegistration| match event {
            BrokerEvent::Leaves(broker) => partition.isr.contains(&broker),
            BrokerEvent::Crashed(broker) => {
                partition.isr.contains(&broker)
                    || partition.eligible_leader_replicas.contains(&broker)
            }
            BrokerEvent::Comes(_) | BrokerEvent::None => !partition.has_leader(),
        };
        let mut records = Vec::new();
        // Most topics have no configs of their own, and there may be very many of them.
        let common = self.config_rules(&BTreeMap::new());
        for topic in self.image.topics.iter() {
            let own = self.image.configs.topic(topic.name());
            let rules = if own.is_empty() {
                common
            } else {
                self.config_rules(own)
            };
            let concerned = topic
                .partitions()
                .filter(|(_, partition)| concerns(partition));
            records.extend(concerned.filter_map(|(index, partition)| {
                let change = self.change(topic.id(), index, partition, event, rules)?;
                Some(MetadataRecord::from(change))
            }));
        }
        records
    }

    /// The rules for elections in `topic`.
    pub(super) fn rules(&self, topic: &TopicImage) -> Rules {
        self.config_rules(self.image.configs.topic(topic.name()))
    }

    fn config_rules(&self, own: &BTreeMap<String, String>) -> Rules {
        let config = dynamic::topic_config(&self.layers(own));
        let version = self.image.features.metadata_version();
        Rules {
            has_elr: self.image.features.level(ELR_FEATURE) > 0
                && version >= MetadataVersion::IBP_4_0_IV1,
            min_isr: usize::try_from(config.min_insync_replicas).unwrap_or(1),
            unclean: config.unclean_leader_election_enable,
            prefers_first: false,
            bumps_on_shrink: version < MetadataVersion(12),
        }
    }

    /// The change that an election asked for makes, if any.
    pub(super) fn elected_change(
        &self,
        topic_id: TopicId,
        partition_id: PartitionIndex,
        partition: &PartitionRegistration,
        election: Election,
        rules: Rules,
    ) -> Option<PartitionChangeRecord> {
        let rules = Rules {
            unclean: rules.unclean || election == Election::Unclean,
            prefers_first: election == Election::Preferred,
            ..rules
        };
        self.change(topic_id, partition_id, partition, BrokerEvent::None, rules)
    }

    /// The change that makes `partition` what `target` says, if it is any.
    pub(super) fn reassigned_change(
        &self,
        (topic_id, partition_id): (TopicId, PartitionIndex),
        partition: &PartitionRegistration,
        target: Target,
        rules: Rules,
    ) -> Option<PartitionChangeRecord> {
        let id = (topic_id, partition_id);
        self.change_to(id, partition, target, BrokerEvent::None, rules)
    }

    fn change(
        &self,
        topic_id: TopicId,
        partition_id: PartitionIndex,
        partition: &PartitionRegistration,
        event: BrokerEvent,
        rules: Rules,
    ) -> Option<PartitionChangeRecord> {
        let id = (topic_id, partition_id);
        self.change_to(id, partition, Target::of(partition), event, rules)
    }

    fn change_to(
        &self,
        (topic_id, partition_id): (TopicId, PartitionIndex),
        partition: &PartitionRegistration,
        mut target: Target,
        event: BrokerEvent,
        rules: Rules,
    ) -> Option<PartitionChangeRecord> {
        let gone = match event {
            BrokerEvent::Leaves(broker) | BrokerEvent::Crashed(broker) => Some(broker),
            BrokerEvent::Comes(_) | BrokerEvent::None => None,
        };
        let acceptable = |broker: BrokerId| {
            Some(broker) != gone
                && (event == BrokerEvent::Comes(broker) || self.image.cluster.is_active(broker))
        };
        target.isr.retain(|broker| Some(*broker) != gone);
        target.complete_reassignment();
        let mut isr = target.isr.clone();
        let mut elr = eligible(partition, &isr, event, rules);
        let elected = elect(partition, &target.replicas, &isr, &elr, rules, acceptable);

        let mut record = PartitionChangeRecord {
            topic_id,
            partition_id,
            ..Default::default()
        };
        if elected.leader != partition.leader {
            record.leader = elected.leader;
            if elr.contains(&elected.leader) {
                isr = vec![elected.leader];
                elr.retain(|broker| *broker != elected.leader);
            } else if elected.unclean {
                record.isr = Some(vec![elected.leader]);
                elr.clear();
                if partition.leader_recovery_state != LeaderRecoveryState::Recovering {
                    record.leader_recovery_state = RECOVERING;
                }
            }
        }
        // Who has been a follower for the last time has to see a new epoch.
        let is_follower = |broker: &BrokerId| target.replicas.contains(broker);
        if record.leader == NO_LEADER_CHANGE && !partition.replicas.iter().all(is_follower) {
            record.leader = partition.leader;
        }
        if elr != partition.eligible_leader_replicas {
            record.eligible_leader_replicas = Some(elr);
        }
        // Without eligible leader replicas the last member stays in the ISR: it is the only one who may lead again.
        if record.isr.is_none() && (!isr.is_empty() || rules.has_elr) && isr != partition.isr {
            record.isr = Some(isr);
        }
        let shrinks =
            |isr: &Vec<BrokerId>| partition.isr.iter().any(|member| !isr.contains(member));
        if rules.bumps_on_shrink
            && record.leader == NO_LEADER_CHANGE
            && record.isr.as_ref().is_some_and(shrinks)
        {
            record.leader = partition.leader;
        }
        if rules.has_elr {
            record.last_known_elr = last_known_leader(partition, &record);
        }
        self.assign_replicas(partition, target, &mut record);
        let unchanged = PartitionChangeRecord {
            topic_id,
            partition_id,
            ..Default::default()
        };
        (record != unchanged).then_some(record)
    }

    fn assign_replicas(
        &self,
        partition: &PartitionRegistration,
        target: Target,
        record: &mut PartitionChangeRecord,
    ) {
        if target.replicas != partition.replicas {
            let directory = |broker: &BrokerId| {
                let directory = partition.directory(*broker);
                directory.unwrap_or_else(|| self.default_directory(*broker))
            };
            record.directories = Some(target.replicas.iter().map(directory).collect());
            record.replicas = Some(target.replicas);
        }
        if target.removing != partition.removing_replicas {
            record.removing_replicas = Some(target.removing);
        }
        if target.adding != partition.adding_replicas {
            record.adding_replicas = Some(target.adding);
        }
    }
}

/// The replicas that may lead though they are not in `isr`.
fn eligible(
    partition: &PartitionRegistration,
    isr: &[BrokerId],
    event: BrokerEvent,
    rules: Rules,
) -> Vec<BrokerId> {
    if !rules.has_elr || isr.len() >= rules.min_isr.min(partition.replicas.len()) {
        return Vec::new();
    }
    let former = partition
        .isr
        .iter()
        .filter(|broker| !partition.eligible_leader_replicas.contains(broker));
    let candidates = partition
        .eligible_leader_replicas
        .iter()
        .chain(former)
        .copied();
    candidates
        .filter(|broker| !isr.contains(broker) && event != BrokerEvent::Crashed(*broker))
        .collect()
}

fn elect(
    partition: &PartitionRegistration,
    replicas: &[BrokerId],
    isr: &[BrokerId],
    elr: &[BrokerId],
    rules: Rules,
    acceptable: impl Fn(BrokerId) -> bool,
) -> Elected {
    let clean = |leader| Elected {
        leader,
        unclean: false,
    };
    let unclean = |leader| Elected {
        leader,
        unclean: true,
    };
    let valid = |broker: BrokerId| {
        (isr.contains(&broker) || (isr.is_empty() && elr.contains(&broker))) && acceptable(broker)
    };
    let preferred = replicas.first().filter(|_| rules.prefers_first);
    if let Some(preferred) = preferred.filter(|broker| valid(**broker)) {
        return clean(*preferred);
    }
    if valid(partition.leader) {
        return clean(partition.leader);
    }
    if let Some(online) = replicas.iter().copied().find(|broker| valid(*broker)) {
        return clean(online);
    }
    let nobody_knows_more = rules.has_elr && isr.is_empty() && elr.is_empty();
    if let ([last], true) = (&partition.last_known_elr[..], nobody_knows_more)
        && acceptable(*last)
    {
        return unclean(*last);
    }
    let any = replicas.iter().copied().find(|broker| acceptable(*broker));
    match any.filter(|_| rules.unclean) {
        Some(broker) => unclean(broker),
        None => clean(NO_LEADER),
    }
}

/// The change to `last_known_elr`, which holds the last leader as long as there is none.
fn last_known_leader(
    partition: &PartitionRegistration,
    record: &PartitionChangeRecord,
) -> Option<Vec<BrokerId>> {
    let becomes_empty = record.isr.as_ref().is_some_and(Vec::is_empty);
    let has_leader = record.leader.0 >= 0 || (partition.has_leader() && record.leader != NO_LEADER);
    if becomes_empty && partition.last_known_elr != [partition.leader] {
        Some(vec![partition.leader])
    } else if has_leader && !partition.last_known_elr.is_empty() {
        Some(Vec::new())
    } else {
        None
    }
}
