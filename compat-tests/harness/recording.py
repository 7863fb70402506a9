"""The same script of raw requests played to two brokers, and their answers compared field by field."""

import hashlib
import struct

from . import schema, session, wire

# Fields that two right brokers fill differently; only whether they are there is compared.
IDENTITIES = {"topic_id", "cluster_id", "producer_id", "session_id", "timestamp", "log_append_time_ms", "error_message", "message",
              "member_id", "leader", "log_dir", "total_bytes", "usable_bytes", "transaction_start_time_ms",
              "last_timestamp", "last_fetch_timestamp", "last_caught_up_timestamp", "finalized_features_epoch", "replica_directory_id"}
IGNORED = {"throttle_time_ms", "host", "port"}
SILENCE_S = 5
# What tells the elements of a list apart.
KEYS = ("api_key", "name", "topic", "resource_name", "index", "partition", "key", "batch_index")


class Recorder:
    """Plays requests to one broker and keeps the answers in order, each under a label of its own.

    `common`: the versions that all brokers of the comparison announce, by API key.
    """

    def __init__(self, bootstrap, prefix, now_ms, common=None, silence_s=SILENCE_S):
        self.bootstrap, self.prefix, self.now_ms, self.silence_s = bootstrap, prefix, now_ms, silence_s
        self.connection = wire.Connection(bootstrap, silence_s)
        self.answers, self.messages, self.asked = {}, {}, {}
        self.announced, self.common = None, common or {}

    def name(self, text):
        """A topic name of this play."""
        return f"{self.prefix}-{text}"

    def create(self, name, **what):
        """A topic that the script needs; not part of what is compared."""
        session.create_topic(self.connection, self.name(name), **what)
        return self.name(name)

    def serves(self, api, version):
        """Whether the broker announces this version."""
        if self.announced is None:
            ranges = self.connection.call(schema.API_VERSIONS, 0, {})["api_keys"]
            self.announced = {one["api_key"]: range(one["min_version"], one["max_version"] + 1) for one in ranges}
        return version in self.announced.get(api.key, ())

    def versions(self):
        """`(api key, version, whether there was an answer that decodes)` for every recorded call."""
        return {(key, version, isinstance(self.answers[label], dict)) for label, (key, version) in self.asked.items()}

    def call(self, label, api, version, body, answered_in=None, instead=None):
        """Sends a request and records the answer; a closed connection is an answer too.

        `answered_in`: the version of the answer, where it is another. `instead`: what a broker is asked that does not
        announce the version, so that one with fewer can judge one with more.
        """
        label = f"{api.name} v{version}, {label}"
        assert label not in self.answers, f"two steps are called {label!r}"
        self.asked[label] = (api.key, version)
        if instead is not None and not self.serves(api, version):
            version = instead
        try:
            sent = self.connection.send(api, version, body)
            answer = self.connection.receive(api, version if answered_in is None else answered_in, sent)
        except (wire.Closed, TimeoutError) as ending:
            self.reconnect()
            self.answers[label] = "closed" if isinstance(ending, wire.Closed) else f"silent for {self.silence_s} s"
            return None
        self.keep(label, answer)
        return answer

    def keep(self, label, answer):
        """Records an answer, or what there was in its place."""
        self.answers[label] = normal(answer)
        self.messages[label] = list(messages(answer))

    def reconnect(self):
        self.close()
        self.connection = wire.Connection(self.bootstrap, self.silence_s)

    def close(self):
        self.connection.socket.close()


def normal(value, name=""):
    """An answer without what may differ."""
    if isinstance(value, dict):
        return {key: normal(item, key) for key, item in value.items() if key not in IGNORED}
    if isinstance(value, list):
        return sorted((normal(item) for item in value), key=order)
    if name == "records" and value:
        return whole_batches(value)
    if name in IDENTITIES:
        absent = value in (None, -1, 0, "", wire.NO_UUID)
        return "absent" if absent else "present"
    return value


def whole_batches(records):
    """`base offset: bytes, digest` of each whole batch: a limit may cut the last one, which clients drop."""
    found, at = [], 0
    while at + 12 <= len(records):
        base, size = struct.unpack_from(">qi", records, at)
        end = at + 12 + size
        if end > len(records):
            break
        found.append(f"{base}: {end - at} bytes {hashlib.sha256(comparable(records[at:end])).hexdigest()[:8]}")
        at = end
    return found


def comparable(batch):
    """A batch without what the broker chose: a transactional producer's id, a marker's time, the CRC over them."""
    attributes, = struct.unpack_from(">h", batch, 21)
    is_transactional, is_control = attributes & 0x10, attributes & 0x20
    out = bytearray(batch)
    if is_transactional:
        out[17:21] = bytes(4)
        out[43:51] = bytes(8)
    if is_control:
        out[27:43] = bytes(16)
    return bytes(out)


def order(item):
    """Lists are compared as sets: topics and configs come in no promised order."""
    return str(sorted(item.items(), key=str)) if isinstance(item, dict) else str(item)


def messages(value):
    """Every error message in an answer."""
    if isinstance(value, dict):
        if value.get("error_message"):
            yield value["error_message"]
        for item in value.values():
            yield from messages(item)
    elif isinstance(value, list):
        for item in value:
            yield from messages(item)


def differences(left, right, path=""):
    """`(path, left, right)` for every field that differs; elements with a name or number are paired by it."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in left.keys() | right.keys():
            yield from differences(left.get(key), right.get(key), f"{path}.{key}")
    elif keyed(left) and keyed(right):
        one, other = by_key(left), by_key(right)
        for key in one.keys() | other.keys():
            yield from differences(one.get(key), other.get(key), f"{path}[{key}]")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right)):
            yield from differences(one, other, f"{path}[{index}]")
    elif left != right:
        yield path, left, right


def keyed(value):
    """Whether this is a list whose elements all differ in their first name or number (not counting `error_code`)."""
    return isinstance(value, list) and len(value) > 1 and all(isinstance(item, dict) for item in value) \
        and len(by_key(value)) == len(value)


def by_key(items):
    return {next((item[key] for key in KEYS if key in item), None): item for item in items}
