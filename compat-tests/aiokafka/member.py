"""A group member of aiokafka: the contract is in harness/member.py."""

import asyncio
import os
import signal

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import KafkaError


class Teller(ConsumerRebalanceListener):
    """Prints what the group gives and takes."""

    async def on_partitions_assigned(self, assigned):
        print("assigned", *sorted(p.partition for p in assigned), flush=True)

    async def on_partitions_revoked(self, revoked):
        print("revoked", *sorted(p.partition for p in revoked), flush=True)


async def main():
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=os.environ["MEMBER_BOOTSTRAP"], group_id=os.environ["MEMBER_GROUP"],
        group_instance_id=os.environ["MEMBER_INSTANCE"] or None,
        session_timeout_ms=int(os.environ["MEMBER_SESSION_MS"]),
        heartbeat_interval_ms=int(os.environ["MEMBER_HEARTBEAT_MS"]),
        auto_offset_reset="earliest", enable_auto_commit=False)
    consumer.subscribe([os.environ["MEMBER_TOPIC"]], listener=Teller())
    await consumer.start()
    while not stopped.is_set():
        try:
            found = await consumer.getmany(timeout_ms=100)
        except KafkaError as error:
            # A broker that is killed while it answers a fetch is told to the caller; the next call connects again.
            print("getmany:", repr(error), flush=True)
            continue
        for partition, records in found.items():
            for record in records:
                print("record", partition.partition, record.offset, record.value.decode())
        if found:
            # Standard output first: a record that is committed was printed.
            print(end="", flush=True)
            try:
                await consumer.commit()
            except KafkaError as error:
                print("commit:", repr(error), flush=True)
    await consumer.stop()


asyncio.run(main())
