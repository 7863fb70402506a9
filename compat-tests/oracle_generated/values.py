"""What the fields of requests are filled with: what belongs there in a session, and what does not.

`Scene` is one request: the topic, group and producer that its fields agree on. `VALID` says by the name of a field
(or `Api.field`) what a right request holds; a field without an entry holds its kind's default. `WRONG` holds what to
try in a field beside the limits of its kind. Values that keep a right broker waiting, or that change a broker for
all later sessions, are left out: that is why some fields have an entry in `ONLY`, which allows no others.
"""

from harness import schema

from .play import RIGHT_KINDS, WRONG_KINDS, ask

TOPICS = {"t0": 1, "t1": 3}
GROUPS, MODERN_GROUPS, PRODUCERS, PLAIN_PRODUCER = ["g0", "g1"], ["c0", "c1"], ["x0", "x1"], "p0"
SUBSCRIPTION = bytes.fromhex("0001 00000001 0001 74 ffffffff 00000000")
ASSIGNMENT = bytes.fromhex("0001 00000001 0001 74 00000001 00000000 ffffffff")
MODERN = {schema.CONSUMER_GROUP_HEARTBEAT, schema.CONSUMER_GROUP_DESCRIBE}
TRANSACTIONAL = {schema.ADD_PARTITIONS_TO_TXN, schema.ADD_OFFSETS_TO_TXN, schema.END_TXN, schema.TXN_OFFSET_COMMIT}
READERS = {schema.OFFSET_COMMIT, schema.OFFSET_FETCH, schema.DESCRIBE_GROUPS, schema.OFFSET_DELETE, schema.DELETE_GROUPS}
LIMITS = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}
TOPIC_CONFIGS = [("retention.ms", "7000000"), ("segment.bytes", "1048576"), ("cleanup.policy", "delete"),
                 ("message.timestamp.type", "LogAppendTime"), ("max.message.bytes", "2000"), ("min.insync.replicas", "1")]
WRONG_CONFIGS = [("retention.ms", "-2"), ("retention.ms", "soon"), ("retention.ms", None), ("segment.bytes", "1"), ("nope", "1"),
                 ("cleanup.policy", "burn"), ("cleanup.policy", ""), ("", "1"), ("compression.type", "none"), ("", None)]
GROUP_CONFIGS = [("consumer.session.timeout.ms", "50000"), ("consumer.heartbeat.interval.ms", "6000"),
                 ("consumer.session.timeout.ms", "1"), ("nope", "1"), ("share.auto.offset.reset", "earliest")]

QUOTAS = ["producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate"]


class Scene:
    """The things that one request is about, chosen by `random`."""

    def __init__(self, random, api, version):
        self.random, self.api, self.version = random, api, version
        modern = api in MODERN or api in READERS and random.random() < 0.3
        self.group = random.choice(MODERN_GROUPS if modern else GROUPS)
        self.modern = modern
        self.transactional = api in TRANSACTIONAL or random.random() < 0.4
        self.producer = random.choice(PRODUCERS) if self.transactional else PLAIN_PRODUCER
        self.simple = random.random() < 0.3
        self.resource = random.choice([2, 2, 2, 32])
        self.turn()

    def turn(self):
        """The next element of a list: another topic, partition and config."""
        self.topic = self.random.choice(list(TOPICS))
        self.partition = self.random.randrange(TOPICS[self.topic])
        self.config = self.random.choice(GROUP_CONFIGS if self.resource == 32 else TOPIC_CONFIGS)
        self.modern_member = self.random.choice(["m0", "m0", "m1"])

    def pick(self, *values):
        return self.random.choice(values)

    def member(self):
        return "" if self.simple and not self.modern else ask.member(self.group)

    def generation(self):
        if self.simple and not self.modern:
            return -1
        return ask.epoch_of(self.group) if self.modern else ask.generation(self.group)

    def records(self):
        count = self.pick(1, 1, 2, 3)
        kind = self.pick(*RIGHT_KINDS)
        if self.random.random() < 0.4 or self.api.name == "Produce" and self.in_transaction():
            stamp = ask.stamp(self.producer, self.topic, self.partition)
            return ask.batch(count, kind, stamp=stamp, transactional=True) if self.in_transaction() \
                else ask.batch(count, kind, stamp=stamp)
        return ask.batch(count, kind)

    def in_transaction(self):
        return self.transactional and self.version >= 3


def topic_name(scene):
    return ask.name(scene.topic)


def topic_id(scene):
    return ask.topic_id(scene.topic)


def group_name(scene):
    return ask.name(scene.group)


def partition(scene):
    return scene.partition


def partitions(scene):
    return scene.pick([scene.partition], [scene.partition], list(range(TOPICS[scene.topic])))


def transactional_name(scene):
    return ask.name(scene.producer)


def member_of_group(scene):
    return scene.member()


def resource_name(scene):
    return ask.name(scene.topic) if scene.resource == 2 else ask.name(scene.group)


def quota_name(scene):
    return ask.name(scene.pick("u0", "u1"))


VALID = {
    "name": topic_name, "topic": topic_name, "topic_id": topic_id, "topic_names": lambda scene: [ask.name(scene.topic)],
    "index": partition, "partition": partition, "partition_index": partition, "partitions": partitions, "partition_indexes": partitions,
    "timeout_ms": lambda scene: 10000, "replica_id": lambda scene: -1, "acks": lambda scene: scene.pick(-1, -1, 1, 0),
    "Produce.transactional_id": lambda scene: ask.name(scene.producer) if scene.in_transaction() else None,
    "records": Scene.records,
    "max_wait_ms": lambda scene: scene.pick(0, 1, 20), "min_bytes": lambda scene: scene.pick(0, 1),
    "max_bytes": lambda scene: scene.pick(1 << 20, 1 << 20, 100, 0), "isolation_level": lambda scene: scene.pick(0, 1),
    "session_epoch": lambda scene: -1, "current_leader_epoch": lambda scene: scene.pick(-1, -1, 0), "last_fetched_epoch": lambda scene: -1,
    "fetch_offset": lambda scene: scene.pick(0, 0, 1, 2, 5), "Fetch.log_start_offset": lambda scene: -1,
    "partition_max_bytes": lambda scene: 1 << 20, "Fetch.forgotten_topics_data": lambda scene: [],
    "timestamp": lambda scene: scene.pick(-1, -2, -3, -4, -5, 0), "leader_epoch": lambda scene: scene.pick(0, 0, -1, 1),
    "group_id": group_name, "groups": lambda scene: [group_name(scene)], "group_ids": lambda scene: [group_name(scene)],
    "groups_names": lambda scene: [group_name(scene)], "member_id": member_of_group, "generation_id": lambda scene: scene.generation(),
    "generation_id_or_member_epoch": lambda scene: scene.generation(), "member_epoch": lambda scene: scene.generation(),
    "retention_time_ms": lambda scene: -1, "committed_offset": lambda scene: scene.pick(0, 3, 7),
    "committed_leader_epoch": lambda scene: scene.pick(-1, 0), "committed_metadata": lambda scene: scene.pick("m", ""),
    "key": lambda scene: ask.name(scene.group), "coordinator_keys": lambda scene: [ask.name(scene.group)],
    "JoinGroup.member_id": lambda scene: ask.member(scene.group), "session_timeout_ms": lambda scene: 30000,
    "JoinGroup.rebalance_timeout_ms": lambda scene: 200, "protocol_type": lambda scene: "consumer", "protocol_name": lambda scene: "range",
    "JoinGroup.name": lambda scene: "range", "metadata": lambda scene: SUBSCRIPTION, "assignment": lambda scene: ASSIGNMENT,
    "SyncGroup.member_id": lambda scene: ask.member(scene.group), "states_filter": lambda scene: scene.pick([], ["Stable"], ["Empty"]),
    "types_filter": lambda scene: scene.pick([], ["classic"], ["consumer"]), "TxnOffsetCommit.metadata": lambda scene: "m",
    "ConsumerGroupHeartbeat.member_id": lambda scene: ask.name(scene.modern_member),
    "ConsumerGroupHeartbeat.rebalance_timeout_ms": lambda scene: 60000,
    "subscribed_topic_names": lambda scene: [ask.name("t0"), ask.name("t1")],
    "ConsumerGroupHeartbeat.topic_partitions": lambda scene: [], "client_software_name": lambda scene: "a",
    "client_software_version": lambda scene: "1", "CreateTopics.name": lambda scene: ask.name(scene.pick("t0", "t1", "t2", "t3")),
    "num_partitions": lambda scene: scene.pick(1, 2, 3, -1), "replication_factor": lambda scene: scene.pick(1, -1),
    "CreateTopics.assignments": lambda scene: [], "CreatePartitions.assignments": lambda scene: None,
    "count": lambda scene: TOPICS[scene.topic] + scene.pick(1, 2), "transactional_id": transactional_name,
    "transactional_ids": lambda scene: [transactional_name(scene)], "InitProducerId.transactional_id": lambda scene: scene.pick(
        None, ask.name("x0"), ask.name("x1")), "transaction_timeout_ms": lambda scene: 60000,
    "InitProducerId.producer_id": lambda scene: -1, "InitProducerId.producer_epoch": lambda scene: -1,
    "producer_id": lambda scene: ask.producer_id(scene.producer), "producer_epoch": lambda scene: ask.producer_epoch(scene.producer),
    "committed": lambda scene: scene.pick(True, False), "transaction_result": lambda scene: scene.pick(True, False),
    "offset": lambda scene: scene.pick(0, 1, 2), "DeleteRecords.offset": lambda scene: scene.pick(0, 1, 2, -1),
    "resource_type": lambda scene: scene.resource, "resource_name": resource_name,
    "configuration_keys": lambda scene: scene.pick(None, [scene.config[0]], [scene.config[0], "nope"]),
    "configs.name": lambda scene: scene.config[0], "configs.value": lambda scene: scene.config[1],
    "config_operation": lambda scene: scene.pick(0, 0, 1), "resource_types": lambda scene: scene.pick([], [2], [32]),
    "election_type": lambda scene: scene.pick(0, 1), "replicas": lambda scene: scene.pick([1], None), "broker_ids": lambda scene: [1],
    "endpoint_type": lambda scene: 1, "feature": lambda scene: scene.pick("transaction.version", "metadata.version", "group.version"),
    "max_version_level": lambda scene: scene.pick(0, 1, 2), "upgrade_type": lambda scene: scene.pick(1, 2, 3),
    "UpdateFeatures.validate_only": lambda scene: True, "response_partition_limit": lambda scene: 2000,
    "cursor": lambda scene: None, "key_type": lambda scene: scene.pick(0, 0, 1), "duration_filter": lambda scene: -1,
    "state_filters": lambda scene: scene.pick([], ["Ongoing"], ["Empty"]), "producer_id_filters": lambda scene: [],
    "entries.entity": lambda scene: [{"entity_type": scene.pick("user", "client-id"), "entity_name": quota_name(scene)}],
    "entries.ops": lambda scene: [{"key": scene.pick(*QUOTAS), "value": scene.pick(5.0, 7.0), "remove": scene.pick(False, False, True)}],
    "AlterClientQuotas.validate_only": lambda scene: scene.pick(False, False, False, True),
    "entity_type": lambda scene: scene.pick("user", "client-id"), "match_type": lambda scene: 0, "match": lambda scene: quota_name(scene),
}

# Beside the limits of its kind.
WRONG = {
    "records": [ask.batch(kind=kind) for kind in WRONG_KINDS],
    "acks": [2, -2], "partition": [3, 99], "index": [3, 99], "partition_index": [3, 99],
    "member_id": ["nobody"], "group_instance_id": ["i", ""], "instance_id": ["i", ""], "rack_id": ["r", ""],
    "timestamp": [-6, 1],
    "session_timeout_ms": [99, 1800001], "states_filter": [["nonsense"], ["STABLE"], [""]], "types_filter": [["nonsense"], ["share"], [""]],
    "server_assignor": ["range", "uniform", "nonsense", ""], "election_type": [2], "endpoint_type": [2], "resource_type": [3, 4, 8, 16],
    "configs.value": [value for _, value in WRONG_CONFIGS], "config_operation": [2, 3, 4], "key_type": [2, 3],
    "replicas": [[2], [1, 1], [1, 2]], "broker_ids": [[2], [1, 1], [1, 2]], "committed_metadata": ["m" * 4097],
    "protocol_name": ["sticky"], "feature": ["nonsense"], "upgrade_type": [4],
    "transaction_timeout_ms": [900001], "resource_types": [[3], [99], [32, 32]],
    "generation_id": [ask.generation("g0", 1), ask.generation("g0", -1)], "member_epoch": [-2, ask.epoch_of("c0", 1)],
    "generation_id_or_member_epoch": [ask.generation("g0", 1), ask.epoch_of("c0", -1)],
    "Produce.name": ["__consumer_offsets"], "CreateTopics.name": ["__consumer_offsets"], "AddPartitionsToTxn.name": ["__consumer_offsets"],
    "producer_epoch": [ask.producer_epoch("x0", 1), ask.producer_epoch("x0", -1)], "transactional_id": [ask.name("x9")],
}
# Names that brokers keep something under whatever they say, so that each play has its own.
IDS = {"group_id", "transactional_id", "key"}
NAMES = ["", "a b", ".", "é", "n" * 250, "unknown"]

# Lists of which Apache Kafka answers a repeated element by accident: it drops a batch, answers once, or never at all.
UNREPEATED = {("Produce", "topics"), ("Produce", "partitions"), ("JoinGroup", "protocols"), ("OffsetCommit", "topics"),
              ("TxnOffsetCommit", "topics"), ("ListOffsets", "topics"), ("Fetch", "topics"), ("Fetch", "partitions"),
              ("AlterConfigs", "resources"), ("AddPartitionsToTxn", "transactions"), ("AddPartitionsToTxn", "topics"),
              ("WriteTxnMarkers", "markers"), ("WriteTxnMarkers", "topics"), ("WriteTxnMarkers", "partition_indexes")}

# Fields with no other values than these: a wait, a change for everyone, a follower, or what Apache Kafka throws at.
ONLY = {
    "Fetch.topic_id": [ask.topic_id("t0"), b"no such topic id"], "election_type": [0, 1, 2, -1], "num_partitions": [-2, -1, 0, 1, 2],
    "JoinGroup.name": ["range", "sticky"], "max_bytes": [0, 1, 100, 1 << 20], "JoinGroup.metadata": [SUBSCRIPTION],
    "session_id": [0, 12345], "session_epoch": [-1, 1, 5],  # oracle/fetch_sessions.py has those that begin and go on
    "DescribeTopicPartitions.name": [ask.name("t0"), ask.name("unknown"), "a b"],
    "AddPartitionsToTxn.partitions": [[0], [0, 2], [-1]], "isolation_level": [0, 1], "Fetch.replica_id": [-1], "ListOffsets.replica_id": [-1],
    "protocol_type": ["consumer", "connect", ""], "WriteTxnMarkers.producer_id": [-1, 0, 1, 2, (1 << 63) - 1],
    "max_wait_ms": [0, 1, -1], "timeout_ms": [1000, 10000, (1 << 31) - 1], "rebalance_timeout_ms": [200, 0, -1],
    "UpdateFeatures.validate_only": [True], "subscribed_topic_regex": [None, "", "("], "min_bytes": [0, 1, -1],
    # Nothing that other plays, or names that are looked up, have a part in.
    "entity_type": ["user", "client-id", "group", ""], "entity_name": [ask.name("u0"), ask.name("u1"), ""], "match": [ask.name("u0"), "", None],
    "AlterClientQuotas.key": [*QUOTAS, "connection_creation_rate", "nope", ""], "match_type": [0, 1, 2, 3, -1],
    "AlterClientQuotas.value": [0.0, -1.0, 0.5, 1e-7, 2.0**31, 2.0**63, 2.0**64, float("inf")],
    "duration_filter": [-1, 0, (1 << 63) - 1, -(1 << 63)], "allow_auto_topic_creation": [False, True], "response_partition_limit": [2000, 1, 0, -1, 2001],
}
