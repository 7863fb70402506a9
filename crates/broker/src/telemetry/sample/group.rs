//! Groups: how far behind they are, and how many there are in which state.

use std::collections::BTreeMap;

use ottla_protocol::ids::{Offset, Timestamp};

use super::super::catalogue::Name;
use super::super::page::Page;

/// Records between a committed offset and the end of what consumers may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// The oldest of them; `None` when there is none.
    pub oldest: Option<Offset>,
    /// How many offsets they span.
    pub records: i64,
}

impl Lag {
    /// The lag of who has committed `committed` in a log that reaches from `start` to `end`. What was deleted unread is
    /// no lag: nobody can catch up with it. An offset behind the end, as after a loss of records, lags by nothing.
    pub fn of(committed: Offset, start: Offset, end: Offset) -> Self {
        let from = committed.max(start);
        let records = end.0.saturating_sub(from.0).max(0);
        Self {
            oldest: (records > 0).then_some(from),
            records,
        }
    }
}

/// How long ago `written` was, in seconds; 0 when it lies ahead, as clocks of producers may do.
pub fn age_seconds(written: Timestamp, now: Timestamp) -> f64 {
    now.0.saturating_sub(written.0).max(0) as f64 / 1000.0
}

/// What a group has committed in one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetSample<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Number of the partition.
    pub partition: i32,
    /// Offset of the next record to consume.
    pub committed: i64,
    /// Records not yet consumed; `None` where the partition is not known.
    pub lag: Option<i64>,
    /// Age of the oldest of them; `None` where it is not known.
    pub lag_seconds: Option<f64>,
}

/// Writes the series of one group, whose `offsets` stand topic by topic.
pub fn write_group(group: &str, members: u64, offsets: &[OffsetSample<'_>], page: &mut Page) {
    page.whole(Name::ConsumerGroupMembers, &[group], members);
    for of_topic in offsets.chunk_by(|a, b| a.topic == b.topic) {
        let topic = of_topic[0].topic;
        for offset in of_topic {
            offset.write(group, page);
        }
        let labels = [group, topic];
        let committed = of_topic.iter().map(|offset| offset.committed).sum();
        page.signed(Name::ConsumerGroupCurrentOffsetSum, &labels, committed);
        let lags = of_topic.iter().filter_map(|offset| offset.lag);
        page.signed(Name::ConsumerGroupLagSum, &labels, lags.sum());
    }
}

impl OffsetSample<'_> {
    fn write(&self, group: &str, page: &mut Page) {
        if !page.wants(Name::ConsumerGroupLag) {
            return;
        }
        let partition = self.partition.to_string();
        let labels = [group, self.topic, partition.as_str()];
        page.signed(Name::ConsumerGroupCurrentOffset, &labels, self.committed);
        if let Some(lag) = self.lag {
            page.signed(Name::ConsumerGroupLag, &labels, lag);
        }
        if let Some(seconds) = self.lag_seconds {
            page.fraction(Name::ConsumerGroupLagSeconds, &labels, seconds);
        }
    }
}

/// Sums over the groups of a coordinator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupTotals {
    by_protocol_and_state: BTreeMap<(&'static str, String), u64>,
    offsets: u64,
}

impl GroupTotals {
    /// Counts a group by its protocol, `classic` or `consumer`, and its state.
    pub fn add(&mut self, protocol: &'static str, state: &str, offsets: u64) {
        let key = (protocol, state.to_owned());
        *self.by_protocol_and_state.entry(key).or_default() += 1;
        self.offsets += offsets;
    }

    /// Writes the sums. Dashboards know the states of classic groups; those of consumer groups count as the one that
    /// says the same.
    pub fn write(&self, page: &mut Page) {
        let in_states = |states: &[&str]| -> u64 {
            let groups = self.by_protocol_and_state.iter();
            let groups = groups.filter(|((_, state), _)| states.contains(&state.as_str()));
            groups.map(|(_, count)| count).sum()
        };
        let of_protocol = |protocol: &str| -> u64 {
            let groups = self.by_protocol_and_state.iter();
            let groups = groups.filter(|((known, _), _)| *known == protocol);
            groups.map(|(_, count)| count).sum()
        };
        page.whole(Name::Groups, &[], self.by_protocol_and_state.values().sum());
        page.whole(Name::GroupsEmpty, &[], in_states(&["Empty"]));
        page.whole(Name::GroupsStable, &[], in_states(&["Stable"]));
        let preparing = in_states(&["PreparingRebalance", "Assigning"]);
        page.whole(Name::GroupsPreparing, &[], preparing);
        let completing = in_states(&["CompletingRebalance", "Reconciling"]);
        page.whole(Name::GroupsCompleting, &[], completing);
        page.whole(Name::GroupsDead, &[], 0);
        page.whole(Name::GroupOffsets, &[], self.offsets);
        for protocol in ["classic", "consumer"] {
            page.whole(Name::GroupsByProtocol, &[protocol], of_protocol(protocol));
        }
        for state in ["Empty", "Assigning", "Reconciling", "Stable"] {
            let key = ("consumer", state.to_owned());
            let count = self.by_protocol_and_state.get(&key).copied();
            let label = state.to_lowercase();
            page.whole(
                Name::ConsumerGroupsByState,
                &[&label],
                count.unwrap_or_default(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn lag(committed: i64, start: i64, end: i64) -> (Option<i64>, i64) {
        let lag = Lag::of(Offset(committed), Offset(start), Offset(end));
        (lag.oldest.map(|offset| offset.0), lag.records)
    }

    #[test]
    fn lag_is_between_what_is_there_and_what_was_committed() {
        assert_eq!(lag(4, 0, 10), (Some(4), 6));
        assert_eq!(lag(0, 0, 10), (Some(0), 10));
        assert_eq!(lag(10, 0, 10), (None, 0));
        assert_eq!(lag(4, 7, 10), (Some(7), 3), "clamped to the log's start");
        assert_eq!(lag(4, 10, 10), (None, 0), "all was deleted");
        assert_eq!(lag(12, 0, 10), (None, 0), "beyond the end");
        assert_eq!(lag(-1, 0, i64::MAX), (Some(0), i64::MAX));
    }

    #[test]
    fn age_is_never_negative() {
        assert_eq!(age_seconds(Timestamp(1_000), Timestamp(3_500)), 2.5);
        assert_eq!(age_seconds(Timestamp(4_000), Timestamp(3_500)), 0.0);
    }

    #[test]
    fn a_group_is_shown_by_partition_and_by_topic() {
        let offset = |topic, partition, committed, lag, lag_seconds| OffsetSample {
            topic,
            partition,
            committed,
            lag,
            lag_seconds,
        };
        let offsets = [
            offset("a", 0, 4, Some(6), Some(1.5)),
            offset("a", 1, 9, Some(0), Some(0.0)),
            offset("gone", 0, 7, None, None),
        ];
        for partitions in [true, false] {
            let mut page = Page::new(Duration::ZERO, Timestamp(0), partitions);
            write_group("g", 2, &offsets, &mut page);
            let text = page.finish();
            let has = |line: &str| text.lines().any(|found| found == line);
            for line in [
                "kafka_consumergroup_members{consumergroup=\"g\"} 2",
                "kafka_consumergroup_lag_sum{consumergroup=\"g\",topic=\"a\"} 6",
                "kafka_consumergroup_current_offset_sum{consumergroup=\"g\",topic=\"a\"} 13",
            ] {
                assert!(has(line), "{line}\n{text}");
            }
            let labels = "{consumergroup=\"g\",topic=\"a\",partition=\"0\"}";
            for line in [
                format!("kafka_consumergroup_current_offset{labels} 4"),
                format!("kafka_consumergroup_lag{labels} 6"),
                format!("kafka_consumergroup_lag_seconds{labels} 1.5"),
            ] {
                assert_eq!(has(&line), partitions, "{line}\n{text}");
            }
            let gone = "lag{consumergroup=\"g\",topic=\"gone\"";
            assert!(!text.contains(gone), "{text}");
        }
    }

    #[test]
    fn groups_are_counted_by_state_and_protocol() {
        let mut totals = GroupTotals::default();
        totals.add("classic", "Empty", 3);
        totals.add("classic", "Stable", 1);
        totals.add("consumer", "Stable", 0);
        totals.add("consumer", "Reconciling", 2);
        let mut page = Page::new(Duration::ZERO, Timestamp(0), true);
        totals.write(&mut page);
        let text = page.finish();
        for line in [
            "kafka_coordinator_group_groupmetadatamanager_numgroups 4",
            "kafka_coordinator_group_groupmetadatamanager_numgroupsempty 1",
            "kafka_coordinator_group_groupmetadatamanager_numgroupsstable 2",
            "kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance 1",
            "kafka_coordinator_group_groupmetadatamanager_numoffsets 6",
            "kafka_server_group_coordinator_metrics_group_count{protocol=\"consumer\"} 2",
            "kafka_server_group_coordinator_metrics_consumer_group_count{state=\"stable\"} 1",
            "kafka_server_group_coordinator_metrics_consumer_group_count{state=\"empty\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
