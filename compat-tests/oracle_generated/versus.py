"""A session played to both brokers, the differences of their answers, and the smallest session that shows one."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from harness import schema, session, wire
from harness.recording import Recorder, differences

from .play import NOT_YET, Play
from .shrink import shrink

SHOWN, WIDTH = 5, 250
SILENCE_S = 3
SHRINKING_S = 15


@dataclass(frozen=True)
class Difference:
    """One field of one answer: the number of the step from 1, and what each broker answered."""

    step: int
    api: str
    version: int
    path: str
    oracle: object
    ours: object

    def kind(self):
        """What makes two differences one and the same fault."""
        return self.api, re.sub(r"\[[^]]*\]", "[]", self.path)


class Versus:
    """Two brokers that hear the same. `alter` may change our answers, to see that a fault is found."""

    def __init__(self, oracle, ours, allowed, prefix, alter=None):
        self.brokers, self.allowed, self.prefix, self.alter = (oracle, ours), allowed, prefix, alter
        self.plays = self.requests = 0

    def advertised(self):
        """APIs with the versions that both brokers advertise and `schema` knows."""
        known = {value.key: value for value in vars(schema).values() if isinstance(value, schema.Api)}
        found = []
        for broker in self.brokers:
            with wire.Connection(broker.bootstrap) as connection:
                answer = connection.call(schema.API_VERSIONS, 2, {})
            found.append({one["api_key"]: range(one["min_version"], one["max_version"] + 1) for one in answer["api_keys"]})
        both = {key: range(max(span.start, found[0][key].start), min(span.stop, found[0][key].stop))
                for key, span in found[1].items() if key in found[0]}
        return [(known[key], span) for key, span in sorted(both.items()) if key in known]

    def settle_coordinators(self):
        """Until both brokers have made and loaded the topics of their coordinators; they are not part of what is compared."""
        for broker in self.brokers:
            with wire.Connection(broker.bootstrap) as connection:
                for key_type in (0, 1):
                    session.wait_until(lambda kind=key_type, there=connection: there.call(
                        schema.FIND_COORDINATOR, 3, {"key": "any", "key_type": kind})["error_code"] == 0, "a coordinator")
                session.init_producer_id(connection, 4)
                session.wait_until(lambda there=connection: there.call(schema.LIST_GROUPS, 3, {})["error_code"] == 0, "the groups")
                session.wait_until(lambda there=connection: there.call(schema.DESCRIBE_TRANSACTIONS, 0, {
                    "transactional_ids": ["any"]})["transaction_states"][0]["error_code"] not in NOT_YET, "the transactions")

    def differences(self, steps):
        """Plays the steps to both under names never used before; what differs and may not."""
        self.plays += 1
        self.requests += len(steps)
        prefix, now_ms = f"{self.prefix}-{self.plays}", int(time.time() * 1000)
        with ThreadPoolExecutor(2) as both:
            oracle, ours = both.map(lambda broker: played(broker.bootstrap, prefix, now_ms, steps), self.brokers)
        if self.alter:
            ours = {label: self.alter(label, answer) for label, answer in ours.items()}
        found = []
        for number, step in enumerate(steps, 1):
            label = f"{step.api.name} v{step.version}, {number}"
            for path, wanted, got in differences(oracle.get(label), ours.get(label)):
                one = Difference(number, step.api.name, step.version, path, wanted, got)
                if not self.is_allowed(one, step):
                    found.append(one)
        return found

    def is_allowed(self, one, step):
        field = re.sub(r"\[[^]]*\]", "", one.path).rsplit(".", 1)[-1]
        return any(entry["api"] in (one.api, "*") and entry["field"] in (field, "*") and all(
            str(value) == str(entry.get(side, value)) for side, value in (("ours", one.ours), ("oracle", one.oracle)))
            and re.search(entry.get("asked", ""), repr(step.body)) for entry in self.allowed)

    def smallest(self, steps, kind):
        """The smallest session with a difference of this kind, as far as the time goes, and all its differences."""
        deadline = time.monotonic() + SHRINKING_S

        def fails(candidate):
            return time.monotonic() < deadline and any(one.kind() == kind for one in self.differences(candidate))
        small = shrink(steps, fails)
        return small, self.differences(small)


def played(bootstrap, prefix, now_ms, steps):
    """The answers of one broker."""
    play = Play(Recorder(bootstrap, prefix, now_ms, silence_s=SILENCE_S))
    try:
        for step in steps:
            step.send(play)
    except (session.KafkaError, wire.Closed, TimeoutError) as error:
        play.answer(str(play.number), steps[play.number - 1].api, steps[play.number - 1].version, f"afterwards: {error}")
    finally:
        play.close()
    return play.recorder.answers


def text(name, steps, found):
    """A session as a function to paste into `oracle/found.py`, and what the brokers answered."""
    shown = sorted(found, key=lambda one: (one.step, one.path))[:SHOWN]
    body = "\n".join(f"    {step!r}" for step in steps)
    answers = "\n".join(f"    # step {one.step}, {one.api} v{one.version}: {one.path} is {str(one.ours)[:WIDTH]},"
                        f" Apache Kafka's {str(one.oracle)[:WIDTH]}" for one in shown)
    return f"def {name}(play):\n{body}\n{answers}"
