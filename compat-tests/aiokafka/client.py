"""aiokafka without a group: AIOKafkaProducer, AIOKafkaConsumer.assign and seek, AIOKafkaAdminClient."""

import asyncio
import contextlib
import dataclasses

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, TopicAlreadyExistsError, UnknownTopicOrPartitionError)

from harness import program
from harness.program import BOOTSTRAP, PREFIX, Record


def possible(record):
    """It refuses to send a record that has neither key nor value, and a header without a value."""
    key = b"" if (record.key, record.value) == (None, None) else record.key
    headers = [(name, b"" if value is None else value) for name, value in record.headers]
    return dataclasses.replace(record, key=key, headers=headers)


RECORDS = [possible(record) for record in program.fixture()]


@contextlib.asynccontextmanager
async def started(client):
    await client.start()
    try:
        yield client
    finally:
        # The admin client has another name for it.
        await (client.stop if hasattr(client, "stop") else client.close)()


def producer(bootstrap=BOOTSTRAP, **settings):
    return started(AIOKafkaProducer(bootstrap_servers=bootstrap, **{"acks": "all", "linger_ms": 5, **settings}))


def admin():
    return started(AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP))


async def send(client, topic, records):
    """Sends in order to partition 0 and returns the acknowledged offsets."""
    sent = [await client.send(topic, key=r.key, value=r.value, headers=r.headers, partition=0, timestamp_ms=r.timestamp)
            for r in records]
    return [(await future).offset for future in sent]


async def produce(topic, records, **settings):
    async with producer(**settings) as client:
        offsets = await send(client, topic, records)
    assert offsets == list(range(len(records))), f"acknowledged offsets {offsets[:5]}..."


async def consume(topic, count, start=0, **settings):
    client = AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=None, enable_auto_commit=False,
                              max_partition_fetch_bytes=4 << 20, **settings)
    async with started(client):
        partition = TopicPartition(topic, 0)
        client.assign([partition])
        client.seek(partition, start)
        found = []
        while len(found) < count:
            message = await asyncio.wait_for(client.getone(), 30)
            found.append((message.offset, Record(message.key, message.value, list(message.headers), message.timestamp)))
        return found


def round_trip(codec):
    async def case():
        topic = f"{PREFIX}-{codec}"
        await produce(topic, RECORDS, compression_type=None if codec == "none" else codec)
        for isolation in ("read_committed", "read_uncommitted"):
            program.compare(await consume(topic, len(RECORDS), isolation_level=isolation), RECORDS)
    return case


async def offsets_by_timestamp():
    partition = TopicPartition(f"{PREFIX}-none", 0)
    async with started(AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=None)) as client:
        times = sorted({0} | {record.timestamp + later for record in RECORDS for later in (0, 1)})
        found = {at: (await client.offsets_for_times({partition: at}))[partition] for at in times}
        program.check_offsets_by_timestamp(RECORDS, lambda at: found[at] and found[at].offset)
        assert (await client.beginning_offsets([partition]))[partition] == 0
        assert (await client.end_offsets([partition]))[partition] == len(RECORDS)


async def seek():
    for start in (1, 150, 299):
        found = await consume(f"{PREFIX}-lz4", len(RECORDS) - start, start)
        assert [offset for offset, _ in found] == list(range(start, len(RECORDS)))
        assert [record for _, record in found] == RECORDS[start:]


async def large_record():
    topic, record = f"{PREFIX}-large", Record(b"k", program.incompressible(900_000), [], RECORDS[0].timestamp)
    await produce(topic, [record], max_request_size=2 << 20)
    program.compare(await consume(topic, 1), [record])


async def refused(topic, size, error, **settings):
    """Demands that a record of the size is refused with the error."""
    async with producer(**settings) as client:
        try:
            await asyncio.wait_for(client.send_and_wait(topic, program.incompressible(size)), 30)
        except error:
            return
    raise AssertionError(f"{size} bytes were accepted")


async def too_large_record():
    await refused(f"{PREFIX}-too-large", 1_500_000, MessageSizeTooLargeError, max_request_size=4 << 20)


async def idempotence():
    topic = f"{PREFIX}-idempotent"
    records = [Record(b"k", b"%d" % i, [], RECORDS[0].timestamp) for i in range(2000)]
    await produce(topic, records, enable_idempotence=True, max_batch_size=500)
    program.compare(await consume(topic, len(records)), records)


async def transactions():
    """Committed records and offsets are read, aborted records only by who reads uncommitted; a second producer fences the first."""
    topic, at = f"{PREFIX}-transactions", RECORDS[0].timestamp
    where = TopicPartition(topic, 0)
    aborted, committed = ([Record(word, b"%d" % i, [], at) for i in range(10)] for word in (b"aborted", b"committed"))
    first = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, transactional_id=topic)
    async with started(first):
        try:
            async with first.transaction():
                await send(first, topic, aborted)
                await first.send_offsets_to_transaction({where: 9}, topic)
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        async with first.transaction():
            await send(first, topic, committed)
            await first.send_offsets_to_transaction({where: 7}, topic)
        # A marker follows the ten records of each.
        found = await consume(topic, 10, isolation_level="read_committed")
        assert found == list(enumerate(committed, start=11)), f"read committed: {str(found)[:200]}"
        found = await consume(topic, 20, isolation_level="read_uncommitted")
        assert [record for _, record in found] == aborted + committed, f"read uncommitted: {str(found)[:200]}"
        async with started(AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=topic, enable_auto_commit=False)) as group:
            group.assign([where])
            offset = await group.committed(where)
            assert offset == 7, f"committed is {offset}"
        async with producer(transactional_id=topic) as second, second.transaction():
            await send(second, topic, committed)
        try:
            async with first.transaction():
                await send(first, topic, aborted)
        except KafkaError as error:
            assert "fenced" in str(error).lower() or "epoch" in type(error).__name__.lower(), repr(error)
            return
        raise AssertionError("a producer with an old epoch committed")


def of_topic(response):
    """The error of the only topic in an answer."""
    found = (response.topic_errors if hasattr(response, "topic_errors") else response.topic_error_codes)[0]
    return found[1]


async def create_topic():
    topic = f"{PREFIX}-created"
    new = NewTopic(topic, 3, 1, topic_configs={"max.message.bytes": "2000"})
    async with admin() as client:
        assert of_topic(await client.create_topics([new])) == 0
        assert of_topic(await client.create_topics([new])) == TopicAlreadyExistsError.errno
        (found,) = await client.describe_topics([topic])
        assert len(found["partitions"]) == 3, found
        await refused(topic, 3000, MessageSizeTooLargeError)
        assert of_topic(await client.delete_topics([topic])) == 0
        assert topic not in await client.list_topics()
        assert of_topic(await client.delete_topics([topic])) == UnknownTopicOrPartitionError.errno


async def topic_configs():
    topic, key = f"{PREFIX}-configured", "retention.ms"
    async with admin() as client:
        assert of_topic(await client.create_topics([NewTopic(topic, 1, 1, topic_configs={key: "3600000"})])) == 0

        async def current():
            (answer,) = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {key: None})])
            (entry,) = answer.resources[0][4]
            return entry[1]
        assert await current() == "3600000"
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {key: "7200000"})])
        assert await current() == "7200000"
        assert of_topic(await client.delete_topics([topic])) == 0


async def unknown_topic():
    await refused(f"{PREFIX}-unknown", 1, (UnknownTopicOrPartitionError, KafkaTimeoutError), bootstrap=program.need_strict(),
                  request_timeout_ms=3000)


def runs(case):
    return lambda: asyncio.run(case())


program.run({name: runs(case) for name, case in {
    **{f"round-trip-{codec}": round_trip(codec) for codec in ("none", "gzip", "snappy", "lz4", "zstd")},
    "offsets-by-timestamp": offsets_by_timestamp, "seek": seek, "large-record": large_record,
    "too-large-record": too_large_record, "idempotence": idempotence, "transactions": transactions,
    "create-topic": create_topic, "topic-configs": topic_configs, "unknown-topic": unknown_topic,
}.items()})
