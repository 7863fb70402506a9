"""Transactions: what a producer may do and may not, in both versions of transactions."""

import contextlib
import time

from harness import schema, session
from harness.batch import batch
from harness.transactional import Transactional, find_group


def transactions_version_1(recorder):
    """What a producer without epoch bumps may do and may not, in every version of its requests."""
    topic, group = recorder.create("transactional", partitions=2), recorder.name("group")
    find_group(recorder, group)
    for version in range(5):
        one = Transactional(recorder, f"id-{version}", version)
        one.init(f"{version} begins", version)
        one.end(f"{version} commits nothing", True)
        one.end(f"{version} aborts nothing", False)
        one.write(f"{version} writes without a word, 10", topic, 10)
        one.write(f"{version} writes without a word, 11", topic, 11)
        one.add(f"{version} adds", (topic, [0]), version=min(version, 3))
        one.add(f"{version} adds again", (topic, [0, 1]), version=min(version, 3))
        one.add(f"{version} adds the unknown", (topic, [0, 7]), (recorder.name("unknown"), [0]), version=min(version, 3))
        one.add(f"{version} adds internal topics", (topic, [0]), ("__consumer_offsets", [0, 99]), ("__transaction_state", [0]),
                version=min(version, 3))
        one.write(f"{version} writes", topic, 9)
        one.add(f"{version} adds with an old epoch", (topic, [0]), version=min(version, 3), off=-1)
        one.add(f"{version} adds with a later epoch", (topic, [0]), version=min(version, 3), off=1)
        one.write(f"{version} writes with a later epoch", topic, 11, off=1)
        one.add_offsets(f"{version} adds offsets", group, version)
        one.commit_offset(f"{version} commits an offset", group, topic, version)
        one.commit_offset(f"{version} commits an offset with an old epoch", group, topic, version, off=-1)
        one.end(f"{version} ends with an old epoch", True, off=-1)
        one.end(f"{version} ends with a later epoch", True, off=1)
        one.end(f"{version} commits", True)
        one.end(f"{version} commits again", True)
        one.sequences[topic] -= 1
        one.write(f"{version} repeats a write of the transaction that has ended", topic, 11)
        one.sequences[topic] += 1
        one.end(f"{version} aborts afterwards", False)
        one.write(f"{version} writes afterwards", topic, 11)
        one.commit_offset(f"{version} commits an offset afterwards", group, topic, version)
        one.add(f"{version} adds for the next", (topic, [1]), version=min(version, 3))
        one.end(f"{version} aborts", False)
        one.end(f"{version} aborts again", False)
        one.end(f"{version} commits what is aborted", True)
        old = (one.producer, one.epoch)
        if version >= 3:
            one.init(f"{version} begins anew by name", version, *old)
            one.init(f"{version} begins anew by name, again", version, *old)
        one.init(f"{version} is replaced", version)
        if version >= 3:
            one.init(f"{version} old one by name", version, *old, keep=False)
            one.init(f"{version} other id by name", version, old[0] + 1000, old[1], keep=False)
            one.init(f"{version} id without epoch", version, old[0], keep=False)
        one.end(f"{version} the old one commits", True, off=-1)
        one.producer += 1000
        one.end(f"{version} another id commits", True)
        one.add(f"{version} another id adds", (topic, [0]), version=min(version, 3))
        one.write(f"{version} another id writes", topic, 11)
    limits = Transactional(recorder, "limits", 4)
    for timeout in (0, -1, 900000, 900001):
        limits.init(f"timeout {timeout}", 4, timeout=timeout, keep=False)
    limits.id = recorder.name("nobody")
    limits.end("nobody commits", True)
    limits.id = ""
    limits.init("empty id", 4)
    limits.end("empty id commits", True)
    limits.add("empty id adds", (topic, [0]))


def transactions_version_2(recorder):
    """What a producer with an epoch for every transaction may do and may not (KIP-890)."""
    topic, group = recorder.create("bumped", partitions=2), recorder.name("group")
    find_group(recorder, group)
    one = Transactional(recorder, "bumped", 5)
    one.init("begins", 5)
    one.end("commits nothing", True)
    one.end("aborts nothing", False)
    one.write("writes", topic, 12)
    one.sequences[topic] -= 1
    one.write("repeats a write", topic, 12)
    one.commit_offset("commits an offset", group, topic, 5)
    one.end("commits", True)
    one.sequences[topic] = 0
    one.write("repeats a write of the transaction that has ended", topic, 12, off=-1)
    one.sequences.clear()
    one.end("commits again", True, off=-1)
    one.end("aborts what is committed", False, off=-1)
    one.write("writes with the old epoch", topic, 12, off=-1)
    one.commit_offset("commits an offset with the old epoch", group, topic, 5, off=-1)
    one.write("writes the next", topic, 12)
    one.end("ends with a later epoch", True, off=1)
    one.end("aborts", False)
    one.end("aborts again", False, off=-1)
    one.end("commits what is aborted", True, off=-1)
    one.end("aborts nothing once more", False)
    one.end("commits nothing once more", True)
    one.write("writes before it is replaced", topic, 12)
    old = (one.producer, one.epoch)
    one.init("is replaced", 5)
    one.init("is replaced indeed", 5)
    one.init("old one by name", 5, *old, keep=False)
    one.end("the old one commits", True, off=-1)
    recorder.call("described", schema.DESCRIBE_TRANSACTIONS, 0, {
        "transactional_ids": [one.id, recorder.name("nobody"), ""]})


def transactions_without_verification(recorder):
    """Producers of version 1 write without a word, once nobody asks the coordinator; and are asked again."""
    topic = recorder.create("unverified")
    one = Transactional(recorder, "unverified", 3)
    one.init("begins", 3)
    for value, what in [("false", "off"), (None, "on")]:
        recorder.call(f"verification {what}", schema.INCREMENTAL_ALTER_CONFIGS, 1, {"validate_only": False, "resources": [
            {"resource_type": 4, "resource_name": "", "configs": [{
                "name": "transaction.partition.verification.enable", "config_operation": 0 if value else 1, "value": value}]}]})
        wait_for_verification(recorder, value is None)
        one.sequences.clear()
        one.write(f"{what}, writes without a word", topic, 11)
        one.sequences.clear()
        one.write(f"{what}, repeats", topic, 11)
        one.write(f"{what}, version 2 with an old epoch", topic, 12, off=-1)
        # Nobody has told the coordinator, so this marker is not from there.
        recorder.call(f"{what}, ended by hand", schema.WRITE_TXN_MARKERS, 1, {"markers": [{
            "producer_id": one.producer, "producer_epoch": one.epoch, "transaction_result": False, "coordinator_epoch": 0,
            "topics": [{"name": topic, "partition_indexes": [0]}]}]})


def wait_for_verification(recorder, on):
    """Apache Kafka's brokers hear of a changed config some time after the answer."""
    topic = recorder.name("probe")
    with contextlib.suppress(session.KafkaError):
        session.create_topic(recorder.connection, topic)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        producer, epoch = session.init_producer_id(recorder.connection, 4)
        body = session.produce_body(topic, batch([b"v"], timestamp=recorder.now_ms, attributes=16, producer=(producer, epoch, 0)))
        answer = recorder.connection.call(schema.PRODUCE, 11, {**body, "transactional_id": "probe"})
        if (answer["topics"][0]["partitions"][0]["error_code"] != 0) == on:
            return
        time.sleep(0.02)


SCRIPTS = [transactions_version_1, transactions_version_2, transactions_without_verification]
