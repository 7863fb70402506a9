"""The same script of raw requests played to two brokers, and their answers compared field by field."""

import hashlib
import struct

from . import wire

# Fields that two right brokers fill differently; only whether they are there is compared.
IDENTITIES = {"topic_id", "cluster_id", "producer_id", "session_id", "timestamp", "log_append_time_ms", "error_message", "message",
              "member_id", "leader", "log_dir", "total_bytes", "usable_bytes", "transaction_start_time_ms"}
IGNORED = {"throttle_time_ms", "host", "port"}
SILENCE_S = 5
# What tells the elements of a list apart.
KEYS = ("api_key", "name", "topic", "resource_name", "index", "partition", "key", "batch_index")


class Recorder:
    """Plays requests to one broker and keeps the answers in order, each under a label of its own."""

    def __init__(self, bootstrap, prefix, now_ms):
        self.bootstrap, self.prefix, self.now_ms = bootstrap, prefix, now_ms
        self.connection = wire.Connection(bootstrap, SILENCE_S)
        self.answers, self.messages = {}, {}

    def name(self, text):
        """A topic name of this play."""
        return f"{self.prefix}-{text}"

    def call(self, label, api, version, body):
        """Sends a request and records the answer; a closed connection is an answer too."""
        label = f"{api.name} v{version}, {label}"
        assert label not in self.answers, f"two steps are called {label!r}"
        try:
            answer = self.connection.call(api, version, body)
        except (wire.Closed, TimeoutError) as ending:
            self.close()
            self.connection = wire.Connection(self.bootstrap, SILENCE_S)
            self.answers[label] = "closed" if isinstance(ending, wire.Closed) else f"silent for {SILENCE_S} s"
            return None
        self.answers[label] = normal(answer)
        self.messages[label] = list(messages(answer))
        return answer

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
    """`(base offset, bytes, digest)` of each whole batch: a limit may cut the last one, which clients drop."""
    found, at = [], 0
    while at + 12 <= len(records):
        base, size = struct.unpack_from(">qi", records, at)
        end = at + 12 + size
        if end > len(records):
            break
        found.append(f"{base}: {end - at} bytes {hashlib.sha256(records[at:end]).hexdigest()[:8]}")
        at = end
    return found


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
