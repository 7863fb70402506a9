"""Consumer groups of real clients: one story that every client goes through, checked by one ledger.

While a topic grows, members arrive, leave, are killed, come back under their static names, and the broker
itself is killed. Nothing here waits a fixed time: each step ends when its condition holds, or fails.
To add a client, write its member program (`harness/member.py` has the contract) and name it in its
`suite.py` with `group_suite`.
"""

import contextlib
import threading
import time
from dataclasses import dataclass

from . import session, wire
from .ledger import Ledger
from .member import Member
from .suite import Suite
from .traffic import Traffic

PARTITIONS = 6
SESSION_MS, HEARTBEAT_MS = 5000, 500
WAIT_S = 40
# A time in which every member has had several heartbeats, and would have heard of a rebalance.
QUIET_S = 3 * HEARTBEAT_MS / 1000
PROPERTIES = {
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000", "group.consumer.session.timeout.ms": str(SESSION_MS),
    "group.consumer.min.heartbeat.interval.ms": "100", "group.consumer.heartbeat.interval.ms": str(HEARTBEAT_MS),
}


@dataclass
class Client:
    """What the story must know of a client.

    `command(story)` gives a member's arguments (or a function of its environment that does) and more of its
    environment. `static`: it has static members; `reconnects`: it outlives its broker; `autocommits`: it
    commits by a slow timer and when it ends, also a record that it had taken but not printed when it was told
    to stop, so it is stopped while no record is on its way; `translate` puts its own words into the contract's.
    """

    command: object
    protocol: str = "classic"
    static: bool = True
    reconnects: bool = True
    autocommits: bool = False
    translate: object = str


class Story:
    """One group, its members by name, its traffic and its ledger."""

    def __init__(self, context, name, client):
        self.context, self.client, self.began = context, client, time.monotonic()
        self.broker = context.own_broker(PROPERTIES)
        self.topic = self.group = context.topic(name)
        with wire.Connection(self.broker.bootstrap) as connection:
            session.create_topic(connection, self.topic, partitions=PARTITIONS)
        self.ledger, self.members, self.changed = Ledger(PARTITIONS), {}, threading.Condition()
        self.traffic = Traffic(self.broker.bootstrap, self.topic, self.group, self.ledger, self.changed,
                               lambda: [member.hear_all() for member in list(self.members.values())])

    def start(self, name, instance=""):
        """A new member; of a static group with its instance id."""
        arguments, extra = self.client.command(self)
        environment = {
            "MEMBER_BOOTSTRAP": self.broker.bootstrap, "MEMBER_TOPIC": self.topic, "MEMBER_GROUP": self.group,
            "MEMBER_INSTANCE": instance, "MEMBER_PROTOCOL": self.client.protocol,
            "MEMBER_SESSION_MS": str(SESSION_MS), "MEMBER_HEARTBEAT_MS": str(HEARTBEAT_MS), **extra,
        }
        if callable(arguments):
            arguments = arguments(environment)
        self.members[name] = Member(name, arguments, environment, self.hear)

    def hear(self, member, line):
        words = self.client.translate(line).split()
        with self.changed:
            known = self.ledger.member_line(member, words)
            if not known or words[0] != "record":
                # Shown when a case fails; records would hide the rest.
                self.context.note(f"{time.monotonic() - self.began:.3f} {member}: {' '.join(words)}")
            self.changed.notify_all()

    def leave(self, name):
        with self.traffic.idle() if self.client.autocommits else contextlib.nullcontext():
            if self.client.autocommits:
                self.flowing()
            self.members[name].leave()
        self.gone(name)

    def kill(self, name):
        self.members[name].kill()
        self.gone(name)

    def gone(self, name):
        del self.members[name]
        with self.changed:
            self.ledger.gone(name)

    def wait(self, what, condition, within=WAIT_S):
        """Waits until the condition holds; a fault of the ledger or a member that ended is an error at once."""
        deadline = time.monotonic() + within
        with self.changed:
            while True:
                self.judge()
                if condition():
                    return
                assert time.monotonic() < deadline, f"not {what} within {within} s: {self.state()}"
                self.changed.wait(0.1)

    def judge(self):
        assert not self.ledger.faults, f"{len(self.ledger.faults)} faults: {'; '.join(self.ledger.faults[:4])}"
        assert self.traffic.error is None, f"traffic: {self.traffic.error}"
        dead = [name for name, member in self.members.items() if not member.running()]
        assert not dead, f"{dead[0]} ended by itself with {self.members[dead[0]].process.returncode}"

    def state(self):
        owned = {name: self.ledger.owned(name) for name in self.members}
        return (f"owners {owned}, produced {self.ledger.produced}, committed {self.ledger.committed}, "
                f"unread {self.ledger.unread()[:6]}")

    def balanced(self, within=WAIT_S):
        """Waits until the members that run own everything, and each reads on."""
        members = set(self.members)
        self.wait(f"balanced over {sorted(members)}", lambda: self.ledger.balanced(members), within)
        self.flowing()

    def flowing(self):
        """Waits until everything that is in the topic now has been read and, unless a timer does that, committed."""
        with self.changed:
            wanted = dict(self.ledger.produced)
        self.wait("caught up", lambda: all(
            len(self.ledger.read[p]) >= end and (self.client.autocommits or self.ledger.committed[p] >= end)
            for p, end in wanted.items()))

    def quiet(self):
        """Traffic goes on for several heartbeats, and is read."""
        since = time.monotonic()
        self.wait("quiet", lambda: time.monotonic() - since > QUIET_S)
        self.flowing()

    def close(self):
        for member in self.members.values():
            member.kill()
        self.members.clear()
        with contextlib.suppress(OSError):
            self.traffic.close()


def wait_until(what, condition, within=WAIT_S):
    """For what only asking again can tell: waits until the condition holds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(0.05)


def join(story):
    """Two members share the topic."""
    story.start("a")
    story.start("b")
    story.balanced()


def arrival(story):
    """A third one gets its part."""
    story.start("c")
    story.balanced()


def leave(story):
    """One leaves: the others take over before its session could have timed out."""
    began = time.monotonic()
    story.leave("b")
    left = time.monotonic()
    story.balanced()
    took = time.monotonic() - left
    assert took < SESSION_MS / 1000, f"{took:.1f} s after b was gone ({left - began:.1f} s): it did not leave"


def death(story):
    """One is killed: its partitions go to the other when its session has timed out."""
    story.kill("c")
    story.balanced()


def broker_kill(story):
    """kill -9 of the broker: commits are still there, and the group goes on from them."""
    story.start("d")
    story.balanced()
    with story.traffic.away():
        story.broker.kill()
        story.broker.start()
    story.balanced()


def broker_kill_new_members(story):
    """The same for a client that ends when its broker is away: new members go on from the commits."""
    with story.traffic.away():
        for name in list(story.members):
            story.kill(name)
        story.broker.kill()
        story.broker.start()
    story.start("e")
    story.start("f")
    story.balanced()


def nothing_lost(story):
    """All that was produced was read, and is committed."""
    story.traffic.stop_producing()
    story.wait("settled", story.ledger.settled)
    for name in list(story.members):
        story.leave(name)
    story.judge()


def static_restart(story):
    """A static member is away for less than its session: it gets its partitions back, the other hears nothing."""
    story.start("s1", instance="one")
    story.start("s2", instance="two")
    story.balanced()
    story.quiet()
    for name, instance in (("s2", "two"), ("s1", "one")):
        other = "s1" if name == "s2" else "s2"
        before, heard = story.ledger.owned(name), story.ledger.rebalances[other]
        story.leave(name)
        story.start(name, instance=instance)
        story.balanced()
        story.quiet()
        assert story.ledger.owned(name) == before, f"{name} owns {story.ledger.owned(name)}, before {before}"
        news = story.ledger.rebalances[other] - heard
        assert news == 0, f"{other} heard of {news} assignments while {name} was restarted"


def group_suite(name, version, command, quick=True, **traits):
    """The story as a suite of a client; `traits` as in `Client`."""
    client = Client(command, **traits)
    last = broker_kill if client.reconnects else broker_kill_new_members
    suite, stories = Suite(name, version, quick), {}

    def step(function, key):
        def case(context):
            if key not in stories:
                stories[key] = Story(context, f"{name}-{key}", client)
            story = stories[key]
            assert story is not None, "the story ended before"
            try:
                function(story)
            except BaseException:
                context.note(story.broker.tail())
                stories[key] = None
                story.close()
                raise
            if function in (nothing_lost, static_restart):
                del stories[key]
                story.close()
        return function.__name__.replace("_", "-"), case
    suite.cases = [step(function, "dynamic") for function in (join, arrival, leave, death, last, nothing_lost)]
    if client.static:
        suite.cases.append(step(static_restart, "static"))
    return suite
