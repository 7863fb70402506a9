"""A group member of kafka-python: the contract is in harness/member.py."""

import os
import signal

from kafka import ConsumerRebalanceListener, KafkaConsumer
from kafka.errors import KafkaError

running = True


def stop(*_):
    global running
    running = False


class Teller(ConsumerRebalanceListener):
    """Prints what the group gives and takes."""

    def on_partitions_assigned(self, assigned):
        print("assigned", *sorted(p.partition for p in assigned), flush=True)

    def on_partitions_revoked(self, revoked):
        print("revoked", *sorted(p.partition for p in revoked), flush=True)


signal.signal(signal.SIGTERM, stop)
# Version 2.0.2 has no static members and does not know the setting.
static = {"group_instance_id": os.environ["MEMBER_INSTANCE"]} if os.environ["MEMBER_INSTANCE"] else {}
consumer = KafkaConsumer(
    bootstrap_servers=os.environ["MEMBER_BOOTSTRAP"], group_id=os.environ["MEMBER_GROUP"],
    session_timeout_ms=int(os.environ["MEMBER_SESSION_MS"]), heartbeat_interval_ms=int(os.environ["MEMBER_HEARTBEAT_MS"]),
    auto_offset_reset="earliest", enable_auto_commit=False, reconnect_backoff_max_ms=200,
    **static)
# Version 3 loses a subscription that is made before its first metadata request is answered.
consumer.topics()
consumer.subscribe([os.environ["MEMBER_TOPIC"]], listener=Teller())
while running:
    found = consumer.poll(timeout_ms=100)
    for partition, records in found.items():
        for record in records:
            print("record", partition.partition, record.offset, record.value.decode())
    if found:
        # Standard output first: a record that is committed was printed.
        print(end="", flush=True)
        try:
            consumer.commit()
        except KafkaError as error:
            print("commit:", repr(error), flush=True)
consumer.close(autocommit=False)
