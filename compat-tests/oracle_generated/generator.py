"""Sessions of requests from a seed: what they need first, then right requests and requests with one thing wrong.

The same seed and theme make the same session for the same advertised versions. The sessions of one theme take turns
at its APIs and versions, so that a full round of seeds (`rounds`) sends each of them at least once.
"""

import random
from dataclasses import replace

from harness import schema, wire

from .play import Step, ask
from .values import IDS, LIMITS, NAMES, ONLY, TOPICS, UNREPEATED, VALID, WRONG, Scene

THEMES = {
    "logs": "Produce Fetch ListOffsets OffsetForLeaderEpoch DeleteRecords DescribeProducers InitProducerId Metadata DescribeLogDirs",
    "groups": "FindCoordinator JoinGroup SyncGroup Heartbeat LeaveGroup OffsetCommit OffsetFetch OffsetDelete DescribeGroups ListGroups"
              " DeleteGroups ConsumerGroupHeartbeat ConsumerGroupDescribe",
    "transactions": "InitProducerId AddPartitionsToTxn AddOffsetsToTxn EndTxn TxnOffsetCommit Produce WriteTxnMarkers"
                    " DescribeTransactions ListTransactions DescribeProducers Fetch FindCoordinator",
}
TURNS = 4  # APIs and versions of the round in a session
EXTRA = 6  # requests beside them, at most
WRONG_SHARE, HARM_SHARE, NULL_SHARE = 0.45, 0.04, 0.05


def apis_of(theme, advertised):
    """The APIs of a theme; "admin" has all that no other theme has, so that none is left out."""
    named = {name for names in THEMES.values() for name in names.split()}
    wanted = THEMES[theme].split() if theme in THEMES else [api.name for api, _ in advertised if api.name not in named]
    return [(api, versions) for api, versions in advertised if api.name in wanted]


def themes():
    return [*THEMES, "admin"]


def turns(theme, advertised):
    return [(api, version) for api, versions in apis_of(theme, advertised) for version in versions]


def rounds(theme, advertised):
    """How many seeds send every version of the theme's APIs."""
    return -(-len(turns(theme, advertised)) // TURNS)


def generate(theme, seed, advertised):
    """The session of a seed."""
    return Generator(theme, seed, advertised).session()


class Generator:
    """One session in the making. `advertised` are pairs of an API and its versions."""

    def __init__(self, theme, seed, advertised):
        self.random = random.Random(f"{theme} {seed}")
        self.theme, self.seed = theme, seed
        self.advertised = {api.key: (api, versions) for api, versions in advertised}
        self.apis = apis_of(theme, advertised)
        self.turns = turns(theme, advertised)

    def session(self):
        steps = self.needed()
        start = self.seed * TURNS
        chosen = [self.turns[at % len(self.turns)] for at in range(start, start + TURNS)]
        for _ in range(self.random.randint(1, EXTRA)):
            api, versions = self.random.choice(self.apis)
            chosen.append((api, self.random.choice(versions)))
        self.random.shuffle(chosen)
        return steps + [self.step(api, version) for api, version in chosen]

    def needed(self):
        """Topics, and what the theme works on."""
        topics = [{"name": ask.name(name), "num_partitions": count, "replication_factor": 1} for name, count in TOPICS.items()]
        steps = [Step(schema.CREATE_TOPICS, 5, {"topics": topics, "timeout_ms": 10000})]
        wanted = {"logs": [schema.PRODUCE, schema.PRODUCE, schema.INIT_PRODUCER_ID],
                  "groups": [schema.JOIN_GROUP, schema.JOIN_GROUP, schema.SYNC_GROUP, schema.CONSUMER_GROUP_HEARTBEAT],
                  "transactions": [schema.INIT_PRODUCER_ID, schema.INIT_PRODUCER_ID, schema.ADD_PARTITIONS_TO_TXN],
                  "admin": [schema.PRODUCE, schema.JOIN_GROUP]}[self.theme]
        for api in wanted:
            if self.random.random() < 0.8:
                steps.append(self.right(api, self.random.choice(self.advertised[api.key][1])))
        return steps

    def right(self, api, version):
        scene = Scene(self.random, api, version)
        return Step(api, version, self.structure(scene, api.request))

    def step(self, api, version):
        """A right request, one with a field or two that are not, or a damaged frame."""
        step = self.right(api, version)
        while self.random.random() < WRONG_SHARE:
            step = replace(step, body=self.spoiled(api, version, step.body))
        return replace(step, harm=self.harm(api)) if self.random.random() < HARM_SHARE else step

    def structure(self, scene, layout, parent=""):
        return {name: self.right_value(scene, parent, name, kind) for name, kind in wire.fields_of(layout, scene.version)}

    def right_value(self, scene, parent, name, kind):
        many = isinstance(kind, list)
        valid = VALID.get(f"{parent}.{name}") or VALID.get(f"{scene.api.name}.{name}") or (None if many else VALID.get(name))
        if valid:
            value = valid(scene)
            return -1 if value is None and kind == "int8" else value
        if many:
            elements = []
            for _ in range(self.random.choice([1, 1, 1, 2])):
                scene.turn()
                elements.append(self.structure(scene, kind, name))
            return elements if identity(elements[0]) != identity(elements[-1]) else elements[:1]
        if isinstance(kind, schema.Structure):
            return None if kind.is_nullable else self.structure(scene, kind.layout, name)
        return self.random.choice([True, False]) if kind == "bool" else wire.default(kind)

    def spoiled(self, api, version, body):
        """The body with one field changed."""
        places = list(fields(api.request, version, body))
        if not places:
            return body
        path, parent, name, kind = self.random.choice(places)
        spoiled = changed(body, path, self.random.choice(self.wrong_values(api, parent, name, kind, at(body, path))))
        return body if repeats(api, version, spoiled) else spoiled

    def wrong_values(self, api, parent, name, kind, now):
        only = ONLY.get(f"{api.name}.{name}") or ONLY.get(name)
        if only:
            return only
        if isinstance(kind, list) or isinstance(kind, str) and kind.endswith("_array"):
            repeated = [] if (api.name, name) in UNREPEATED else [[*(now or []), *(now or [])]]
            return [[], *repeated, *WRONG.get(name, []), *([None] if self.random.random() < NULL_SHARE else [])]
        if isinstance(kind, schema.Structure):
            return [None] if kind.is_nullable else [now]
        special = WRONG.get(f"{parent}.{name}") or WRONG.get(f"{api.name}.{name}") or WRONG.get(name) or []
        return [*special, *special, *self.limits(kind, name in IDS)]

    def limits(self, kind, is_id=False):
        if kind in LIMITS:
            most = (1 << LIMITS[kind]) - 1
            return [-1, 0, 1, 2, most, -most - 1]
        if kind in ("string", "nullable_string"):
            null = kind.startswith("nullable") or self.random.random() < NULL_SHARE
            return [*(ask.name(one) if one == "unknown" or is_id and one else one for one in NAMES), *([None] if null else [])]
        return {"bool": [True, False], "uuid": [wire.NO_UUID, b"no such topic id"]}.get(kind, [b"", b"\0", b"garbage of some length"])

    def harm(self, api):
        """What is done to a frame. Not the size of a frame: that one only ends in silence."""
        return self.random.choice([
            {"cut": self.random.choice([1, 2, 3, 8, 1000])}, {"extra": b"\0" * self.random.choice([1, 7])},
            {"as_version": self.random.choice([99, -1, self.advertised[api.key][1][-1] + 50])},
            {"as_key": self.random.choice([-1, 999, 32767])}, {"size": self.random.choice([-1, 0, 1 << 30])}])


def repeats(api, version, body):
    """Whether a list that must not repeat an element does, as when two names were changed to the same."""
    for path, _, name, _ in fields(api.request, version, body):
        found = at(body, path)
        if (api.name, name) in UNREPEATED and isinstance(found, list):
            names = [identity(one) if isinstance(one, dict) else one for one in found]
            if len(set(names)) < len(names):
                return True
    return False


def identity(element):
    """What tells the elements of a list apart."""
    return repr(element.get("topic_id", next(iter(element.values()))))


def fields(layout, version, body, path=(), parent=""):
    """`(path, parent, name, kind)` of every field of a body."""
    for name, kind in wire.fields_of(layout, version):
        value = body.get(name)
        yield (*path, name), parent, name, kind
        if isinstance(kind, schema.Structure) and isinstance(value, dict):
            yield from fields(kind.layout, version, value, (*path, name), name)
        if isinstance(kind, list) and isinstance(value, list):
            for index, element in enumerate(value):
                yield from fields(kind, version, element, (*path, name, index), name)


def at(body, path):
    for part in path:
        body = body[part] if isinstance(body, list) else body.get(part)
    return body


def changed(value, path, new):
    """A copy of `value` with `new` at the path."""
    if not path:
        return new
    if isinstance(value, list):
        return [changed(one, path[1:], new) if index == path[0] else one for index, one in enumerate(value)]
    return {**value, path[0]: changed(value.get(path[0]), path[1:], new)}
