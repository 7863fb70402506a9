"""The exact request versions that old clients send (design table A1b), as raw frames.

A session of each client: ApiVersions if it asks, Metadata, Produce, ListOffsets, Fetch; the records that
come back are decoded and compared. sarama's and kafka-python's own code runs in their suites too.
"""

import time
from dataclasses import dataclass

from harness import schema, session, wire
from harness.batch import batch, read_batches
from harness.suite import Suite

SUITE = Suite("old-clients", "raw frames at fixed versions")
SUITES = [SUITE]


@dataclass
class Client:
    """A client by the versions that it sends; None: it does not ask."""

    api_versions: int | None
    metadata: int
    produce: int
    fetch: int
    list_offsets: int
    find_coordinator: int
    init_producer_id: int | None


CLIENTS = {
    "librdkafka-2.0.2": Client(3, 4, 7, 11, 2, 2, 4),
    "librdkafka-1.6": Client(3, 4, 7, 11, 2, 2, 1),
    "librdkafka-2.16": Client(3, 13, 10, 16, 7, 2, 4),
    "kafka-python-2.0.2": Client(0, 1, 7, 4, 1, 0, None),
    "kafkajs-2.2.4": Client(2, 6, 7, 11, 3, 2, 1),
    "sarama-1.40": Client(None, 5, 3, 4, 1, 0, None),
    "sarama-1.41": Client(None, 7, 7, 10, 4, 2, None),
    "java-0.11": Client(0, 4, 3, 5, 2, 1, 0),
    "java-1.0": Client(1, 5, 5, 6, 2, 1, 0),
    "java-2.1": Client(2, 7, 7, 10, 4, 2, 1),
    "java-3.9": Client(4, 12, 11, 17, 9, 4, 5),
}


def topic_ids(connection, topic):
    found = connection.call(schema.METADATA, 12, {"topics": [{"name": topic}]})["topics"][0]
    return found["topic_id"]


def play(client, context, name):
    """One client's session."""
    topic = context.topic(name)
    now = int(time.time() * 1000)
    values = [f"{name} {i}".encode() for i in range(3)]
    with wire.Connection(context.broker().bootstrap) as connection:
        session.create_topic(connection, topic)
        topic_id = topic_ids(connection, topic)
        if client.api_versions is not None:
            answer = connection.call(schema.API_VERSIONS, client.api_versions, {
                "client_software_name": "old", "client_software_version": "1"})
            check_ranges(client, answer)
        check_metadata(connection, client, topic)
        check_coordinator(connection, client)
        producer = (-1, -1, -1)
        if client.init_producer_id is not None:
            producer = (*session.init_producer_id(connection, client.init_producer_id), 0)
            assert producer[0] >= 0
        first = session.produce(connection, topic, batch(values, timestamp=now, producer=producer), client.produce)
        assert (first["error_code"], first["base_offset"]) == (0, 0), first
        if client.init_producer_id is not None:
            again = session.produce(connection, topic, batch(values, timestamp=now, producer=producer), client.produce)
            assert (again["error_code"], again["base_offset"]) == (0, 0), f"the same batch again: {again}"
        for at, expected in [(-1, (-1, 3)), (-2, (-1, 0)), (now, (now, 0)), (now + 1, (-1, -1))]:
            found = session.offset_for(connection, topic, at, client.list_offsets)
            assert found == expected, f"ListOffsets {at}: {found}, expected {expected}"
        check_fetch(connection, client, topic, topic_id, [(i, now, None, value) for i, value in enumerate(values)])


def check_ranges(client, answer):
    ranges = {e["api_key"]: (e["min_version"], e["max_version"]) for e in answer["api_keys"]}
    for api, version in [(schema.METADATA, client.metadata), (schema.PRODUCE, client.produce),
                         (schema.FETCH, client.fetch), (schema.LIST_OFFSETS, client.list_offsets),
                         (schema.FIND_COORDINATOR, client.find_coordinator)]:
        low, high = ranges[api.key]
        assert low <= version <= high, f"{api.name} {low}-{high} leaves out {version}"


def check_metadata(connection, client, topic):
    answer = connection.call(schema.METADATA, client.metadata, {"topics": [{"name": topic}]})
    (found,) = answer["topics"]
    (partition,) = found["partitions"]
    nodes = {broker["node_id"]: (broker["host"], broker["port"]) for broker in answer["brokers"]}
    assert found["name"] == topic and found["error_code"] == 0, found
    assert partition["leader_id"] in nodes and partition["leader_id"] in partition["isr_nodes"], answer
    host, port = nodes[partition["leader_id"]]
    with wire.Connection(f"{host}:{port}"):
        pass


def check_coordinator(connection, client):
    """Served or not yet there (15), but never a closed connection."""
    answer = connection.call(schema.FIND_COORDINATOR, client.find_coordinator, {
        "key": "g", "key_type": 0, "coordinator_keys": ["g"]})
    code = answer["coordinators"][0]["error_code"] if client.find_coordinator >= 4 else answer["error_code"]
    assert code in (0, 15), f"FindCoordinator: error {code}"


def check_fetch(connection, client, topic, topic_id, expected):
    for isolation in (0, 1):
        for offset in (0, 1, 2):
            body = session.fetch_body(topic, offset, client.fetch, isolation_level=isolation)
            body["topics"][0]["topic_id"] = topic_id
            answer = connection.call(schema.FETCH, client.fetch, body)
            partition = answer["topics"][0]["partitions"][0]
            assert partition["error_code"] == 0 and partition["high_watermark"] == 3, partition
            found = read_batches(partition["records"])
            assert found == expected, f"from {offset}: {found}"
    body = session.fetch_body(topic, 3, client.fetch, max_wait_ms=1)
    body["topics"][0]["topic_id"] = topic_id
    partition = connection.call(schema.FETCH, client.fetch, body)["topics"][0]["partitions"][0]
    assert partition["records"] == b"", f"at the end: {partition['records']!r}, expected an empty record set"
    body = session.fetch_body(topic, 99, client.fetch, max_wait_ms=1)
    body["topics"][0]["topic_id"] = topic_id
    partition = connection.call(schema.FETCH, client.fetch, body)["topics"][0]["partitions"][0]
    assert partition["error_code"] == 1, f"beyond the end: error {partition['error_code']}, expected OFFSET_OUT_OF_RANGE"


for client_name, versions in CLIENTS.items():
    SUITE.cases.append((client_name, lambda context, n=client_name, c=versions: play(c, context, n)))


@SUITE.case
def metadata_0_means_all_topics(context):
    """Version 0 with an empty list is every topic (kafka-python asks so at connect); from 1 on it is none."""
    with wire.Connection(context.broker().bootstrap) as connection:
        topic = context.topic("listed")
        session.create_topic(connection, topic)
        for version, asked, expected in [(0, [], True), (1, [], False), (1, None, True), (9, [], False), (12, None, True)]:
            answer = connection.call(schema.METADATA, version, {"topics": asked})
            listed = topic in [t["name"] for t in answer["topics"]]
            assert listed == expected, f"Metadata v{version} with {asked}: listed {listed}"


@SUITE.case
def list_offsets_special_times(context):
    """Version 8: the record with the greatest time (-3), the earliest local one (-4), the last tiered one (-5)."""
    with wire.Connection(context.broker().bootstrap) as connection:
        topic = context.topic("special")
        session.create_topic(connection, topic)
        now = int(time.time() * 1000)
        assert session.offset_for(connection, topic, -3, 8) == (-1, -1), "the greatest time of an empty log"
        for back in (30, 10, 20):
            answer = session.produce(connection, topic, batch([b"x"], timestamp=now - back))
            assert answer["error_code"] == 0, answer
        assert session.offset_for(connection, topic, -3, 8) == (now - 10, 1)
        assert session.offset_for(connection, topic, now - 15, 8) == (now - 10, 1)
        assert session.offset_for(connection, topic, -4, 8)[1] == 0
        assert session.offset_for(connection, topic, -5, 9) == (-1, -1)


@SUITE.case
def every_advertised_version(context):
    """Each version of the core APIs that ApiVersions advertises is answered in its own layout."""
    with wire.Connection(context.broker().bootstrap) as connection:
        topic = context.topic("every-version")
        session.create_topic(connection, topic)
        topic_id = topic_ids(connection, topic)
        ranges = {e["api_key"]: (e["min_version"], e["max_version"])
                  for e in connection.call(schema.API_VERSIONS, 0, {})["api_keys"]}
        produced = 0
        for version in range(3, min(ranges[0][1], 13) + 1):
            body = session.produce_body(topic, session.one_batch())
            body["topics"][0]["topic_id"] = topic_id
            partition = connection.call(schema.PRODUCE, version, body)["topics"][0]["partitions"][0]
            assert (partition["error_code"], partition["base_offset"]) == (0, produced), f"Produce v{version}: {partition}"
            produced += 1
        for version in range(ranges[1][0], min(ranges[1][1], 17) + 1):
            body = session.fetch_body(topic, 0, version)
            body["topics"][0]["topic_id"] = topic_id
            partition = connection.call(schema.FETCH, version, body)["topics"][0]["partitions"][0]
            assert len(read_batches(partition["records"])) == produced, f"Fetch v{version}: {partition}"
        for version in range(ranges[2][0], min(ranges[2][1], 10) + 1):
            assert session.offset_for(connection, topic, -1, version)[1] == produced, f"ListOffsets v{version}"
        for version in range(ranges[3][0], min(ranges[3][1], 13) + 1):
            answer = connection.call(schema.METADATA, version, {"topics": [{"name": topic}]})
            assert answer["topics"][0]["name"] == topic, f"Metadata v{version}: {answer}"
        for version in range(ranges[19][0], min(ranges[19][1], 7) + 1):
            session.create_topic(connection, context.topic(f"v{version}"), version=version)
        for version in range(ranges[22][0], min(ranges[22][1], 5) + 1):
            session.init_producer_id(connection, version)
        for version in range(ranges[32][0], min(ranges[32][1], 4) + 1):
            answer = connection.call(schema.DESCRIBE_CONFIGS, version, {"resources": [
                {"resource_type": 2, "resource_name": topic, "configuration_keys": None}]})
            names = [c["name"] for c in answer["results"][0]["configs"]]
            assert "segment.bytes" in names, f"DescribeConfigs v{version}: {names}"
