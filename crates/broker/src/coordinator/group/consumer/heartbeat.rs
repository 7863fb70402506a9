//! ConsumerGroupHeartbeat: a member joins, lives, gives up and gets partitions, and leaves.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::TopicId;
use ottla_protocol::messages::consumer_group_heartbeat_response as answer;
use ottla_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::draft::Draft;
use super::group::ConsumerGroup;
use super::member::{LEAVE, LEAVE_STATIC, Member};
use crate::coordinator::group::assignor::{Assignment, Assignor};
use crate::coordinator::group::core::{Core, TimerKey, text};
use crate::coordinator::group::message::Origin;
use crate::coordinator::group::records::GroupRecord;
use crate::expression::compile;

/// Why a heartbeat is refused: the code, and words for whoever reads the client's log.
#[derive(Debug)]
pub(in crate::coordinator::group) struct Refusal(pub(super) ResponseError, pub(super) String);

impl Refusal {
    /// There is no such consumer group.
    pub(in crate::coordinator::group) fn not_found(why: String) -> Self {
        Self(ResponseError::GroupIdNotFound, why)
    }

    /// The answer.
    pub(in crate::coordinator::group) fn response(&self) -> ConsumerGroupHeartbeatResponse {
        ConsumerGroupHeartbeatResponse::default()
            .with_error_code(self.0.code())
            .with_error_message(Some(text(&self.1)))
    }
}

pub(super) fn refuse<T>(error: ResponseError, why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(error, why.into()))
}

type Decision = (Vec<GroupRecord>, ConsumerGroupHeartbeatResponse);

/// What can be told of a request by itself (`throwIfConsumerGroupHeartbeatRequestIsInvalid`).
pub(in crate::coordinator::group) fn check(
    version: i16,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<(), Refusal> {
    let invalid = |why: &str| refuse(ResponseError::InvalidRequest, why);
    let is_blank = |text: Option<&str>| text.is_some_and(|text| text.trim().is_empty());
    if (version >= 1 || request.member_epoch != 0) && is_blank(Some(&request.member_id)) {
        return invalid("MemberId can't be empty.");
    }
    if is_blank(Some(&request.group_id)) {
        return invalid("GroupId can't be empty.");
    }
    if is_blank(request.instance_id.as_deref()) {
        return invalid("InstanceId can't be empty.");
    }
    if is_blank(request.rack_id.as_deref()) {
        return invalid("RackId can't be empty.");
    }
    match request.member_epoch {
        0 => {
            if request.rebalance_timeout_ms == -1 {
                return invalid("RebalanceTimeoutMs must be provided in first request.");
            }
            if request
                .topic_partitions
                .as_ref()
                .is_none_or(|owned| !owned.is_empty())
            {
                return invalid("TopicPartitions must be empty when (re-)joining.");
            }
            if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none()
            {
                return invalid(
                    "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
                );
            }
        }
        LEAVE_STATIC if request.instance_id.is_none() => {
            return invalid("InstanceId can't be null.");
        }
        LEAVE | LEAVE_STATIC | 1.. => {}
        _ => return invalid("MemberEpoch is invalid."),
    }
    let assignor = request.server_assignor.as_deref();
    if let Some(name) = assignor.filter(|name| Assignor::by_name(name).is_none()) {
        let why =
            format!("ServerAssignor {name} is not supported. Supported assignors: uniform, range.");
        return refuse(ResponseError::UnsupportedAssignor, why);
    }
    Ok(())
}

/// A regular expression is looked at when it is new to a member (`hasMemberSubscriptionChanged`).
fn check_regex(before: &Member, updated: &Member) -> Result<(), Refusal> {
    let new = updated.regex.as_deref().filter(|regex| !regex.is_empty());
    if updated.regex != before.regex && new.is_some_and(|regex| compile(regex).is_none()) {
        let why = "SubscribedTopicRegex is not a valid regular expression, or too large a one.";
        return refuse(ResponseError::InvalidRegularExpression, why);
    }
    Ok(())
}

impl ConsumerGroup {
    /// Decide on a request that has passed [`check`]; it neither changes the group nor takes what the records say.
    pub(in crate::coordinator::group) fn heartbeat(
        &self,
        core: &mut Core,
        origin: &Origin,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<Decision, Refusal> {
        if request.member_epoch < 0 {
            return self.leave(core, request);
        }
        let id: Arc<str> = match request.member_id.is_empty() {
            true => (core.new_id)().to_string().into(),
            false => Arc::from(&*request.member_id),
        };
        let joins = request.member_epoch == 0;
        let is_full = self.members.len() >= core.config.consumer_max_size;
        if joins && is_full && !self.members.contains_key(&id) {
            let why = "The consumer group has reached its maximum capacity.";
            return refuse(ResponseError::GroupMaxSizeReached, why);
        }
        let owned = owned(request);
        // Most heartbeats change nothing, and a group can be large: copy it only when they do.
        if let Some(response) = self.unchanged(core, origin, request, owned.as_ref()) {
            return Ok((Vec::new(), response));
        }
        let mut draft = Draft::new(self);
        let member = find_member(&mut draft, &id, request, owned.as_ref())?;
        let updated = updated(&member, origin, request);
        check_regex(&member, &updated)?;
        draft.update_member(core, &member, &updated);
        draft.update_target(core);
        draft.group.schedule_expressions(core);
        let is_behind = request.member_epoch > 0 && request.member_epoch < member.epoch;
        let (before, epoch_before) = (member.assigned, member.epoch);
        let member = match is_behind {
            // It has missed the last answer and is told it again. This may be an old request that comes late, though,
            // and then what it says it owns is no longer so; nor would anybody hear of a step that it is answered with.
            // Kafka takes the step, and gives away what the member still has.
            true => draft.member_or_new(&id),
            false => draft.reconcile(&id, owned.as_ref()),
        };
        if member.epoch != epoch_before {
            // Its time to give up partitions begins anew with its epoch.
            core.timers
                .cancel(&TimerKey::ConsumerRebalance(self.id.clone(), id.clone()));
        }
        self.set_timers(core, &member);
        let is_full = joins || is_behind || is_full_request(request);
        let assignment = (is_full || member.assigned != before).then_some(&member.assigned);
        let response = self.response(core, &member, assignment);
        Ok((draft.records, response))
    }

    /// The answer to a member that has nothing to say and nothing to do.
    fn unchanged(
        &self,
        core: &mut Core,
        origin: &Origin,
        request: &ConsumerGroupHeartbeatRequest,
        owned: Option<&Assignment>,
    ) -> Option<ConsumerGroupHeartbeatResponse> {
        let member = self.members.get(&*request.member_id)?;
        let is_settled = request.member_epoch == member.epoch
            && member.epoch > 0
            && self.epoch == self.target_epoch
            && member.is_reconciled_to(self.target_epoch)
            && request.instance_id.as_deref() == member.instance_id.as_deref()
            && updated(member, origin, request) == *member
            && self.metadata_hash == self.compute_metadata_hash(&*core.topics);
        if !is_settled {
            return None;
        }
        self.schedule_expressions(core);
        self.set_timers(core, member);
        let is_full = is_full_request(request) && owned.is_some();
        Some(self.response(core, member, is_full.then_some(&member.assigned)))
    }

    fn response(
        &self,
        core: &Core,
        member: &Member,
        assignment: Option<&Assignment>,
    ) -> ConsumerGroupHeartbeatResponse {
        let interval_ms = core.dynamic.consumer(&self.id).heartbeat_interval_ms;
        let assignment = assignment.map(|assignment| {
            let topics = assignment.iter().map(|(topic, indexes)| {
                answer::TopicPartitions::default()
                    .with_topic_id(topic.0)
                    .with_partitions(indexes.iter().copied().collect())
            });
            answer::Assignment::default().with_topic_partitions(topics.collect())
        });
        ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(text(&member.id)))
            .with_member_epoch(member.epoch)
            .with_heartbeat_interval_ms(interval_ms)
            .with_assignment(assignment)
    }

    fn leave(
        &self,
        core: &mut Core,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<Decision, Refusal> {
        let member = self.known_member(&request.member_id, request.instance_id.as_deref())?;
        let response = ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(request.member_id.clone()))
            .with_member_epoch(request.member_epoch);
        if request.member_epoch == LEAVE_STATIC {
            // It will come back: its partitions wait for it until its session ends.
            let leaving = Member {
                epoch: LEAVE_STATIC,
                pending_revocation: Assignment::new(),
                ..member.clone()
            };
            return Ok((vec![self.current_record(&leaving)], response));
        }
        Ok((self.removal(core, &request.member_id), response))
    }

    /// The member, if it is who it says it is.
    pub(super) fn known_member(
        &self,
        id: &str,
        instance_id: Option<&str>,
    ) -> Result<&Member, Refusal> {
        let unknown = |why| Refusal(ResponseError::UnknownMemberId, why);
        if let Some(instance_id) = instance_id {
            let known = self.static_members.get(instance_id);
            let known =
                known.ok_or_else(|| unknown(format!("Instance id {instance_id} is unknown.")))?;
            if **known != *id {
                let why = format!(
                    "Static member {id} with instance id {instance_id} was fenced by member {known}."
                );
                return refuse(ResponseError::FencedInstanceId, why);
            }
        }
        self.members
            .get(id)
            .ok_or_else(|| unknown(format!("Member {id} is not a member of group {}.", self.id)))
    }

    pub(super) fn current_record(&self, member: &Member) -> GroupRecord {
        let key = self.member_key(&member.id);
        GroupRecord::ConsumerGroupCurrentMemberAssignment(key, Some(member.current_record()))
    }
}

/// The member as it is before this heartbeat: a new one, one that takes the place of a static member, or a known one
/// whose epoch is right.
fn find_member(
    draft: &mut Draft,
    id: &Arc<str>,
    request: &ConsumerGroupHeartbeatRequest,
    owned: Option<&Assignment>,
) -> Result<Member, Refusal> {
    let instance_id = request.instance_id.as_deref();
    if request.member_epoch > 0 {
        let member = draft.group.known_member(id, instance_id)?;
        check_epoch(member, request.member_epoch, owned)?;
        return Ok(member.clone());
    }
    match draft.holder(instance_id, id) {
        Some(holder) => draft.replace_static_member(&holder, id, false),
        // A known one starts anew, and has nothing: it says so.
        None => Ok(draft.member_or_new(id)),
    }
}

/// The member with what the request says of it; what it does not say stays.
fn updated(member: &Member, origin: &Origin, request: &ConsumerGroupHeartbeatRequest) -> Member {
    let mut updated = member.clone();
    let optional = |text: &Option<ottla_protocol::kafka_protocol::protocol::StrBytes>| {
        text.as_deref().map(Arc::<str>::from)
    };
    updated.instance_id = optional(&request.instance_id).or(updated.instance_id);
    updated.rack_id = optional(&request.rack_id).or(updated.rack_id);
    updated.server_assignor = optional(&request.server_assignor).or(updated.server_assignor);
    updated.regex = optional(&request.subscribed_topic_regex).or(updated.regex);
    if request.rebalance_timeout_ms != -1 {
        updated.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }
    if let Some(names) = &request.subscribed_topic_names {
        let names: BTreeSet<&str> = names.iter().map(|name| &***name).collect();
        updated.topics = names.into_iter().map(Arc::from).collect();
    }
    updated.client_id = origin.client_id.clone();
    updated.client_host = origin.client_host.clone();
    updated.classic = None;
    updated
}

/// A member one epoch behind may not have got the last answer, if it has no more than it was given.
fn check_epoch(member: &Member, epoch: i32, owned: Option<&Assignment>) -> Result<(), Refusal> {
    let fenced = || {
        let compared = match epoch > member.epoch {
            true => "greater",
            false => "smaller",
        };
        let why = format!(
            "The consumer group member has a {compared} member epoch ({epoch}) than the one known by the group coordinator ({}). The member must abandon all its partitions and rejoin.",
            member.epoch
        );
        refuse(ResponseError::FencedMemberEpoch, why)
    };
    if epoch == member.epoch {
        return Ok(());
    }
    let is_subset = owned.is_some_and(|owned| {
        (owned.iter()).all(|(topic, indexes)| {
            let assigned = member.assigned.get(topic);
            assigned.is_some_and(|assigned| indexes.is_subset(assigned))
        })
    });
    match epoch < member.epoch && epoch == member.previous_epoch && is_subset {
        true => Ok(()),
        false => fenced(),
    }
}

fn owned(request: &ConsumerGroupHeartbeatRequest) -> Option<Assignment> {
    let topics = request.topic_partitions.as_ref()?.iter();
    Some(
        topics
            .map(|topic| {
                (
                    TopicId(topic.topic_id),
                    topic.partitions.iter().copied().collect(),
                )
            })
            .collect(),
    )
}

/// A request that says everything, as after an error: it is told everything.
fn is_full_request(request: &ConsumerGroupHeartbeatRequest) -> bool {
    let subscribes =
        request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some();
    request.rebalance_timeout_ms != -1 && subscribes && request.topic_partitions.is_some()
}
