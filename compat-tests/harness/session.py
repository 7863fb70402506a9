"""Short forms of raw requests, each at a version of the caller's choice."""

import time

from . import schema
from .batch import batch

LATEST, EARLIEST = -1, -2
COORDINATOR_LOAD_IN_PROGRESS = 14


class KafkaError(Exception):
    """An error code in an answer."""

    def __init__(self, where, code, message=""):
        super().__init__(f"{where}: error {code} {message or ''}".rstrip())
        self.code = code


def ok(where, code, message=""):
    if code:
        raise KafkaError(where, code, message)


def create_topic(connection, topic, partitions=1, configs=None, version=5):
    """Creates a topic and waits until Metadata shows its leader."""
    answer = connection.call(schema.CREATE_TOPICS, version, {"timeout_ms": 15000, "topics": [{
        "name": topic, "num_partitions": partitions, "replication_factor": 1,
        "configs": [{"name": name, "value": value} for name, value in (configs or {}).items()],
    }]})["topics"][0]
    ok(f"CreateTopics {topic}", answer["error_code"], answer.get("error_message"))
    deadline = time.monotonic() + 15
    while (code := not_ready(connection, topic, partitions)) and time.monotonic() < deadline:
        time.sleep(0.02)
    ok(f"a leader for {topic}", code)


def not_ready(connection, topic, partitions):
    """0 once every partition has a leader that serves it, else the error that tells why not."""
    found = connection.call(schema.METADATA, 5, {"topics": [{"name": topic}]})["topics"][0]
    listed = connection.call(schema.LIST_OFFSETS, 2, {"replica_id": -1, "topics": [{"name": topic, "partitions": [
        {"index": index, "timestamp": LATEST} for index in range(partitions)]}]})["topics"][0]["partitions"]
    return max([found["error_code"], *(partition["error_code"] for partition in listed)], key=abs)


def wait_until(holds, what, seconds=30):
    """Until a condition on the broker's answers holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"no {what} in {seconds} s"
        time.sleep(0.02)


def settle(connection, topic):
    """Until the broker knows all that was answered so far: it knows of a topic that is made afterwards, called `topic`."""
    create_topic(connection, topic)


def find_coordinator(connection, group):
    """Asks for a group's coordinator until there is one; the first time makes the broker create its topic."""
    deadline = time.monotonic() + 30
    while code := connection.call(schema.FIND_COORDINATOR, 2, {"key": group, "key_type": 0})["error_code"]:
        if time.monotonic() > deadline:
            ok("FindCoordinator", code)
        time.sleep(0.05)


def init_producer_id(connection, version):
    """`(id, epoch)` of a new idempotent producer; asks again while a starting broker has no ids yet."""
    deadline = time.monotonic() + 15
    while True:
        answer = connection.call(schema.INIT_PRODUCER_ID, version, {
            "transactional_id": None, "transaction_timeout_ms": 60000, "producer_id": -1, "producer_epoch": -1})
        if answer["error_code"] != COORDINATOR_LOAD_IN_PROGRESS or time.monotonic() > deadline:
            ok("InitProducerId", answer["error_code"])
            return answer["producer_id"], answer["producer_epoch"]
        time.sleep(0.05)


def produce_body(topic, records, acks=-1, partition=0):
    return {"acks": acks, "timeout_ms": 15000, "topics": [
        {"name": topic, "partitions": [{"index": partition, "records": records}]}]}


def produce(connection, topic, records, version=7, acks=-1):
    """The answer for the one partition; `records` may be wrong on purpose, so no error is raised."""
    answer = connection.call(schema.PRODUCE, version, produce_body(topic, records, acks))
    return answer["topics"][0]["partitions"][0]


def fetch_body(topic, offset, version, max_bytes=1 << 20, max_wait_ms=500, min_bytes=1, isolation_level=0):
    body = {"replica_id": -1, "max_wait_ms": max_wait_ms, "min_bytes": min_bytes, "max_bytes": max_bytes,
            "isolation_level": isolation_level, "session_id": 0, "session_epoch": -1,
            "topics": [{"topic": topic, "partitions": [{
                "partition": 0, "current_leader_epoch": -1, "fetch_offset": offset, "log_start_offset": -1,
                "last_fetched_epoch": -1, "partition_max_bytes": max_bytes}]}]}
    return body


def fetch(connection, topic, offset, version=11, **limits):
    """The answer for the one partition."""
    answer = connection.call(schema.FETCH, version, fetch_body(topic, offset, version, **limits))
    ok("Fetch", answer.get("error_code", 0))
    return answer["topics"][0]["partitions"][0]


def offset_for(connection, topic, timestamp, version=2):
    """`(timestamp, offset)` that ListOffsets answers."""
    answer = connection.call(schema.LIST_OFFSETS, version, {"replica_id": -1, "topics": [
        {"name": topic, "partitions": [{"index": 0, "current_leader_epoch": -1, "timestamp": timestamp}]}]})
    found = answer["topics"][0]["partitions"][0]
    ok("ListOffsets", found["error_code"])
    return found["timestamp"], found["offset"]


def one_batch(text=b"a record", **wrong):
    """A batch of one record, fields wrong as asked."""
    return batch([text], timestamp=int(time.time() * 1000), **wrong)
