//! Members of groups of the consumer protocol (KIP-848): one heartbeat after the other until all is assigned.

use std::time::Duration;

use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use ottla_protocol::messages::{ConsumerGroupHeartbeatRequest, GroupId};
use uuid::Uuid;

use super::{LARGE, PARTITIONS, TOPIC, await_coordinator, is_starting};
use crate::client::{Client, refused};
use crate::clock::now;
use crate::error::{BenchError, Result};
use crate::request::topic_name;
use crate::server::Server;

const VERSION: i16 = 1;
const GROUP: &str = "bench-large";
/// A group that is not settled by then will not be.
const LIMIT: Duration = Duration::from_secs(60);

/// A settled group gets one more member: the time from its first heartbeat until all partitions are owned again, every
/// member at the same epoch.
pub(super) fn rebalance(server: &Server) -> Result<(Vec<Client>, Duration)> {
    let mut members: Vec<Member> = (0..LARGE - 1)
        .map(|number| Member::join(server, number))
        .collect::<Result<_>>()?;
    settle(&mut members)?;
    let start = now();
    members.push(Member::join(server, LARGE - 1)?);
    settle(&mut members)?;
    let took = now() - start;
    Ok((
        members.into_iter().map(|member| member.client).collect(),
        took,
    ))
}

/// Heartbeats of all members in turn until nothing changes any more.
fn settle(members: &mut [Member]) -> Result<()> {
    let start = now();
    loop {
        members.iter_mut().try_for_each(Member::heartbeat)?;
        let owned: usize = members.iter().map(Member::owned).sum();
        let epoch = members.iter().map(|member| member.epoch).max();
        let is_current = |member: &Member| Some(member.epoch) == epoch;
        if owned == PARTITIONS && members.iter().all(is_current) {
            return Ok(());
        }
        if now() - start > LIMIT {
            let what = format!("after {LIMIT:?} {owned} of {PARTITIONS} partitions are owned");
            return Err(BenchError::Server(what));
        }
    }
}

struct Member {
    client: Client,
    id: StrBytes,
    epoch: i32,
    assigned: Vec<(Uuid, Vec<i32>)>,
    /// What the member has told the coordinator that it owns.
    reported: Option<Vec<(Uuid, Vec<i32>)>>,
}

impl Member {
    fn join(server: &Server, number: usize) -> Result<Self> {
        let mut client = Client::connect(server.address)?;
        await_coordinator(&mut client, GROUP)?;
        let mut member = Self {
            client,
            id: StrBytes::from_string(Uuid::from_u128(number as u128 + 1).to_string()),
            epoch: 0,
            assigned: Vec::new(),
            reported: None,
        };
        while member.epoch == 0 {
            member.heartbeat()?;
        }
        Ok(member)
    }

    fn owned(&self) -> usize {
        self.assigned.iter().map(|(_, list)| list.len()).sum()
    }

    /// Says what it owns when that has changed, and takes what it is given.
    fn heartbeat(&mut self) -> Result<()> {
        let mut request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(StrBytes::from_static_str(GROUP)))
            .with_member_id(self.id.clone())
            .with_member_epoch(self.epoch)
            .with_rebalance_timeout_ms(-1);
        if self.epoch == 0 {
            request = request
                .with_rebalance_timeout_ms(60_000)
                .with_subscribed_topic_names(Some(vec![topic_name(TOPIC)]))
                .with_topic_partitions(Some(Vec::new()));
        } else if self.reported.as_ref() != Some(&self.assigned) {
            let owned = self.assigned.iter().map(|(topic, list)| {
                TopicPartitions::default()
                    .with_topic_id(*topic)
                    .with_partitions(list.clone())
            });
            request = request.with_topic_partitions(Some(owned.collect()));
            self.reported = Some(self.assigned.clone());
        }
        let answer = self.client.call(VERSION, &request)?;
        if is_starting(answer.error_code) {
            std::thread::sleep(Duration::from_millis(5));
            return Ok(());
        }
        refused("ConsumerGroupHeartbeat", answer.error_code)?;
        self.epoch = answer.member_epoch;
        if let Some(assignment) = answer.assignment {
            let topics = assignment.topic_partitions.into_iter();
            self.assigned = topics
                .map(|topic| (topic.topic_id, topic.partitions))
                .collect();
        }
        Ok(())
    }
}
