"""The scripts: what is asked of both brokers. A script must not depend on what an answer says, but for ids."""

import struct
import time

from harness import schema, session
from harness.batch import batch, record

HOUR_MS = 3_600_000


def topic_body(name, partitions=1, factor=1, configs=(), assignments=()):
    return {"name": name, "num_partitions": partitions, "replication_factor": factor,
            "configs": [{"name": key, "value": value} for key, value in configs],
            "assignments": [{"partition_index": index, "broker_ids": brokers} for index, brokers in assignments]}


def api_versions(recorder):
    """Every version, and names of client software that are not allowed."""
    for version in range(5):
        recorder.call("plain", schema.API_VERSIONS, version, {"client_software_name": "a", "client_software_version": "1"})
    for name, number in [("", "1"), ("a b", "1"), ("a", ""), ("-a", "1"), ("a", "1 0"), ("a-b.c", "1.0-x")]:
        for version in (3, 4):
            recorder.call(f"name {name!r} {number!r}", schema.API_VERSIONS, version,
                          {"client_software_name": name, "client_software_version": number})


def metadata(recorder):
    """Known, unknown and invalid names and ids in every version."""
    known = recorder.create("known", partitions=3)
    names = {"known": known, "unknown": recorder.name("unknown"), "empty": "", "dot": ".", "slash": "a/b",
             "space": "a b", "long": "x" * 250}
    for version in range(14):
        for what, name in names.items():
            if what == "unknown" and version < 4:
                continue  # These versions create it; Apache Kafka answers before it has, we after.
            body = {"topics": [{"name": name}], "allow_auto_topic_creation": False}
            recorder.call(what, schema.METADATA, version, body)
        recorder.call("the same twice", schema.METADATA, version, {
            "topics": [{"name": known}, {"name": known}], "allow_auto_topic_creation": False})
        if version:
            recorder.call("none", schema.METADATA, version, {"topics": []})
    found = recorder.connection.call(schema.METADATA, 12, {"topics": [{"name": known}]})["topics"][0]
    for version in (10, 11, 12, 13):
        recorder.call("null name", schema.METADATA, version, {"topics": [{"name": None}]})
        recorder.call("by id", schema.METADATA, version, {"topics": [{"name": None, "topic_id": found["topic_id"]}]})
        recorder.call("by unknown id", schema.METADATA, version, {"topics": [{"name": None, "topic_id": b"x" * 16}]})


def create_topics(recorder):
    """Names, counts, factors, assignments and configs, good and bad, in every version."""
    for version in range(2, 8):
        def one(what, version=version, **shape):
            name = shape.pop("name", recorder.name(f"{version}-{what.replace(' ', '-')}"))
            validate = shape.pop("validate_only", False)
            recorder.call(what, schema.CREATE_TOPICS, version, {
                "topics": [topic_body(name, **shape)], "timeout_ms": 10000, "validate_only": validate})
        one("plain")
        one("again", name=recorder.name(f"{version}-plain"))
        one("collides", name=recorder.name(f"{version}.plain"))
        one("collides indeed", name=recorder.name(f"{version}_plain"))
        for what, name in [("empty", ""), ("dot", "."), ("dots", ".."), ("slash", "a/b"), ("space", "a b"),
                           ("249", f"{version}" + "x" * 248), ("250", "x" * 250), ("unicode", "é"), ("internal", "__x%d" % version)]:
            one(f"name {what}", name=name)
        for count in (0, -1, -2, 3):
            one(f"partitions {count}", partitions=count)
        for factor in (0, -1, -2, 2):
            one(f"factor {factor}", factor=factor)
        one("defaults", partitions=-1, factor=-1)
        one("validate only", validate_only=True)
        one("validate only, bad", validate_only=True, partitions=0)
        one("assignment", partitions=-1, factor=-1, assignments=[(0, [1]), (1, [1])])
        one("assignment and count", assignments=[(0, [1])])
        one("assignment with a gap", partitions=-1, factor=-1, assignments=[(0, [1]), (2, [1])])
        one("assignment of partition 1 only", partitions=-1, factor=-1, assignments=[(1, [1])])
        one("assignment twice", partitions=-1, factor=-1, assignments=[(0, [1]), (0, [1])])
        one("assignment to one broker twice", partitions=-1, factor=-1, assignments=[(0, [1, 1])])
        one("assignment to an unknown broker", partitions=-1, factor=-1, assignments=[(0, [7])])
        one("assignment to nobody", partitions=-1, factor=-1, assignments=[(0, [])])
        for key, value in [("retention.ms", "1000"), ("retention.ms", "-2"), ("retention.ms", "x"), ("retention.ms", None),
                           ("no.such.config", "1"), ("cleanup.policy", "compact"), ("cleanup.policy", "compact,delete"),
                           ("cleanup.policy", "burn"), ("compression.type", "lz4"), ("compression.type", "lzma"),
                           ("segment.bytes", "10"), ("segment.bytes", "1048576"), ("max.message.bytes", "-1"),
                           ("min.insync.replicas", "0"), ("message.timestamp.type", "LogAppendTime"), ("preallocate", "maybe"),
                           ("flush.messages", "0"), ("min.cleanable.dirty.ratio", "1.5"), ("segment.bytes", " 2000000 "),
                           ("unclean.leader.election.enable", "TRUE"), ("local.retention.ms", "5"), ("segment.bytes", "99999999999")]:
            one(f"config {key} {value}".replace(",", "+"), configs=[(key, value)],
                name=recorder.name(f"{version}-c-{abs(hash_of(key + str(value)))}"))
        twice = recorder.name(f"{version}-twice")
        recorder.call("twice in a request", schema.CREATE_TOPICS, version, {
            "topics": [topic_body(twice), topic_body(twice)], "timeout_ms": 10000})
        recorder.call("good and bad", schema.CREATE_TOPICS, version, {
            "topics": [topic_body(recorder.name(f"{version}-good")), topic_body("a/b")], "timeout_ms": 10000})
        recorder.call("nothing", schema.CREATE_TOPICS, version, {"topics": [], "timeout_ms": 10000})


def hash_of(text):
    """The same number in every run, unlike `hash`."""
    return int.from_bytes(text.encode(), "big") % 1_000_003


def delete_topics(recorder):
    """By name and by id; unknown, twice, both."""
    for version in range(1, 7):
        name = recorder.create(f"delete-{version}")
        topic_id = recorder.connection.call(schema.METADATA, 12, {"topics": [{"name": name}]})["topics"][0]["topic_id"]

        def remove(what, *names, version=version):
            recorder.call(what, schema.DELETE_TOPICS, version, {
                "topic_names": list(names), "timeout_ms": 10000,
                "topics": [{"name": one} for one in names]})
        remove("unknown", recorder.name("unknown"))
        remove("empty name", "")
        remove("nothing")
        remove("known", name)
        remove("gone", name)
        if version == 6:
            other = recorder.create("delete-by-id")
            other_id = recorder.connection.call(schema.METADATA, 12, {"topics": [{"name": other}]})["topics"][0]["topic_id"]
            for what, wanted in [("old id", [{"name": None, "topic_id": topic_id}]),
                                 ("neither", [{"name": None}]),
                                 ("name and id", [{"name": other, "topic_id": other_id}]),
                                 ("id twice", [{"name": None, "topic_id": other_id}] * 2),
                                 ("id", [{"name": None, "topic_id": other_id}])]:
                recorder.call(what, schema.DELETE_TOPICS, version, {"topics": wanted, "timeout_ms": 10000})


def create_partitions(recorder):
    """More, fewer, the same, with assignments."""
    for version in range(4):
        name = recorder.create(f"grow-{version}", partitions=2)

        def grow(what, count, topic=None, assignments=None, validate_only=False, version=version, name=name):
            recorder.call(what, schema.CREATE_PARTITIONS, version, {
                "topics": [{"name": topic or name, "count": count, "assignments": assignments}],
                "timeout_ms": 10000, "validate_only": validate_only})
        grow("fewer", 1)
        grow("the same", 2)
        grow("none", 0)
        grow("negative", -1)
        grow("unknown topic", 5, topic=recorder.name("unknown"))
        grow("validate only", 3, validate_only=True)
        grow("more", 3)
        grow("assigned", 4, assignments=[{"broker_ids": [1]}])
        grow("assigned too many", 5, assignments=[{"broker_ids": [1]}] * 2)
        grow("assigned to an unknown broker", 5, assignments=[{"broker_ids": [9]}])
        grow("assigned twice to one broker", 5, assignments=[{"broker_ids": [1, 1]}])
        recorder.call("twice in a request", schema.CREATE_PARTITIONS, version, {
            "topics": [{"name": name, "count": 9, "assignments": None}] * 2, "timeout_ms": 10000})


def produce(recorder):
    """Right and wrong batches, topics, partitions and acks in every version."""
    now = recorder.now_ms
    plain = recorder.create("plain")
    topic_id = recorder.connection.call(schema.METADATA, 12, {"topics": [{"name": plain}]})["topics"][0]["topic_id"]
    extra = recorder.create("extra")
    extra_id = recorder.connection.call(schema.METADATA, 12, {"topics": [{"name": extra}]})["topics"][0]["topic_id"]
    good = batch([b"v"], timestamp=now)
    wrong = {
        "flipped bit": good[:-2] + bytes([good[-2] ^ 1]) + good[-1:],
        "crc 0": batch([b"v"], timestamp=now, crc=0),
        "magic 0": batch([b"v"], timestamp=now, magic=0),
        "magic 1": batch([b"v"], timestamp=now, magic=1),
        "magic 3": batch([b"v"], timestamp=now, magic=3),
        "two batches": good + good,
        "truncated": good[:-1],
        # Null records are left out: Apache Kafka never answers them.
        "empty": b"",
        "count 2 of 1": batch([b"v"], timestamp=now, count=2, last_offset_delta=1),
        "count 1 of 2": batch([b"v", b"w"], timestamp=now, count=1, last_offset_delta=0),
        "count 0": batch([], timestamp=now),
        "count -1": batch([b"v"], timestamp=now, count=-1, last_offset_delta=0),
        "last offset delta": batch([b"v"], timestamp=now, last_offset_delta=3),
        "base offset 5": batch([b"v"], timestamp=now, base_offset=5),
        "control": batch([b"v"], timestamp=now, attributes=0x20),
        "transactional without id": batch([b"v"], timestamp=now, attributes=0x10),
        "codec 5": batch([b"v"], timestamp=now, attributes=5),
        "codec 7": batch([b"v"], timestamp=now, attributes=7),
        "garbage gzip": batch([b"v"], timestamp=now, attributes=1),
        "garbage snappy": batch([b"v"], timestamp=now, attributes=2),
        "garbage lz4": batch([b"v"], timestamp=now, attributes=3),
        "garbage zstd": batch([b"v"], timestamp=now, attributes=4),
        "attribute bit 15": batch([b"v"], timestamp=now, attributes=-0x8000),
        "time in two hours": batch([b"v"], timestamp=now + 2 * HOUR_MS),
        "time in half an hour": batch([b"v"], timestamp=now + HOUR_MS // 2),
        "time -1": batch([b"v"], timestamp=-1),
        "time 0": batch([b"v"], timestamp=0),
        "record offsets not rising": batch([b"v", b"w"], timestamp=now, records=record(b"v") + record(b"w")),
        "record longer than batch": batch([b"v"], timestamp=now, records=b"\x7f" + record(b"v")[1:]),
        "header count 100": batch([b"v"], timestamp=now, records=record(b"v")[:-1] + b"\xc8\x01"),
        "producer without sequence": batch([b"v"], timestamp=now, producer=(77, 0, -1)),
        "producer with negative epoch": batch([b"v"], timestamp=now, producer=(77, -1, 0)),
    }
    for version in range(3, 14):
        def send(what, records, topic=plain, acks=-1, partition=0, version=version, identity=topic_id):
            body = session.produce_body(topic, records, acks, partition)
            body["topics"][0]["topic_id"] = identity
            recorder.call(what, schema.PRODUCE, version, body)
        send("good", good)
        for what, records in wrong.items():
            send(what, records)
        # In topics of their own, so that a batch that only one broker takes shifts no other offsets.
        send("trailing byte", good + b"\0", topic=extra, identity=extra_id)
        send("acks 1", good, acks=1)
        send("acks 2", good, acks=2)
        send("acks -2", good, acks=-2)
        send("unknown topic", good, topic=recorder.name("unknown"), identity=b"y" * 16)
        send("unknown partition", good, partition=7)
        send("negative partition", good, partition=-1)
        recorder.call("no topics", schema.PRODUCE, version, {"acks": -1, "timeout_ms": 1000, "topics": []})


def produce_by_topic_config(recorder):
    """Topics whose config changes what is accepted or stored."""
    now = recorder.now_ms
    for what, configs in [("append-time", {"message.timestamp.type": "LogAppendTime"}), ("compact", {"cleanup.policy": "compact"}),
                          ("lz4", {"compression.type": "lz4"}), ("small", {"max.message.bytes": "500"}),
                          ("before", {"message.timestamp.before.max.ms": "60000"}), ("after", {"message.timestamp.after.max.ms": "1000"})]:
        name = recorder.create(what, configs=configs)
        for label, records in [("keyless", batch([b"v"], timestamp=now)),
                               ("keyed", batch([b"v"], timestamp=now, records=record(b"v", key=b"k"))),
                               ("mixed", batch([b"v", b"w"], timestamp=now, records=record(b"v", key=b"k") + record(b"w", offset_delta=1))),
                               ("large", batch([b"v" * 900], timestamp=now)),
                               ("old", batch([b"v"], timestamp=now - HOUR_MS)),
                               ("ahead", batch([b"v"], timestamp=now + 60_000))]:
            recorder.call(f"{what}, {label}", schema.PRODUCE, 9, session.produce_body(name, records))


def idempotence(recorder):
    """Sequences that repeat, skip, wrap and belong to other epochs."""
    now = recorder.now_ms
    name = recorder.create("sequences")
    producer, epoch = session.init_producer_id(recorder.connection, 4)

    def send(what, sequence, count=1, epoch=epoch, identity=producer):
        records = batch([b"v"] * count, timestamp=now, producer=(identity, epoch, sequence))
        recorder.call(what, schema.PRODUCE, 8, session.produce_body(name, records))
    send("first", 0)
    send("first again", 0)
    send("second", 1)
    send("skips one", 3)
    for sequence in range(2, 9):
        send(f"number {sequence}", sequence)
    send("fifth last again", 4)
    send("older than the window", 2)
    send("three", 9, count=3)
    send("three again", 9, count=3)
    send("a part of the three", 10, count=2)
    send("overlaps the three", 11, count=3)
    send("after the three", 12)
    send("new epoch with a sequence", 5, epoch=epoch + 1)
    send("new epoch from 0", 0, epoch=epoch + 1)
    send("old epoch", 13)
    send("unknown producer from 0", 0, identity=producer + 1_000_000)
    send("unknown producer from 7", 7, identity=producer + 1_000_001)
    send("last sequence before the wrap", 2**31 - 1, identity=producer + 1_000_002)
    send("wraps to 0", 0, identity=producer + 1_000_002)
    send("a batch over the wrap", 2**31 - 2, count=4, identity=producer + 1_000_003)
    send("after the wrap", 2, identity=producer + 1_000_003)


def fetch(recorder):
    """Offsets, limits, epochs and ids, good and bad, in every version."""
    now = recorder.now_ms
    name = recorder.create("fetched")
    topic_id = recorder.connection.call(schema.METADATA, 12, {"topics": [{"name": name}]})["topics"][0]["topic_id"]
    for index in range(10):
        session.produce(recorder.connection, name, batch([b"v" * 1000] * 3, timestamp=now + index))
    for version in range(4, 19):
        def read(what, offset, version=version, topic=name, identity=topic_id, partition=0, epoch=-1, last_epoch=-1, **limits):
            body = session.fetch_body(topic, offset, version, **{"max_wait_ms": 1, **limits})
            body["topics"][0]["topic_id"] = identity
            body["topics"][0]["partitions"][0].update(
                partition=partition, current_leader_epoch=epoch, last_fetched_epoch=last_epoch)
            recorder.call(what, schema.FETCH, version, body)
        for offset in (0, 1, 3, 29, 30, 31, -1, -2, 2**62):
            read(f"offset {offset}", offset)
        for size in (0, 1, 3100, 3200, 6400, 10000):
            read(f"max bytes {size}", 4, max_bytes=size)
        read("negative max bytes", 4, max_bytes=-1)
        read("read committed", 0, isolation_level=1)
        read("isolation 2", 0, isolation_level=2)
        read("min bytes never reached", 30, min_bytes=10_000_000, max_wait_ms=20)
        read("unknown topic", 0, topic=recorder.name("unknown"), identity=b"z" * 16)
        read("unknown partition", 0, partition=5)
        read("negative partition", 0, partition=-3)
        read("epoch 0", 0, epoch=0)
        read("epoch 100", 0, epoch=100)
        read("epoch -2", 0, epoch=-2)
        read("no such last epoch", 0, last_epoch=50)
        body = session.fetch_body(name, 0, version, max_wait_ms=1)
        recorder.call("no topics", schema.FETCH, version, {**body, "topics": []})


def list_offsets(recorder):
    """Special and real times, epochs, unknown partitions, in every version."""
    name = recorder.create("listed")
    start = 1_700_000_000_000
    for times in ([0, 10, 20], [5, 50, 30], [40, 40, 60]):
        base = start + times[0]
        records = b"".join(record(b"v", offset_delta=i, timestamp_delta=t - times[0]) for i, t in enumerate(times))
        raw = batch([b"v"] * 3, timestamp=base, records=records)
        latest = struct.pack(">q", start + max(times))
        session.produce(recorder.connection, name, with_max_timestamp(raw, latest))
    empty = recorder.create("listed-empty")
    for version in range(1, 11):
        def ask(what, at, version=version, topic=name, partition=0, epoch=-1, isolation=0):
            recorder.call(what, schema.LIST_OFFSETS, version, {
                "replica_id": -1, "isolation_level": isolation, "timeout_ms": 1000, "topics": [{"name": topic, "partitions": [
                    {"index": partition, "current_leader_epoch": epoch, "timestamp": at}]}]})
        for at in (-1, -2, -3, -4, -5, -6, -100, 0):
            ask(f"time {at}", at)
            ask(f"time {at}, empty", at, topic=empty)
        for at in (0, 1, 5, 6, 20, 21, 30, 31, 40, 50, 51, 60, 61):
            ask(f"record time {at}", start + at)
        ask("read committed", -1, isolation=1)
        ask("unknown topic", -1, topic=recorder.name("unknown"))
        ask("unknown partition", -1, partition=4)
        ask("epoch 0", -1, epoch=0)
        ask("epoch 9", -1, epoch=9)
        recorder.call("the same twice", schema.LIST_OFFSETS, version, {"replica_id": -1, "topics": [
            {"name": name, "partitions": [{"index": 0, "timestamp": -1, "current_leader_epoch": -1}] * 2}]})


def with_max_timestamp(raw, latest):
    """The batch with another greatest time and the CRC that belongs to it."""
    from harness.batch import crc32c
    covered = raw[21:35] + latest + raw[43:]
    return raw[:17] + struct.pack(">I", crc32c(covered)) + covered


def offset_for_leader_epoch(recorder):
    """Known, future and no epochs, of a log with and without records, right and wrong current epochs."""
    name, empty = recorder.create("epochs"), recorder.create("epochs-empty")
    session.produce(recorder.connection, name, batch([b"a", b"b"], timestamp=recorder.now_ms))
    for version in range(2, 5):
        for what, topic, partition, current, epoch in [
                ("own", name, 0, 0, 0), ("own, no current epoch", name, 0, -1, 0), ("none", name, 0, 0, -1),
                ("future", name, 0, 0, 1), ("far future", name, 0, -1, 2**31 - 1), ("negative", name, 0, 0, -5),
                ("unknown current epoch", name, 0, 7, 0), ("empty", empty, 0, 0, 0), ("empty, future", empty, 0, 0, 3),
                ("unknown partition", name, 9, -1, 0), ("unknown topic", recorder.name("unknown"), 0, -1, 0)]:
            recorder.call(what, schema.OFFSET_FOR_LEADER_EPOCH, version, {"replica_id": -1, "topics": [
                {"topic": topic, "partitions": [
                    {"partition": partition, "current_leader_epoch": current, "leader_epoch": epoch}]}]})
        recorder.call("no topics", schema.OFFSET_FOR_LEADER_EPOCH, version, {"replica_id": -1, "topics": []})


def init_producer_id(recorder):
    """Without a transactional id, in every version."""
    for version in range(6):
        def ask(what, producer=-1, epoch=-1, timeout=60000, version=version):
            recorder.call(what, schema.INIT_PRODUCER_ID, version, {
                "transactional_id": None, "transaction_timeout_ms": timeout, "producer_id": producer, "producer_epoch": epoch})
        session.init_producer_id(recorder.connection, 4)
        ask("new")
        ask("timeout -1", timeout=-1)
        ask("with an id", producer=5, epoch=1)
        ask("id without epoch", producer=5)
        ask("epoch without id", epoch=5)


def update_features(recorder):
    """Every kind of change, good and bad; what holds afterwards is what held before."""
    upgrade, safe, unsafe = 1, 2, 3

    def change(what, *updates, version=1, validate_only=False):
        recorder.call(what, schema.UPDATE_FEATURES, version, {"timeout_ms": 10000, "validate_only": validate_only, "updates": [
            {"feature": feature, "max_version_level": level, "allow_downgrade": kind == safe, "upgrade_type": kind}
            for feature, level, kind in updates]})

    transaction, metadata_version, elr = "transaction.version", "metadata.version", "eligible.leader.replicas.version"
    for version in range(3):
        change(f"nothing, {version}", version=version)
        change(f"as it is, {version}", (transaction, 2, upgrade), version=version)
        change(f"unknown, {version}", ("nonsense", 1, upgrade), version=version)
        change(f"one good, one bad, {version}", (transaction, 1, safe), ("nonsense", 1, upgrade), version=version)
        change(f"down, {version}", (transaction, 1, safe), version=version)
        change(f"up, {version}", (transaction, 2, upgrade), version=version)
    for version in (1, 2):
        change("validated", (transaction, 0, unsafe), version=version, validate_only=True)
        for level in (-1, 0, 1, 2, 3):
            for kind in (0, upgrade, safe, unsafe, 4, -1):
                change(f"{transaction} to {level} by {kind}", (transaction, level, kind), version=version)
                change(f"{transaction} back from {level} by {kind}", (transaction, 2, upgrade), version=version)
        for feature in ("kraft.version", "group.version", "nonsense", ""):
            for level in (-1, 0, 1, 2):
                for kind in (upgrade, safe):
                    change(f"{feature} to {level} by {kind}", (feature, level, kind), version=version)
                    change(f"group.version back from {feature} {level} by {kind}", ("group.version", 1, upgrade), version=version)
        for level in (6, 7, 22, 25, 26, 31):
            for kind in (upgrade, safe, unsafe):
                change(f"{metadata_version} to {level} by {kind}", (metadata_version, level, kind), version=version)
                change(f"{metadata_version} back from {level} by {kind}", (metadata_version, 27, upgrade), version=version)
        change("eligible leader replicas off", (elr, 0, safe), version=version)
        change("eligible leader replicas on", (elr, 1, upgrade), version=version)
        change("eligible leader replicas on, metadata down", (elr, 1, upgrade), (metadata_version, 22, safe), version=version)


def describe_configs(recorder):
    """Topics and the broker: names, values, sources, types and synonyms."""
    name = recorder.create("configured", configs={"retention.ms": "5000", "cleanup.policy": "compact"})
    for version in range(5):
        def ask(what, kind, resource, keys=None, version=version, synonyms=True):
            recorder.call(what, schema.DESCRIBE_CONFIGS, version, {
                "resources": [{"resource_type": kind, "resource_name": resource, "configuration_keys": keys}],
                "include_synonyms": synonyms}, instead=1)
        ask("two keys", 2, name, ["retention.ms", "segment.bytes"])
        ask("unknown key", 2, name, ["no.such.key"])
        ask("no keys", 2, name, [])
        ask("unknown topic", 2, recorder.name("unknown"))
        ask("bad topic name", 2, "a/b")
        ask("broker keys", 4, "1", ["num.partitions", "log.retention.hours", "auto.create.topics.enable", "message.max.bytes"])
        ask("other broker", 4, "99")
        ask("broker name", 4, "x")
        ask("unknown kind", 77, "x")
    answer = recorder.call("every key of a topic", schema.DESCRIBE_CONFIGS, 4, {
        "resources": [{"resource_type": 2, "resource_name": name, "configuration_keys": None}], "include_synonyms": True})
    return answer


def others(recorder):
    """FindCoordinator and DescribeCluster."""
    for version in range(7):
        for kind, key in [(0, "g"), (1, "t"), (2, "s"), (9, "x"), (0, "")]:
            recorder.call(f"type {kind} key {key!r}", schema.FIND_COORDINATOR, version, {
                "key": key, "key_type": kind, "coordinator_keys": [key]})
    for version in range(3):
        recorder.call("plain", schema.DESCRIBE_CLUSTER, version, {"endpoint_type": 1})
        recorder.call("authorized operations", schema.DESCRIBE_CLUSTER, version, {
            "endpoint_type": 1, "include_cluster_authorized_operations": True})
        recorder.call("controllers", schema.DESCRIBE_CLUSTER, version, {"endpoint_type": 2})


def incremental_alter_configs(recorder):
    """Every operation on topics and brokers, good and bad, and what holds afterwards."""
    name = recorder.create("altered", partitions=2)
    steps = {
        "set": (2, name, [("retention.ms", 0, "5000")]),
        "set null": (2, name, [("retention.ms", 0, None)]),
        "set bad": (2, name, [("retention.ms", 0, "x")]),
        "set low": (2, name, [("retention.ms", 0, "-2")]),
        "unknown key": (2, name, [("nope", 0, "x")]),
        "delete unknown key": (2, name, [("nope", 1, None)]),
        "append": (2, name, [("cleanup.policy", 2, "compact")]),
        "subtract": (2, name, [("cleanup.policy", 3, "delete")]),
        "append bad": (2, name, [("cleanup.policy", 2, "shred")]),
        "append to a number": (2, name, [("retention.ms", 2, "5")]),
        "append null": (2, name, [("cleanup.policy", 2, None)]),
        "same key twice": (2, name, [("retention.ms", 0, "5"), ("retention.ms", 0, "6")]),
        "contradiction": (2, name, [("min.compaction.lag.ms", 0, "50"), ("max.compaction.lag.ms", 0, "40")]),
        "unknown topic": (2, recorder.name("unknown"), [("retention.ms", 0, "5")]),
        "bad name": (2, "a/b", [("retention.ms", 0, "5")]),
        "empty name": (2, "", [("retention.ms", 0, "5")]),
        "broker": (4, "1", [("log.retention.ms", 0, "90000000")]),
        "all brokers": (4, "", [("log.retention.ms", 0, "90000001")]),
        "broker key for all": (4, "", [("listeners", 0, "PLAINTEXT://:1")]),
        "read only": (4, "1", [("node.id", 0, "2")]),
        "broker bad": (4, "1", [("log.retention.ms", 0, "x")]),
        "broker name": (4, "x", [("log.retention.ms", 0, "5")]),
        "other broker": (4, "77", [("log.retention.ms", 0, "5")]),
        "broker undone": (4, "1", [("log.retention.ms", 1, None)]),
        "all brokers undone": (4, "", [("log.retention.ms", 1, None)]),
        "unknown kind": (77, "x", [("a", 0, "5")]),
    }
    for version in range(2):
        def alter(what, kind, resource, changes, version=version, times=1, validate_only=False):
            configs = [{"name": key, "config_operation": operation, "value": value} for key, operation, value in changes]
            resources = [{"resource_type": kind, "resource_name": resource, "configs": configs}] * times
            recorder.call(what, schema.INCREMENTAL_ALTER_CONFIGS, version, {"resources": resources, "validate_only": validate_only})
        for what, step in steps.items():
            alter(what, *step)
        alter("validate only", 2, name, [("retention.ms", 0, "5001")], validate_only=True)
        alter("same resource twice", 2, name, [("retention.ms", 0, "5")], times=2)
        recorder.call("none", schema.INCREMENTAL_ALTER_CONFIGS, version, {"resources": []})
        described(recorder, f"after version {version}", name)


def alter_configs(recorder):
    """The configs of a topic and a broker replaced as a whole."""
    name = recorder.create("replaced", configs={"segment.ms": "7000000"})
    for version in range(3):
        def replace(what, kind, resource, changes, version=version, validate_only=False):
            configs = [{"name": key, "value": value} for key, value in changes]
            recorder.call(what, schema.ALTER_CONFIGS, version, {"validate_only": validate_only, "resources": [
                {"resource_type": kind, "resource_name": resource, "configs": configs}]})
        replace("set", 2, name, [("retention.ms", "6000")])
        replace("validate only", 2, name, [], validate_only=True)
        replace("null", 2, name, [("retention.ms", None)])
        replace("bad", 2, name, [("retention.ms", "x")])
        replace("unknown key", 2, name, [("nope", "x")])
        replace("unknown topic", 2, recorder.name("unknown"), [("retention.ms", "1")])
        replace("broker", 4, "1", [("log.retention.ms", "90000000")])
        replace("read only", 4, "1", [("node.id", "2")])
        replace("broker undone", 4, "1", [])
        replace("unknown kind", 77, "x", [("a", "5")])
        described(recorder, f"after version {version}", name)


def described(recorder, what, topic):
    """Without synonyms: a broker takes over changes to its own configs some time after they are answered."""
    session.settle(recorder.connection, f"{topic}-{what.replace(' ', '-')}")
    recorder.call(what, schema.DESCRIBE_CONFIGS, 1, {"include_synonyms": False, "resources": [
        {"resource_type": 2, "resource_name": topic, "configuration_keys": ["retention.ms", "cleanup.policy", "segment.ms"]}]})


def partitions_and_leaders(recorder):
    """ElectLeaders, Alter- and ListPartitionReassignments and DescribeTopicPartitions."""
    name, unknown = recorder.create("described", partitions=2), recorder.name("unknown")
    for version in range(3):
        for kind in (0, 1, 9)[:3 if version else 1]:
            recorder.call(f"type {kind}", schema.ELECT_LEADERS, version, {"election_type": kind, "timeout_ms": 1000, "topic_partitions": [
                {"topic": name, "partitions": [0, 1, 9]}, {"topic": unknown, "partitions": [0]}]})
    for version in range(2):
        for replicas in ([1], [], [1, 1], [1, 77], [77], None):
            recorder.call(f"to {replicas}", schema.ALTER_PARTITION_REASSIGNMENTS, version, {
                "timeout_ms": 1000, "allow_replication_factor_change": replicas not in ([1, 1], [77]), "topics": [
                    {"name": name, "partitions": [{"partition_index": index, "replicas": replicas} for index in (0, 9, 0)]},
                    {"name": unknown, "partitions": [{"partition_index": 0, "replicas": replicas}]}]})
    recorder.call("all", schema.LIST_PARTITION_REASSIGNMENTS, 0, {"timeout_ms": 1000, "topics": None})
    recorder.call("some", schema.LIST_PARTITION_REASSIGNMENTS, 0, {"timeout_ms": 1000, "topics": [
        {"name": name, "partition_indexes": [0, 9]}, {"name": unknown, "partition_indexes": [0]}]})
    for limit in (2000, 0, -5):
        recorder.call(f"limit {limit}", schema.DESCRIBE_TOPIC_PARTITIONS, 0, {
            "topics": [{"name": "a/b"}, {"name": unknown}, *([{"name": name}] * 2 if limit > 0 else [])],
            "response_partition_limit": limit, "cursor": None})


def partition_reassignments(recorder):
    """AlterPartitionReassignments: what changes nothing, what cannot be, and what is not under way."""
    name, unknown = recorder.create("reassigned", partitions=2), recorder.name("unknown")
    for version in range(2):
        def alter(what, *topics, version=version, resize=False):
            recorder.call(what, schema.ALTER_PARTITION_REASSIGNMENTS, version, {
                "timeout_ms": 10000, "allow_replication_factor_change": resize, "topics": [
                    {"name": topic, "partitions": [{"partition_index": index, "replicas": replicas}
                                                   for index, replicas in partitions]} for topic, partitions in topics]})
        alter("where it is", (name, [(0, [1])]))
        alter("where it is, resized", (name, [(0, [1])]), resize=True)
        alter("cancelled", (name, [(0, None), (1, None)]))
        alter("empty", (name, [(0, [])]))
        alter("empty, resized", (name, [(0, [])]), resize=True)
        for replicas in ([2], [1, 2], [1, 1], [2, 2], [-1], [1, 1, 2]):
            for resize in (False, True)[:version + 1]:
                alter(f"to {replicas} {resize}", (name, [(1, replicas)]), resize=resize)
        alter("unknown partitions", (name, [(2, [1]), (-1, [1]), (7, None)]))
        alter("unknown topics", (unknown, [(0, [1]), (0, None)]), ("", [(0, [1])]), ("a/b", [(0, [1])]))
        alter("twice", (name, [(0, [1]), (0, [1])]), (name, [(0, [1])]))
        alter("nothing")
        alter("no partitions", (name, []))
    recorder.call("none under way", schema.LIST_PARTITION_REASSIGNMENTS, 0, {"timeout_ms": 1000, "topics": None})


def delete_records(recorder):
    """Offsets, partitions and topics, good and bad, and what is left to read."""
    connection, unknown = recorder.connection, recorder.name("unknown")
    compacted = recorder.create("delete-compacted", configs={"cleanup.policy": "compact"})
    both = recorder.create("delete-both", configs={"cleanup.policy": "compact,delete"})
    keyed = batch([b"v"], timestamp=recorder.now_ms, records=record(b"v", key=b"k"))
    for topic in (compacted, both):
        session.produce(connection, topic, keyed)
    internal = "__consumer_offsets"
    wait_for_internal(connection, internal)
    for version in range(3):
        name = recorder.create(f"delete-{version}", partitions=2)
        for _ in range(4):
            session.produce(connection, name, batch([b"v"] * 3, timestamp=recorder.now_ms))

        def delete(what, offset, topic=name, partition=0, version=version):
            recorder.call(what, schema.DELETE_RECORDS, version, {"timeout_ms": 10000, "topics": [
                {"name": topic, "partitions": [{"index": partition, "offset": offset}]}]})
        for offset in (0, 4, 3, -2, 13, 2**62, -(2**62)):
            delete(f"offset {offset}", offset)
        for offset in (0, 3, 4, 6, 12):
            recorder.call(f"{version}, from {offset}", schema.FETCH, 11, session.fetch_body(name, offset, 11, max_wait_ms=1))
        recorder.call(f"{version}, earliest", schema.LIST_OFFSETS, 5, {"replica_id": -1, "topics": [
            {"name": name, "partitions": [{"index": 0, "current_leader_epoch": -1, "timestamp": -2}]}]})
        delete("everything", -1)
        delete("everything again", 12)
        delete("an empty partition", -1, partition=1)
        delete("beyond an empty partition", 1, partition=1)
        delete("unknown partition", 0, partition=2)
        delete("negative partition", 0, partition=-1)
        delete("unknown topic", 0, topic=unknown)
        delete("bad name", 0, topic="a/b")
        delete("empty name", 0, topic="")
        delete("compacted", 1, topic=compacted)
        delete("compacted, high watermark", -1, topic=compacted)
        delete("compacted and deleted", 1, topic=both)
        delete("internal", 0, topic=internal)
        delete("internal, unknown partition", 0, topic=internal, partition=99999)
        recorder.call("nothing", schema.DELETE_RECORDS, version, {"timeout_ms": 10000, "topics": []})
        recorder.call("no partitions", schema.DELETE_RECORDS, version, {"timeout_ms": 10000, "topics": [
            {"name": name, "partitions": []}]})
        recorder.call("good and bad", schema.DELETE_RECORDS, version, {"timeout_ms": 10000, "topics": [
            {"name": name, "partitions": [{"index": 0, "offset": 12}, {"index": 1, "offset": 9}]},
            {"name": unknown, "partitions": [{"index": 0, "offset": 0}]}]})
        recorder.call("twice", schema.DELETE_RECORDS, version, {"timeout_ms": 10000, "topics": [
            {"name": name, "partitions": [{"index": 0, "offset": 99}, {"index": 0, "offset": 12}]}]})
        recorder.call("still produced to", schema.PRODUCE, 7 + version, session.produce_body(
            name, batch([b"v"], timestamp=recorder.now_ms)))


def wait_for_internal(connection, topic):
    """Looking for a coordinator makes the topic of the groups."""
    for _ in range(200):
        connection.call(schema.FIND_COORDINATOR, 1, {"key": "g", "key_type": 0})
        try:
            return session.ok(topic, session.not_ready(connection, topic, 1))
        except session.KafkaError:
            time.sleep(0.05)
    raise AssertionError(f"no {topic}")


def describe_log_dirs(recorder):
    """Sizes of named partitions, before and after records are deleted."""
    name, unknown = recorder.create("sized", partitions=2), recorder.name("unknown")
    for _ in range(3):
        session.produce(recorder.connection, name, batch([b"v" * 100], timestamp=recorder.now_ms))
    for version in range(1, 5):
        def describe(what, *topics, version=version):
            recorder.call(what, schema.DESCRIBE_LOG_DIRS, version, {
                "topics": [{"topic": topic, "partitions": partitions} for topic, partitions in topics]})
        describe("both", (name, [0, 1]))
        describe("one", (name, [1]))
        describe("the same twice", (name, [0]), (name, [0, 0]))
        describe("unknown partition", (name, [0, 7, -1]))
        describe("unknown topic", (unknown, [0]), (name, [0]))
        describe("no partitions", (name, []))
        describe("nothing")
        recorder.connection.call(schema.DELETE_RECORDS, 2, {"timeout_ms": 10000, "topics": [
            {"name": name, "partitions": [{"index": 0, "offset": 1}]}]})
        describe("after deleting", (name, [0, 1]))


SCRIPTS = [api_versions, metadata, create_topics, delete_topics, create_partitions, produce, produce_by_topic_config,
           idempotence, fetch, list_offsets, offset_for_leader_epoch, init_producer_id,
           update_features, describe_configs, incremental_alter_configs, alter_configs, partitions_and_leaders, partition_reassignments, others,
           delete_records, describe_log_dirs]
