"""One turn of the exchange: what the turns before left must be there; then commit, abort, and leave one open."""

import os
import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BOOTSTRAP = os.environ["COMPAT_BOOTSTRAP"]
TOPIC = os.environ["COMPAT_TOPIC"]
TURN = int(os.environ["COMPAT_TURN"])


def reader():
    return Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": TOPIC, "isolation.level": "read_committed",
                     "enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "error"})


def committed():
    client, found, deadline = reader(), [], time.monotonic() + 60
    client.assign([TopicPartition(TOPIC, 0, 0)])
    while True:
        assert time.monotonic() < deadline, f"no end after {found}"
        message = client.poll(1)
        if message is not None and not message.error():
            found.append(message.value().decode())
        elif message is not None:
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            client.close()
            return found


def expect(turns):
    found = committed()
    assert found == [f"{turn}-committed" for turn in range(turns)], found


def write(producer, value):
    producer.begin_transaction()
    producer.produce(TOPIC, value, partition=0)
    assert producer.flush(60) == 0


if TURN == 0:
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(30)
else:
    expect(TURN)
    # The offset of the open transaction must not count; librdkafka asks for stable offsets, so fence it first.
client = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": TOPIC})
client.init_transactions(60)
group = reader()
if TURN:
    offset = group.committed([TopicPartition(TOPIC, 0)], 60)[0].offset
    assert offset == TURN - 1, f"offset {offset} after {TURN} turns"
write(client, f"{TURN}-committed".encode())
client.send_offsets_to_transaction([TopicPartition(TOPIC, 0, TURN)], group.consumer_group_metadata(), 60)
client.commit_transaction(60)
write(client, f"{TURN}-aborted".encode())
client.send_offsets_to_transaction([TopicPartition(TOPIC, 0, 100 + TURN)], group.consumer_group_metadata(), 60)
client.abort_transaction(60)
expect(TURN + 1)
write(client, f"{TURN}-open".encode())
client.send_offsets_to_transaction([TopicPartition(TOPIC, 0, 200 + TURN)], group.consumer_group_metadata(), 60)
print("done", flush=True)
# Without a farewell: the transaction stays open.
os._exit(0)
