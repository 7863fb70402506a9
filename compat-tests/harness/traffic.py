"""Steady traffic for a group: a thread that produces, and asks the broker what the group has committed.

Values follow from partition and offset (`ledger.value_of`): this thread is the topic's only producer and
pauses while the broker is away, so that it always knows which offset comes next.
"""

import contextlib
import threading
import time

from . import schema, session, wire
from .batch import batch
from .ledger import value_of

RECORDS_A_BATCH = 5
PAUSE_S = 0.01
# COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR: asked again.
NO_COORDINATOR_YET = (14, 15, 16)
# UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER: nothing was appended, so again.
NO_LEADER_YET = (3, 5, 6)


class Traffic:
    """Produces to each partition in turn until it is closed.

    `hear_members()` makes the ledger know all that the members have printed: what they printed before a commit
    must be known before the commit is.
    """

    def __init__(self, bootstrap, topic, group, ledger, changed, hear_members):
        self.bootstrap, self.topic, self.group = bootstrap, topic, group
        self.ledger, self.changed, self.hear_members = ledger, changed, hear_members
        self.turn = threading.Lock()
        self.producing = self.running = True
        self.error = None
        self.connection = wire.Connection(bootstrap)
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while self.running:
            for partition in self.ledger.partitions:
                with self.turn:
                    try:
                        if self.producing:
                            self.produce(partition)
                        self.sample()
                    except (OSError, wire.Closed, session.KafkaError) as error:
                        self.error = error
                        return
                time.sleep(PAUSE_S)

    def produce(self, partition):
        first = self.ledger.produced[partition]
        values = [value_of(partition, first + i).encode() for i in range(RECORDS_A_BATCH)]
        body = session.produce_body(self.topic, batch(values, timestamp=int(time.time() * 1000)), partition=partition)
        answer = self.connection.call(schema.PRODUCE, 7, body)["topics"][0]["partitions"][0]
        if answer["error_code"] in NO_LEADER_YET:
            return
        session.ok("Produce", answer["error_code"])
        if answer["base_offset"] != first:
            raise session.KafkaError(f"Produce: base offset {answer['base_offset']}, expected {first}", 0)
        with self.changed:
            self.ledger.produced[partition] = first + RECORDS_A_BATCH
            self.changed.notify_all()

    def sample(self):
        """Tells the ledger what the group has committed."""
        offsets = committed(self.connection, self.group, self.topic, self.ledger.partitions)
        if offsets is not None:
            self.hear_members()
            with self.changed:
                self.ledger.committed_now(offsets)
                self.changed.notify_all()

    def stop_producing(self):
        """From now on the topic does not grow."""
        with self.turn:
            self.producing = False

    @contextlib.contextmanager
    def idle(self):
        """The topic does not grow within this block."""
        self.stop_producing()
        yield
        self.producing = True

    @contextlib.contextmanager
    def away(self):
        """The broker may go away and come back within this block."""
        with self.turn:
            self.connection.socket.close()
            yield
            self.connection = wire.Connection(self.bootstrap)

    def close(self):
        self.running = False
        self.thread.join()
        self.connection.socket.close()


def committed(connection, group, topic, partitions):
    """The group's committed offsets by partition; None while its coordinator is not there yet."""
    answer = connection.call(schema.OFFSET_FETCH, 5, {"group_id": group, "topics": [
        {"name": topic, "partition_indexes": list(partitions)}]})
    if answer["error_code"] in NO_COORDINATOR_YET:
        return None
    session.ok("OffsetFetch", answer["error_code"])
    return {p["partition_index"]: p["committed_offset"] for p in answer["topics"][0]["partitions"]}
