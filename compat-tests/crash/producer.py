"""Produces 0, 1, 2 ... with idempotence until SIGTERM, and prints `offset value` for each acknowledged record."""

import signal
import sys
import time

from confluent_kafka import Producer

bootstrap, topic, codec = sys.argv[1:]
running = True
refused = []


def stop(*_):
    global running
    running = False


def delivered(error, message):
    if error:
        refused.append(str(error))
    else:
        print(message.offset(), message.value().decode(), flush=True)


signal.signal(signal.SIGTERM, stop)
producer = Producer({
    "bootstrap.servers": bootstrap, "enable.idempotence": True, "compression.type": codec, "linger.ms": 2,
    "batch.num.messages": 50, "message.timeout.ms": 180000, "reconnect.backoff.max.ms": 200, "log_level": 2,
})
value = 0
while running:
    try:
        producer.produce(topic, str(value), partition=0, on_delivery=delivered)
        value += 1
    except BufferError:
        pass
    producer.poll(0)
    if value % 20 == 0:
        time.sleep(0.002)
left = producer.flush(180)
if left or refused:
    sys.exit(f"{left} records without an answer, {len(refused)} refused: {refused[:1]}")
