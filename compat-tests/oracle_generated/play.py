"""Plays a session of raw requests to one broker, and remembers what the broker gave out on the way.

A body may ask for what only the broker knows, or what differs from play to play: the name of a topic in this play,
its id, the member id and generation of a group, the id, epoch and next sequence of a producer. What was never
given out is asked for all the same, and is then the value of somebody new: so a session stays playable whichever
of its requests are left out. The methods of `Play` are what a session may ask for, generated or pasted into a script.
"""

import gzip
import struct
import time
from dataclasses import dataclass, field

from harness import schema, session, wire
from harness.batch import batch, crc32c, record

HOUR_MS = 3_600_000
WAIT_S = 10
CONSTANTS = {value.key: name for name, value in vars(schema).items() if isinstance(value, schema.Api)}
# Requests after which a broker takes over new metadata some time after the answer.
CHANGES = {schema.CREATE_TOPICS, schema.DELETE_TOPICS, schema.CREATE_PARTITIONS, schema.ALTER_CONFIGS, schema.UPDATE_FEATURES,
           schema.INCREMENTAL_ALTER_CONFIGS, schema.ELECT_LEADERS, schema.ALTER_PARTITION_REASSIGNMENTS,
           schema.ALTER_CLIENT_QUOTAS}
GROUPS_TOLD = {schema.LIST_GROUPS, schema.DESCRIBE_GROUPS}
# How an element of a listing says what it is; others' topics and groups are left out of listings.
NAMES = ("group_id", "transactional_id", "resource_name", "topic", "name")
# How Apache Kafka says that a coordinator is not there yet.
NOT_YET = (14, 15, 16)


@dataclass(frozen=True)
class Ask:
    """A value that a method of `Play` gives when the request is sent."""

    method: str
    arguments: tuple = ()
    named: tuple = ()

    def __repr__(self):
        words = [repr(one) for one in self.arguments] + [f"{name}={value!r}" for name, value in self.named]
        return f"play.{self.method}({', '.join(words)})"

    def answer(self, play):
        arguments = [given(one, play) for one in self.arguments]
        return getattr(play, self.method)(*arguments, **{name: given(value, play) for name, value in self.named})


class Asks:
    """`ask.member("g0")` is the `Ask` for `play.member("g0")`."""

    def __getattr__(self, method):
        return lambda *arguments, **named: Ask(method, arguments, tuple(named.items()))


ask = Asks()


def given(value, play):
    """A value with everything in it that had to be asked for."""
    if isinstance(value, Ask):
        return value.answer(play)
    if isinstance(value, dict):
        return {key: given(item, play) for key, item in value.items()}
    return [given(item, play) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Step:
    """One request of a session; `harm` is what is done to its frame (see `Play.frame`)."""

    api: schema.Api
    version: int
    body: dict
    harm: dict = field(default_factory=dict)

    def __repr__(self):
        words = [f"schema.{CONSTANTS[self.api.key]}", str(self.version), repr(self.body)]
        words += [f"{name}={value!r}" for name, value in self.harm.items()]
        return f"play.{'frame' if self.harm else 'call'}({', '.join(words)})"

    def send(self, play):
        act = play.frame if self.harm else play.call
        act(self.api, self.version, self.body, **self.harm)


class Play:
    """One play of a session, through a `Recorder` with a prefix of its own."""

    def __init__(self, recorder):
        self.recorder, self.number, self.barriers = recorder, 0, 0
        self.topics, self.members, self.producers, self.sequences = set(), {}, {}, {}

    # What a session may ask for.

    def name(self, text):
        """A topic, group or transactional id of this play."""
        return self.recorder.name(text)

    def topic_id(self, topic):
        """The id of a topic; an id of no topic where there is none."""
        found = self.recorder.connection.call(schema.METADATA, 12, {"topics": [{"name": self.name(topic)}]})["topics"][0]
        return b"no such topic id" if found["error_code"] else found["topic_id"]

    def member(self, group):
        """The latest member id that the group gave out, or none."""
        return self.members.get(self.name(group), ("", -1))[0]

    def generation(self, group, off=0):
        """The latest generation or member epoch that the group gave out."""
        return self.members.get(self.name(group), ("", -1))[1] + off

    def epoch_of(self, group, off=0):
        """The same for members of the consumer protocol, which join with epoch 0."""
        return self.members.get(self.name(group), ("", 0))[1] + off

    def producer_id(self, producer):
        return self.producers.get(producer, (-1, -1))[0]

    def producer_epoch(self, producer, off=0):
        epoch = self.producers.get(producer, (-1, -1))[1] + off
        return max(-1, min(epoch, 32767))

    def stamp(self, producer, topic, partition, off=0):
        """Id, epoch and next sequence of a producer, for a batch."""
        sequence = self.sequences.get((producer, self.name(topic), partition), 0)
        return (self.producer_id(producer), self.producer_epoch(producer), max(0, sequence + off))

    def batch(self, count=1, kind="", stamp=(-1, -1, -1), transactional=False):
        """A batch of `count` records, right or wrong in the way that `kind` says. Nobody's is never transactional: Apache Kafka
        stores such a batch, which no marker can ever end, and this broker does not."""
        return records(self.recorder.now_ms, count, kind, stamp, 0x10 if transactional and stamp[0] >= 0 else 0)

    # What a session does.

    def call(self, api, version, body):
        """Sends a request, keeps its answer under its number, and waits until what it changed holds."""
        self.number += 1
        body = given(body, self)
        if api is schema.PRODUCE and body.get("acks", 0) == 0:
            return self.unanswered(api, version, body)
        label = str(self.number)
        if api in GROUPS_TOLD:
            self.group_barrier()
        try:
            answer = self.recorder.call(label, api, version, body)
        except ValueError as error:
            self.answer(label, api, version, f"undecodable: {error}")
            self.recorder.reconnect()
            return None
        if answer is not None:
            self.without_strangers(label, api, version, body)
            self.learn(api, body, answer)
            self.settle(api, body)
        return answer

    def unanswered(self, api, version, body):
        """A request without an answer: whether the connection lives on."""
        self.answer(str(self.number), api, version, self.outcome(lambda connection: (
            connection.send(api, version, body), connection.call(schema.API_VERSIONS, 0, {}), "no answer")[-1]))

    def frame(self, api, version, body, cut=0, extra=b"", as_version=None, as_key=None, size=None):
        """Sends a damaged frame: without its last bytes, with bytes too many, under another version, key or size."""
        self.number += 1
        if api in GROUPS_TOLD:
            self.group_barrier()
        whole = wire.request_bytes(api, version, given(body, self), self.number)
        frame = whole[:max(0, len(whole) - cut)] + extra
        key, number = as_key if as_key is not None else api.key, as_version if as_version is not None else version
        frame = (struct.pack(">hh", key, number) + frame[4:])[:len(frame)]
        other = as_version is not None or as_key is not None

        def exchange(connection):
            connection.send_raw(struct.pack(">i", len(frame) if size is None else size) + frame)
            answer = connection.read_frame()
            return f"answered {answer[4:6].hex()}" if other else wire.read_response(api, version, answer)[1]
        answer = self.outcome(exchange)
        self.answer(str(self.number), api, version, answer)
        if isinstance(answer, dict):
            self.without_strangers(str(self.number), api, version, body)

    # How it is done.

    def outcome(self, exchange):
        """What an exchange on the connection came to; a new connection where the old one is spent."""
        try:
            return exchange(self.recorder.connection)
        except (wire.Closed, TimeoutError, ValueError) as ending:
            self.recorder.reconnect()
            return {wire.Closed: "closed", TimeoutError: "silent"}.get(type(ending), f"undecodable: {ending}")

    def answer(self, label, api, version, value):
        self.recorder.keep(f"{api.name} v{version}, {label}", value)

    def without_strangers(self, label, api, version, body):
        """Listings show what other plays left behind, and what no request named."""
        label, asked = f"{api.name} v{version}, {label}", set(strings(body))
        found = self.recorder.answers[label]
        self.recorder.answers[label] = {key: [
            one for one in value if not stranger(one, self.recorder.prefix, asked)] if isinstance(value, list) and key != "configs"
            else value for key, value in found.items()}
        if "results" in found and api is schema.DESCRIBE_LOG_DIRS:
            for one in self.recorder.answers[label]["results"]:
                one["topics"] = [topic for topic in one["topics"] if not stranger(topic, self.recorder.prefix, asked)]

    def learn(self, api, body, answer):
        """Takes what a later request may ask for out of an answer."""
        error = answer.get("error_code", 0)
        if api in (schema.JOIN_GROUP, schema.CONSUMER_GROUP_HEARTBEAT) and answer.get("member_id") and error in (0, 79):
            number = answer.get("generation_id", answer.get("member_epoch", -1))
            self.members[body.get("group_id", "")] = (answer["member_id"], number)
        elif api is schema.CONSUMER_GROUP_HEARTBEAT and not error:
            self.members[body.get("group_id", "")] = (body.get("member_id", ""), answer["member_epoch"])
        elif api in (schema.INIT_PRODUCER_ID, schema.END_TXN) and not error and "producer_id" in answer:
            name = body.get("transactional_id")
            producer = name.removeprefix(f"{self.recorder.prefix}-") if name else "p0"
            self.producers[producer] = (answer["producer_id"], answer["producer_epoch"])
            self.sequences = {key: value for key, value in self.sequences.items() if key[0] != producer}
        elif api is schema.CREATE_TOPICS:
            self.topics |= {topic["name"] for topic in answer["topics"] if topic["error_code"] == 0}
        elif api is schema.PRODUCE:
            self.count(body, answer)

    def count(self, body, answer):
        """The next sequences of the producers whose batches were taken."""
        names = {(topic.get("name"), topic.get("topic_id")): topic.get("name") for topic in body.get("topics", [])}
        taken = {(names.get((topic.get("name"), topic.get("topic_id"))), partition["index"])
                 for topic in answer["topics"] for partition in topic["partitions"] if partition["error_code"] == 0}
        for topic in body.get("topics", []):
            for partition in topic.get("partitions", []):
                raw, index = partition.get("records") or b"", partition.get("index", 0)
                if len(raw) >= 61 and (topic.get("name"), index) in taken:
                    identity, _epoch, sequence, count = struct.unpack_from(">qhii", raw, 43)
                    for producer in [name for name, known in self.producers.items() if known[0] == identity]:
                        self.sequences[(producer, topic.get("name"), index)] = sequence + count

    def settle(self, api, body):
        """Apache Kafka answers some requests before what they change is to be seen everywhere."""
        if api in CHANGES and not body.get("validate_only"):
            self.barrier()
        elif api in (schema.END_TXN, schema.INIT_PRODUCER_ID) and body.get("transactional_id"):
            self.until(lambda: not self.preparing(body["transactional_id"]))

    def barrier(self):
        """A topic made now has leaders only after everything before it has been taken over."""
        self.barriers += 1
        name = f"{self.recorder.prefix}-barrier-{self.barriers}"
        session.create_topic(self.recorder.connection, name)
        self.topics.add(name)

    def group_barrier(self):
        """Apache Kafka tells of a group once a record is written behind it, be it another group's (there is one partition)."""
        if not self.topics:
            self.barrier()
        self.recorder.connection.call(schema.OFFSET_COMMIT, 2, {
            "group_id": self.name("barrier"), "generation_id_or_member_epoch": -1, "retention_time_ms": -1, "topics": [
                {"name": min(self.topics), "partitions": [{"partition_index": 0, "committed_offset": 0}]}]})

    def preparing(self, transactional_id):
        found = self.recorder.connection.call(schema.DESCRIBE_TRANSACTIONS, 0, {"transactional_ids": [transactional_id]})
        state = found["transaction_states"][0]
        return state["error_code"] in NOT_YET or state["transaction_state"].startswith("Prepare")

    def until(self, holds):
        deadline = time.monotonic() + WAIT_S
        while not holds() and time.monotonic() < deadline:
            time.sleep(0.005)

    def close(self):
        """Leaves no topics behind: the brokers are to stay small."""
        if self.topics:
            self.outcome(lambda connection: connection.call(
                schema.DELETE_TOPICS, 5, {"topic_names": sorted(self.topics), "timeout_ms": 10000}))
        self.recorder.close()


def strings(value):
    """Every string in a body."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def stranger(element, prefix, asked):
    """Whether an element of an answer names something that this play neither made nor asked for."""
    if not isinstance(element, dict):
        return False
    names = [element.get(key) for key in NAMES] + [part["entity_name"] for part in element.get("entity", ())]
    name = next(filter(None, names), None)
    return name is not None and not name.startswith(f"{prefix}-") and name not in asked


def records(now_ms, count, kind, stamp, attributes):
    """The bytes of a batch; every kind that is not one of `RIGHT_KINDS` is wrong somewhere."""
    values = [b"v" * 20] * count
    make = {"timestamp": now_ms, "producer": stamp, "attributes": attributes}
    good = batch(values, **make)
    keyed = b"".join(record(value, key=b"k", offset_delta=index, headers=[(b"h", None)]) for index, value in enumerate(values))
    packed = gzip.compress(b"".join(record(value, offset_delta=index) for index, value in enumerate(values)), mtime=0)
    kinds = {
        "": lambda: good,
        "keyed": lambda: batch(values, **make, records=keyed),
        "gzip": lambda: batch(values, **{**make, "attributes": attributes | 1}, records=packed),
        "old": lambda: batch(values, **{**make, "timestamp": now_ms - HOUR_MS}),
        "nothing": lambda: b"",
        "short": lambda: good[:-1],
        "header only": lambda: good[:61],
        "half a header": lambda: good[:30],
        "flipped": lambda: good[:-2] + bytes([good[-2] ^ 1]) + good[-1:],
        "two": lambda: good + good,
        "crc": lambda: batch(values, **make, crc=1),
        "magic 0": lambda: batch(values, **make, magic=0),
        "magic 1": lambda: batch(values, **make, magic=1),
        "magic 3": lambda: batch(values, **make, magic=3),
        "no length": lambda: good[:8] + bytes(4) + good[12:],
        "count": lambda: batch(values, **make, count=count + 1),
        "last offset": lambda: batch(values, **make, last_offset_delta=count + 4),
        "control": lambda: batch(values, **{**make, "attributes": attributes | 0x20}),
        "not transactional": lambda: batch(values, **{**make, "attributes": 0}),
        "future": lambda: batch(values, **{**make, "timestamp": now_ms + 2 * HOUR_MS}),
        "offset": lambda: batch(values, **make, base_offset=7),
        "leader epoch": lambda: good[:12] + struct.pack(">i", 5) + good[16:],
        "length": lambda: good[:8] + struct.pack(">i", len(good)) + good[12:],
        "times": lambda: with_max_time(good, now_ms + 5),
    }
    return kinds[kind]()


def with_max_time(raw, time_ms):
    """The batch with another largest timestamp, and the checksum that belongs to it."""
    covered = raw[21:35] + struct.pack(">q", time_ms) + raw[43:]
    return raw[:17] + struct.pack(">I", crc32c(covered)) + covered


RIGHT_KINDS = ["", "", "", "keyed", "gzip", "old"]
WRONG_KINDS = ["nothing", "short", "header only", "half a header", "flipped", "two", "crc", "magic 0", "magic 1", "magic 3", "no length", "count",
               "last offset", "control", "not transactional", "future", "offset", "leader epoch", "length", "times"]
