"""Hostile and broken bytes: the right refusal for each, and everybody else goes on being served."""

import struct
import time

from harness import schema, session, wire
from harness.batch import batch
from harness.suite import Skip, Suite

SUITE = Suite("torture", "raw frames")
SUITES = [SUITE]

CORRUPT_MESSAGE, UNSUPPORTED_VERSION, INVALID_RECORD = 2, 35, 87
MESSAGE_TOO_LARGE, OUT_OF_ORDER = 10, 45
SERVED_KEYS_MIN = {0, 1, 2, 3, 10, 18, 19, 20, 22, 37}
RSS_GROWTH_LIMIT = 128 << 20


def connect(context):
    return wire.Connection(context.broker().bootstrap)


def expect_closed(connection, what):
    """The broker must close this connection without a word."""
    try:
        frame = connection.read_frame()
    except wire.Closed:
        return
    except TimeoutError:
        raise AssertionError(f"{what}: the connection stays open and silent") from None
    raise AssertionError(f"{what}: answered {frame[:40].hex()}")


def alive(context):
    """A fresh connection is served."""
    with connect(context) as connection:
        assert connection.call(schema.API_VERSIONS, 0, {})["error_code"] == 0


def closes(context, data, what, half_close=False):
    with connect(context) as connection:
        try:
            connection.send_raw(data)
            if half_close:
                connection.socket.shutdown(1)
        except (wire.Closed, OSError):
            return
        expect_closed(connection, what)
    alive(context)


def header(key, version, correlation_id=7, client=b"\0\1x"):
    return struct.pack(">hhi", key, version, correlation_id) + client


def framed(payload):
    return struct.pack(">i", len(payload)) + payload


def expect_closed_or_answered(context, payload, what):
    """A frame whose content lies: closing and an error answer are both fine, silence and death are not."""
    with connect(context) as connection:
        try:
            connection.send_raw(framed(payload))
            connection.read_frame()
        except wire.Closed:
            pass
        except TimeoutError:
            raise AssertionError(f"{what}: no answer and no close") from None
    alive(context)


@SUITE.case
def garbage(context):
    """Bytes that are no protocol at all: HTTP, TLS, zeros, ones."""
    closes(context, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "an HTTP request")
    closes(context, bytes.fromhex("160301020001000200fc0303") + bytes(600), "a TLS hello")
    closes(context, b"\xff" * 64, "a negative length")
    closes(context, framed(b""), "an empty frame")
    closes(context, framed(b"\0"), "a frame of one byte")
    closes(context, framed(bytes(7)), "half a header")


@SUITE.case
def truncated(context):
    """Requests that end early, at every byte of an ApiVersions and of a Metadata request."""
    for api, version, body in [(schema.API_VERSIONS, 3, {"client_software_name": "x", "client_software_version": "1"}),
                               (schema.METADATA, 9, {"topics": [{"name": "some-topic"}]})]:
        whole = wire.request_bytes(api, version, body, 1)
        for cut in range(4, len(whole)):
            with connect(context) as connection:
                connection.send_frame(whole[:cut])
                try:
                    answer = connection.read_frame()
                except wire.Closed:
                    continue
                error = struct.unpack(">h", answer[4:6])[0] if api is schema.API_VERSIONS else None
                assert error, f"{api.name} cut after {cut} of {len(whole)} bytes was answered: {answer.hex()}"
    closes(context, struct.pack(">i", 1000) + bytes(10), "a frame that never comes", half_close=True)


@SUITE.case
def oversized(context):
    """Frame lengths above socket.request.max.bytes are refused before anything is read."""
    for length in (0x7FFFFFFF, 104857601, 500 << 20):
        closes(context, struct.pack(">i", length) + bytes(100), f"a frame of {length} bytes")


@SUITE.case
def hostile_counts(context):
    """Counts and lengths in a small frame that promise gigabytes."""
    huge, huge_varint = b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff\x07"
    cases = {
        "Metadata v1, topics": header(3, 1) + huge,
        "Metadata v9, topics": header(3, 9) + b"\0" + huge_varint,
        "Metadata v9, tagged fields": header(3, 9) + huge_varint,
        "Produce v7, topics": header(0, 7) + b"\xff\xff\0\1\0\0\0\1" + huge,
        "Produce v7, partitions": header(0, 7) + b"\xff\xff\0\1\0\0\0\1\0\0\0\1\0\1t" + huge,
        "Produce v7, records": header(0, 7) + b"\xff\xff\0\1\0\0\0\1\0\0\0\1\0\1t\0\0\0\1\0\0\0\0" + huge,
        "Produce v9, topics": header(0, 9) + b"\0\0\0\1\0\0\0\1" + huge_varint,
        "Fetch v4, topics": header(1, 4) + bytes(17) + huge,
        "Fetch v12, topics": header(1, 12) + b"\0" + bytes(25) + huge_varint,
        "ListOffsets v1, topics": header(2, 1) + b"\xff\xff\xff\xff" + huge,
        "CreateTopics v2, topics": header(19, 2) + huge,
        "CreateTopics v5, topics": header(19, 5) + b"\0" + huge_varint,
        "DeleteTopics v1, names": header(20, 1) + huge,
        "CreatePartitions v0, topics": header(37, 0) + huge,
        "DescribeConfigs v1, resources": header(32, 1) + huge,
        "InitProducerId v4, id": header(22, 4) + b"\0" + huge_varint,
        "FindCoordinator v4, keys": header(10, 4) + b"\0\0" + huge_varint,
        "ApiVersions v3, name": header(18, 3) + b"\0" + huge_varint,
        "client id": header(18, 0, client=b"\x7f\xff"),
    }
    for what, payload in cases.items():
        expect_closed_or_answered(context, payload, what)


@SUITE.case
def unknown_apis_and_versions(context):
    """An unknown key or version closes the connection; an error body would be read in the wrong layout."""
    for key, version in [(999, 0), (-1, 0), (4, 0), (0, 99), (1, 99), (3, 99), (1, -1), (3, -1), (19, 99)]:
        closes(context, framed(header(key, version) + bytes(20)), f"key {key} version {version}")


@SUITE.case
def old_produce_and_fetch(context):
    """Produce 0-2 and Fetch 0-3 are gone since 4.0 (KIP-896), although Produce 0 is advertised."""
    for key, version in [(0, 0), (0, 2), (1, 3), (2, 0)]:
        closes(context, framed(header(key, version) + bytes(20)), f"key {key} version {version}")


@SUITE.case
def api_versions_fallback(context):
    """An unknown ApiVersions version is answered in v0's layout: error 35 and only key 18 (KIP-511)."""
    for version in (99, 1000, 32767):
        with connect(context) as connection:
            connection.send_frame(header(18, version, 42) + b"\0" + b"\2x\2y\0")
            correlation_id, body = wire.read_response(schema.API_VERSIONS, 0, connection.read_frame())
            assert correlation_id == 42 and body["error_code"] == UNSUPPORTED_VERSION, body
            assert [entry["api_key"] for entry in body["api_keys"]] == [18], body
            again = connection.call(schema.API_VERSIONS, body["api_keys"][0]["max_version"],
                                    {"client_software_name": "compat-tests", "client_software_version": "1.0"})
            assert again["error_code"] == 0, "the connection must stay usable"


@SUITE.case
def api_versions_content(context):
    """Every version says the same; what librdkafka's feature gates and old clients need is there."""
    answers = []
    with connect(context) as connection:
        for version in range(4):
            body = connection.call(schema.API_VERSIONS, version,
                                   {"client_software_name": "compat-tests", "client_software_version": "1.0"})
            answers.append({e["api_key"]: (e["min_version"], e["max_version"]) for e in body["api_keys"]})
    assert all(answer == answers[0] for answer in answers), "versions 0-3 differ"
    ranges = answers[0]
    assert SERVED_KEYS_MIN <= set(ranges), f"missing keys {sorted(SERVED_KEYS_MIN - set(ranges))}"
    assert ranges[0][0] == 0, "Produce must be advertised from 0 (KIP-896's note on librdkafka)"
    gates = {0: 3, 1: 4, 2: 1, 3: 0, 10: 0, 18: 0, 19: 2, 20: 1, 22: 0}
    for key, needed in gates.items():
        low, high = ranges[key]
        assert low <= needed <= high, f"key {key}: {low}-{high} leaves out version {needed}"


@SUITE.case
def api_versions_bad_software_name(context):
    """A client software name of other characters is INVALID_REQUEST (42), and the connection lives."""
    with connect(context) as connection:
        body = connection.call(schema.API_VERSIONS, 3, {"client_software_name": "a b!", "client_software_version": "1"})
        assert body["error_code"] == 42, body
        alive(context)


@SUITE.case
def pipelining(context):
    """Five hundred requests sent before any answer is read: answers come in request order."""
    with connect(context) as connection:
        topic = context.topic("pipelined")
        session.create_topic(connection, topic)
        plan = [(schema.API_VERSIONS, 0, {}), (schema.METADATA, 1, {"topics": [{"name": topic}]}),
                (schema.PRODUCE, 7, session.produce_body(topic, session.one_batch())),
                (schema.FETCH, 11, session.fetch_body(topic, 0, 11)),
                (schema.LIST_OFFSETS, 2, {"replica_id": -1, "topics": [{"name": topic, "partitions": [
                    {"index": 0, "timestamp": session.LATEST}]}]})] * 100
        sent = [(api, version, connection.send(api, version, body)) for api, version, body in plan]
        ends = []
        for api, version, correlation_id in sent:
            body = connection.receive(api, version, correlation_id)
            if api is schema.LIST_OFFSETS:
                ends.append(body["topics"][0]["partitions"][0]["offset"])
        assert ends == list(range(1, 101)), f"requests of one connection were reordered: {ends[:10]}"


@SUITE.case
def acks_zero_has_no_answer(context):
    """acks=0: nothing comes back, and the next request's answer is the next thing on the wire."""
    with connect(context) as connection:
        topic = context.topic("acks0")
        session.create_topic(connection, topic)
        for _ in range(10):
            connection.send(schema.PRODUCE, 7, session.produce_body(topic, session.one_batch(), acks=0))
        assert session.offset_for(connection, topic, session.LATEST)[1] == 10
        connection.send(schema.PRODUCE, 7, session.produce_body(topic, session.one_batch(crc=1), acks=0))
        expect_closed(connection, "acks=0 with a bad batch")


@SUITE.case
def bad_batches(context):
    """Each kind of wrong batch gets its error, nothing of it is stored, the connection goes on."""
    good = session.one_batch()
    table = {
        "flipped bit in the records": (good[:-3] + bytes([good[-3] ^ 1]) + good[-2:], {CORRUPT_MESSAGE}),
        "wrong CRC": (session.one_batch(crc=0), {CORRUPT_MESSAGE}),
        "magic 0": (session.one_batch(magic=0), {INVALID_RECORD, CORRUPT_MESSAGE}),
        "magic 1": (session.one_batch(magic=1), {INVALID_RECORD, CORRUPT_MESSAGE}),
        "magic 9": (session.one_batch(magic=9), {INVALID_RECORD, CORRUPT_MESSAGE}),
        "two batches": (good + good, {INVALID_RECORD}),
        "count above the records": (session.one_batch(count=2, last_offset_delta=1), {INVALID_RECORD, CORRUPT_MESSAGE}),
        "count of 2^31-1": (session.one_batch(count=0x7FFFFFFF, last_offset_delta=0x7FFFFFFE), {INVALID_RECORD, CORRUPT_MESSAGE}),
        "last offset delta not count - 1": (session.one_batch(last_offset_delta=5), {INVALID_RECORD}),
        "control batch": (session.one_batch(attributes=0x20), {INVALID_RECORD}),
        "codec 7": (session.one_batch(attributes=7), {INVALID_RECORD, CORRUPT_MESSAGE, -1, 76}),
        "empty batch": (batch([]), {INVALID_RECORD, CORRUPT_MESSAGE}),
        "garbage that claims lz4": (session.one_batch(attributes=3), {INVALID_RECORD, CORRUPT_MESSAGE, -1}),
        "half a batch": (good[:40], {INVALID_RECORD, CORRUPT_MESSAGE}),
        "producer id without sequence": (session.one_batch(producer=(5, 0, -1)), {INVALID_RECORD, OUT_OF_ORDER}),
    }
    topic = context.topic("bad-batches")
    wrong = []
    with connect(context) as connection:
        session.create_topic(connection, topic)
        for what, (records, expected) in table.items():
            try:
                code = session.produce(connection, topic, records)["error_code"]
            except wire.Closed:
                code = "closed"
                connection = connect(context)
            if code not in expected:
                wrong.append(f"{what}: {code}, expected one of {sorted(expected)}")
        end = session.offset_for(connection, topic, session.LATEST)[1]
        assert not wrong, "; ".join(wrong)
        assert end == 0, f"{end} records of refused batches are stored"
        assert session.produce(connection, topic, good)["error_code"] == 0


@SUITE.case
def too_large_batch(context):
    """A batch above max.message.bytes: MESSAGE_TOO_LARGE, and the limit is the topic's own."""
    with connect(context) as connection:
        small, normal = context.topic("small"), context.topic("normal")
        session.create_topic(connection, small, configs={"max.message.bytes": "2000"})
        session.create_topic(connection, normal)
        batch_of = lambda size: session.one_batch(bytes(size))  # noqa: E731
        assert session.produce(connection, small, batch_of(1900))["error_code"] == 0
        assert session.produce(connection, small, batch_of(2001))["error_code"] == MESSAGE_TOO_LARGE
        assert session.produce(connection, normal, batch_of(2001))["error_code"] == 0
        assert session.produce(connection, normal, batch_of(1048588))["error_code"] == MESSAGE_TOO_LARGE


@SUITE.case
def memory_is_bounded(context):
    """Hostile counts and lengths many times over: the process is the same one and has not grown."""
    broker = context.broker()
    if not hasattr(broker, "rss_bytes"):
        raise Skip("needs a broker whose memory this run can see")
    pid = broker.process.pid
    hostile_counts(context)
    before = broker.rss_bytes()
    for _ in range(10):
        hostile_counts(context)
        oversized(context)
    growth = broker.rss_bytes() - before
    assert broker.process.poll() is None and broker.process.pid == pid, "the broker died"
    assert growth < RSS_GROWTH_LIMIT, f"grew by {growth >> 20} MiB"


@SUITE.case
def slow_consumers_hold_up_nobody(context):
    """100 consumers ask for 8 MB each and never read: others are served, memory is not taken."""
    broker = context.broker()
    if not hasattr(broker, "rss_bytes"):
        raise Skip("needs a broker whose memory this run can see")
    topic = context.topic("slow")
    with connect(context) as connection:
        session.create_topic(connection, topic)
        for _ in range(20):
            assert session.produce(connection, topic, session.one_batch(bytes(800_000)))["error_code"] == 0
        before = broker.rss_bytes()
        stuck = [connect(context) for _ in range(100)]
        try:
            for slow in stuck:
                slow.send(schema.FETCH, 11, session.fetch_body(topic, 0, 11, max_bytes=8 << 20))
            started = time.monotonic()
            for offset in range(20):
                assert session.fetch(connection, topic, offset)["records"], f"nothing at offset {offset}"
            took, growth = time.monotonic() - started, broker.rss_bytes() - before
            assert took < 5, f"20 fetches beside them took {took:.1f} s"
            assert growth < RSS_GROWTH_LIMIT, f"grew by {growth >> 20} MiB"
        finally:
            for slow in stuck:
                slow.socket.close()
    alive(context)


@SUITE.case
def half_requests_hold_up_nobody(context):
    """200 connections announce 50 MB each and send 1 KB of it: others are served, memory is not taken."""
    broker = context.own_broker()
    stuck = [wire.Connection(broker.bootstrap) for _ in range(200)]
    try:
        for connection in stuck:
            connection.send_raw(struct.pack(">i", 50_000_000) + header(0, 7) + bytes(1000))
        started = time.monotonic()
        for _ in range(20):
            with wire.Connection(broker.bootstrap) as connection:
                connection.call(schema.API_VERSIONS, 0, {})
        took = time.monotonic() - started
        assert took < 5, f"20 requests took {took:.1f} s"
        assert broker.rss_bytes() < 1 << 30, f"{broker.rss_bytes() >> 20} MiB of memory"
    finally:
        for connection in stuck:
            connection.socket.close()
