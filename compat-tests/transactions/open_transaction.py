"""Opens a transaction, says so, and waits to be killed."""

import os
import sys

from confluent_kafka import Producer

TOPIC = os.environ["COMPAT_TOPIC"]
producer = Producer({"bootstrap.servers": os.environ["COMPAT_BOOTSTRAP"], "transactional.id": TOPIC})
producer.init_transactions(60)
producer.begin_transaction()
producer.produce(TOPIC, b"open", partition=0)
assert producer.flush(60) == 0
print("open", flush=True)
sys.stdin.read()
