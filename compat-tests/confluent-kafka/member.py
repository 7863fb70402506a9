"""A group member of confluent-kafka (librdkafka): the contract is in harness/member.py."""

import os
import signal

from confluent_kafka import Consumer, KafkaException

running = True


def stop(*_):
    global running
    running = False


def tell(word):
    return lambda _consumer, partitions: print(word, *(p.partition for p in partitions), flush=True)


def settings():
    """Classic members balance cooperatively; with the consumer protocol the broker assigns and times."""
    found = {
        "bootstrap.servers": os.environ["MEMBER_BOOTSTRAP"], "group.id": os.environ["MEMBER_GROUP"],
        "group.protocol": os.environ["MEMBER_PROTOCOL"], "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "reconnect.backoff.max.ms": 200, "log_level": 3,
    }
    if os.environ["MEMBER_INSTANCE"]:
        found["group.instance.id"] = os.environ["MEMBER_INSTANCE"]
    if os.environ["MEMBER_PROTOCOL"] == "classic":
        found |= {"session.timeout.ms": int(os.environ["MEMBER_SESSION_MS"]),
                  "heartbeat.interval.ms": int(os.environ["MEMBER_HEARTBEAT_MS"]),
                  "partition.assignment.strategy": "cooperative-sticky"}
    return found


signal.signal(signal.SIGTERM, stop)
consumer = Consumer(settings())
consumer.subscribe([os.environ["MEMBER_TOPIC"]], on_assign=tell("assigned"), on_revoke=tell("revoked"),
                   on_lost=tell("revoked"))
while running:
    messages = [message for message in consumer.consume(200, 0.1) if not message.error()]
    for message in messages:
        print("record", message.partition(), message.offset(), message.value().decode(), flush=False)
    if messages:
        # Standard output first: a record that is committed was printed.
        print(end="", flush=True)
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as error:
            print("commit:", error, flush=True)
consumer.close()
