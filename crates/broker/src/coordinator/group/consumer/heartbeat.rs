//! ConsumerGroupHeartbeat: a member joins, lives, gives up and gets partitions, and leaves.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::TopicId;
use ottla_protocol::messages::consumer_group_heartbeat_response as answer;
use ottla_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::current_assignment::Step;
use super::group::ConsumerGroup;
use super::member::{LEAVE, LEAVE_STATIC, Member, target_record};
use super::subscription::{compile, resolve};
use crate::coordinator::group::assignor::{Assignment, Assignor};
use crate::coordinator::group::core::{Core, TimerKey, text};
use crate::coordinator::group::message::Origin;
use crate::coordinator::group::records::{ConsumerGroupTargetAssignmentMemberValue, GroupRecord};

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

fn refuse<T>(error: ResponseError, why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(error, why.into()))
}

type Decision = (Vec<GroupRecord>, ConsumerGroupHeartbeatResponse);

/// A group that is being changed: each record is noted and taken into it at once, so that what comes next is decided
/// on what will be.
struct Draft {
    group: ConsumerGroup,
    records: Vec<GroupRecord>,
}

impl Draft {
    fn push(&mut self, record: GroupRecord) {
        self.group.replay(record.clone());
        self.records.push(record);
    }
}

/// What can be told of a request by itself (`throwIfConsumerGroupHeartbeatRequestIsInvalid`).
pub(in crate::coordinator::group) fn check(
    version: i16,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<(), Refusal> {
    let invalid = |why: &str| refuse(ResponseError::InvalidRequest, why);
    let is_blank = |text: Option<&str>| text.is_some_and(|text| text.trim().is_empty());
    if is_blank(Some(&request.group_id)) {
        return invalid("GroupId can't be empty.");
    }
    if is_blank(request.instance_id.as_deref()) {
        return invalid("InstanceId can't be empty.");
    }
    if is_blank(request.rack_id.as_deref()) {
        return invalid("RackId can't be empty.");
    }
    if (version >= 1 || request.member_epoch != 0) && is_blank(Some(&request.member_id)) {
        return invalid("MemberId can't be empty.");
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
    if assignor.is_some_and(|name| Assignor::by_name(name).is_none()) {
        let why = "ServerAssignor is not supported. Supported assignors: uniform, range.";
        return refuse(ResponseError::UnsupportedAssignor, why);
    }
    let regex = request
        .subscribed_topic_regex
        .as_deref()
        .filter(|regex| !regex.is_empty());
    if regex.is_some_and(|regex| compile(regex).is_none()) {
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
        let mut draft = Draft {
            group: self.clone(),
            records: Vec::new(),
        };
        let member = draft.find_member(&id, request, owned.as_ref())?;
        draft.update_subscription(core, origin, request, &member);
        if draft.group.epoch > draft.group.target_epoch {
            for record in draft.group.target_records(&*core.topics) {
                draft.push(record);
            }
        }
        let (before, epoch_before) = (member.assigned, member.epoch);
        let member = draft.reconcile(&id, owned.as_ref());
        if member.epoch != epoch_before {
            // Its time to give up partitions begins anew with its epoch.
            core.timers
                .cancel(&TimerKey::ConsumerRebalance(self.id.clone(), id.clone()));
        }
        self.set_timers(core, &member);
        let is_full = joins || is_full_request(request);
        let assignment = (is_full || member.assigned != before).then_some(&member.assigned);
        let response = response(core, &member, assignment);
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
            && self.metadata_hash == self.compute_metadata_hash(&*core.topics)
            && !self.has_stale_expression(core);
        if !is_settled {
            return None;
        }
        self.set_timers(core, member);
        let is_full = is_full_request(request) && owned.is_some();
        Some(response(core, member, is_full.then_some(&member.assigned)))
    }

    fn has_stale_expression(&self, core: &Core) -> bool {
        let version = core.topics.version();
        let expressions = self.expressions();
        expressions.iter().any(|regex| {
            let resolved = self.regexes.get(regex);
            resolved.is_none_or(|resolved| resolved.version != version)
        })
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

    /// The records that take a member out, whose partitions are then free.
    pub(in crate::coordinator::group) fn removal(
        &self,
        core: &mut Core,
        id: &str,
    ) -> Vec<GroupRecord> {
        if !self.members.contains_key(id) {
            return Vec::new();
        }
        let mut draft = Draft {
            group: self.clone(),
            records: Vec::new(),
        };
        for record in self.member_tombstones(id) {
            draft.push(record);
        }
        draft.drop_expressions();
        let hash = draft.group.compute_metadata_hash(&*core.topics);
        draft.push(self.epoch_record(self.epoch.saturating_add(1), hash));
        draft.records
    }

    /// The member, if it is who it says it is.
    fn known_member(&self, id: &str, instance_id: Option<&str>) -> Result<&Member, Refusal> {
        let unknown = || {
            Refusal(
                ResponseError::UnknownMemberId,
                format!("Member {id} is not a member of the group."),
            )
        };
        if let Some(instance_id) = instance_id {
            let known = self.static_members.get(instance_id).ok_or_else(unknown)?;
            if **known != *id {
                let why = format!(
                    "Static member {id} with instance id {instance_id} was fenced by member {known}."
                );
                return refuse(ResponseError::FencedInstanceId, why);
            }
        }
        self.members.get(id).ok_or_else(unknown)
    }

    fn current_record(&self, member: &Member) -> GroupRecord {
        let key = self.member_key(&member.id);
        GroupRecord::ConsumerGroupCurrentMemberAssignment(key, Some(member.current_record()))
    }
}

impl Draft {
    /// The member as it is before this heartbeat: a new one, one that takes the place of a static member, or a known
    /// one whose epoch is right.
    fn find_member(
        &mut self,
        id: &Arc<str>,
        request: &ConsumerGroupHeartbeatRequest,
        owned: Option<&Assignment>,
    ) -> Result<Member, Refusal> {
        let instance_id = request.instance_id.as_deref();
        if request.member_epoch > 0 {
            let member = self.group.known_member(id, instance_id)?;
            check_epoch(member, request.member_epoch, owned)?;
            return Ok(member.clone());
        }
        let holder = instance_id.and_then(|instance_id| self.group.static_members.get(instance_id));
        if let Some(holder) = holder.filter(|holder| *holder != id).cloned() {
            return self.replace_static_member(&holder, id);
        }
        match self.group.members.get(id) {
            Some(member) => {
                // It starts anew, and has nothing: it says so.
                Ok(member.clone())
            }
            None => Ok(Member {
                id: id.clone(),
                ..Member::default()
            }),
        }
    }

    /// A process takes the place of a static member that has left for a while.
    fn replace_static_member(&mut self, holder: &str, id: &Arc<str>) -> Result<Member, Refusal> {
        let Some(old) = self.group.members.get(holder).cloned() else {
            return refuse(ResponseError::UnknownMemberId, "The static member is gone.");
        };
        if old.epoch != LEAVE_STATIC {
            let why = format!("The instance id is owned by member {holder}.");
            return refuse(ResponseError::UnreleasedInstanceId, why);
        }
        let target = self.group.target.get(holder).cloned().unwrap_or_default();
        for record in self.group.member_tombstones(holder) {
            self.push(record);
        }
        let member = Member {
            id: id.clone(),
            epoch: 0,
            previous_epoch: 0,
            ..old
        };
        let key = self.group.member_key(id);
        let metadata = member.metadata_record();
        self.push(GroupRecord::ConsumerGroupMemberMetadata(
            key.clone(),
            Some(metadata),
        ));
        let target = ConsumerGroupTargetAssignmentMemberValue {
            topic_partitions: target_record(&target),
        };
        self.push(GroupRecord::ConsumerGroupTargetAssignmentMember(
            key,
            Some(target),
        ));
        let current = self.group.current_record(&member);
        self.push(current);
        Ok(member)
    }

    /// Note what the member wants; a change of what is wanted, or of the topics, is a new epoch.
    fn update_subscription(
        &mut self,
        core: &Core,
        origin: &Origin,
        request: &ConsumerGroupHeartbeatRequest,
        member: &Member,
    ) {
        let updated = updated(member, origin, request);
        let is_known = self.group.members.contains_key(&member.id);
        let mut bump =
            !is_known || updated.topics != member.topics || updated.regex != member.regex;
        if !is_known || updated != *member {
            let key = self.group.member_key(&member.id);
            let metadata = updated.metadata_record();
            self.push(GroupRecord::ConsumerGroupMemberMetadata(
                key,
                Some(metadata),
            ));
        }
        self.resolve_expressions(core);
        let hash = self.group.compute_metadata_hash(&*core.topics);
        bump |= hash != self.group.metadata_hash;
        if bump {
            let epoch = self.group.epoch.saturating_add(1);
            self.push(self.group.epoch_record(epoch, hash));
        }
    }

    /// Look up what is new or may have changed, and forget what nobody uses.
    fn resolve_expressions(&mut self, core: &Core) {
        let version = core.topics.version();
        for regex in self.group.expressions() {
            let known = self.group.regexes.get(&regex);
            if known.is_some_and(|known| known.version == version) {
                continue;
            }
            let resolved = resolve(&regex, &*core.topics, core.now.wall);
            let record = self.group.regex_record(&regex, Some(resolved));
            self.push(record);
        }
        self.drop_expressions();
    }

    fn drop_expressions(&mut self) {
        let used = self.group.expressions();
        let unused: Vec<Arc<str>> = (self.group.regexes.keys())
            .filter(|regex| !used.contains(*regex))
            .cloned()
            .collect();
        for regex in unused {
            self.push(self.group.regex_record(&regex, None));
        }
    }

    /// Lead the member one step towards its target.
    fn reconcile(&mut self, id: &str, owned: Option<&Assignment>) -> Member {
        let nothing = Assignment::new();
        let Some(member) = self.group.members.get(id).cloned() else {
            return Member::default();
        };
        let step = Step {
            target_epoch: self.group.target_epoch,
            target: self.group.target.get(id).unwrap_or(&nothing),
            owned,
            is_taken: &|topic: TopicId, index| self.group.is_taken(topic, index),
        };
        let next = step.take(&member);
        if next != member {
            let record = self.group.current_record(&next);
            self.push(record);
        }
        next
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
        let why = format!(
            "The member epoch is {epoch}, the coordinator knows {}. The member must abandon all its partitions and rejoin.",
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

fn response(
    core: &Core,
    member: &Member,
    assignment: Option<&Assignment>,
) -> ConsumerGroupHeartbeatResponse {
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
        .with_heartbeat_interval_ms(core.config.consumer_heartbeat_interval_ms)
        .with_assignment(assignment)
}
