"""Fetch sessions (KIP-227): their life, or the legal refusal to keep one."""

from harness import schema, session
from harness.batch import batch

FINAL, NEW, NO_SESSION = -1, 0, 0
VERSIONS = range(7, 19)


def sessions(recorder):
    """Full and incremental fetches, forgotten topics, wrong epochs, closed sessions, in every version that has them."""
    name, other = recorder.create("session"), recorder.create("session-2")
    for topic in (name, other):
        session.produce(recorder.connection, topic, batch([b"v"], timestamp=recorder.now_ms))
    ids = {topic: recorder.connection.call(schema.METADATA, 12, {"topics": [{"name": topic}]})["topics"][0]["topic_id"]
           for topic in (name, other)}
    for version in VERSIONS:
        def named(topic, offset=0, version=version):
            one, = session.fetch_body(topic, offset, version)["topics"]
            return {**one, "topic_id": ids[topic]}

        def fetch(what, identity, epoch, topics, version=version, forgotten=()):
            body = session.fetch_body(name, 0, version, max_wait_ms=1)
            return recorder.call(what, schema.FETCH, version, {
                **body, "session_id": identity, "session_epoch": epoch, "topics": topics, "forgotten_topics_data": [
                    {"topic": topic, "topic_id": ids[topic], "partitions": [0]} for topic in forgotten]})
        both = [named(name), named(other)]
        fetch("no session", NO_SESSION, FINAL, both)
        fetch("no session, forgets", NO_SESSION, FINAL, both, forgotten=[name])
        fetch("no session, nothing wanted", NO_SESSION, FINAL, [])
        fetch("unknown session", 12345, 1, both)
        fetch("unknown session, closed", 12345, FINAL, both)
        fetch("unknown session, begun anew", 12345, NEW, both)
        fetch("epoch without a session", NO_SESSION, 5, both)
        fetch("negative epoch without a session", NO_SESSION, -7, both)
        identity = fetch("begun", NO_SESSION, NEW, both)["session_id"]
        if identity == NO_SESSION:
            continue
        fetch("nothing new", identity, 1, [])
        fetch("another offset", identity, 2, [named(name, 1)])
        fetch("wrong epoch", identity, 9, [])
        fetch("forgotten", identity, 3, [], forgotten=[name])
        fetch("taken in again", identity, 4, [named(name)])
        fetch("closed", identity, FINAL, both)
        fetch("after the close", identity, 5, [])


SCRIPTS = [sessions]
