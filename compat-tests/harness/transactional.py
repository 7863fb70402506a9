"""A transactional producer by hand, whose every request is recorded."""

import time

from . import schema, session
from .batch import batch


class Transactional:
    """A transactional producer whose every request is recorded."""

    def __init__(self, recorder, name, end_version):
        self.recorder, self.id, self.end_version = recorder, recorder.name(name), end_version
        connection = recorder.connection
        session.init_producer_id(connection, 4)  # A starting broker has no ids yet, and says so to transactions too.
        find = {"key": self.id, "key_type": 1, "coordinator_keys": [self.id]}
        deadline = time.monotonic() + 30
        while True:
            answer = connection.call(schema.FIND_COORDINATOR, 3, find)
            if answer["error_code"] == 0 and self.state(15) is not None or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        self.producer, self.epoch, self.sequences = -1, -1, {}

    def state(self, not_yet):
        """The state of the transaction; None while the coordinator answers `not_yet` or is being loaded."""
        found = self.recorder.connection.call(schema.DESCRIBE_TRANSACTIONS, 0, {"transactional_ids": [self.id]})
        found = found["transaction_states"][0]
        return None if found["error_code"] in (14, 15, 16, not_yet) else found["transaction_state"]

    def settle(self):
        """Apache Kafka answers EndTxn before the markers are written."""
        deadline = time.monotonic() + 30
        while (self.state(15) or "").startswith("Prepare") and time.monotonic() < deadline:
            time.sleep(0.02)

    def init(self, what, version=4, producer=-1, epoch=-1, timeout=60000, keep=True):
        answer = self.recorder.call(what, schema.INIT_PRODUCER_ID, version, {
            "transactional_id": self.id, "transaction_timeout_ms": timeout, "producer_id": producer,
            "producer_epoch": epoch})
        if keep and answer and answer["error_code"] == 0:
            self.producer, self.epoch, self.sequences = answer["producer_id"], answer["producer_epoch"], {}
        self.settle()

    def named(self, off):
        return {"transactional_id": self.id, "producer_id": self.producer, "producer_epoch": self.epoch + off}

    def add(self, what, *topics, version=3, off=0):
        self.recorder.call(what, schema.ADD_PARTITIONS_TO_TXN, version, {
            **self.named(off), "topics": [{"name": name, "partitions": partitions} for name, partitions in topics]})

    def write(self, what, topic, version, off=0):
        sequence = self.sequences.get(topic, 0)
        body = session.produce_body(topic, batch([b"v"], timestamp=self.recorder.now_ms, attributes=16,
                                                 producer=(self.producer, self.epoch + off, sequence)))
        answer = self.recorder.call(what, schema.PRODUCE, version, {**body, "transactional_id": self.id})
        if answer and answer["topics"][0]["partitions"][0]["error_code"] == 0:
            self.sequences[topic] = sequence + 1

    def add_offsets(self, what, group, version=3, off=0):
        self.recorder.call(what, schema.ADD_OFFSETS_TO_TXN, version, {**self.named(off), "group_id": group})

    def commit_offset(self, what, group, topic, version, off=0, **member):
        body = {**self.named(off), "group_id": group, "generation_id": -1, "member_id": "", "group_instance_id": None,
                "topics": [{"name": topic, "partitions": [
                    {"index": 0, "offset": 5, "leader_epoch": -1, "metadata": "m"}]}]}
        self.recorder.call(what, schema.TXN_OFFSET_COMMIT, version, {**body, **member})

    def end(self, what, committed, off=0, version=None):
        version = self.end_version if version is None else version
        answer = self.recorder.call(what, schema.END_TXN, version, {**self.named(off), "committed": committed})
        self.settle()
        if version >= 5 and answer and answer["error_code"] == 0:
            self.producer, self.epoch, self.sequences = answer["producer_id"], answer["producer_epoch"], {}


def find_group(recorder, group):
    """Until the group's coordinator is there and has its groups."""
    connection, deadline = recorder.connection, time.monotonic() + 30
    key = {"key": group, "key_type": 0, "coordinator_keys": [group]}
    while time.monotonic() < deadline:
        found = connection.call(schema.FIND_COORDINATOR, 3, key)["error_code"]
        if found == 0 and connection.call(schema.OFFSET_FETCH, 7, {"group_id": group, "topics": None})["error_code"] == 0:
            return
        time.sleep(0.05)
