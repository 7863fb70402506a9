"""kafka-python 2.0.2 and newer, without a group: KafkaProducer, KafkaConsumer.assign and seek, KafkaAdminClient."""

import dataclasses

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, UnknownTopicOrPartitionError

from harness import program
from harness.program import BOOTSTRAP, PREFIX, Record



def possible(record):
    """It refuses to send a record that has neither key nor value, and a header without a value."""
    key = b"" if (record.key, record.value) == (None, None) else record.key
    headers = [(name, b"" if value is None else value) for name, value in record.headers]
    return dataclasses.replace(record, key=key, headers=headers)


RECORDS = [possible(record) for record in program.fixture()]


def producer(**settings):
    return KafkaProducer(bootstrap_servers=BOOTSTRAP, acks="all", retries=5, linger_ms=5, **settings)


def produce(topic, records, **settings):
    client = producer(**settings)
    sent = [client.send(topic, key=r.key, value=r.value, headers=r.headers, partition=0, timestamp_ms=r.timestamp)
            for r in records]
    client.flush(30)
    offsets = [future.get(timeout=30).offset for future in sent]
    client.close()
    assert offsets == list(range(len(records))), f"acknowledged offsets {offsets[:5]}..."


def consume(topic, count, start=None, **settings):
    client = KafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=None, enable_auto_commit=False,
                           consumer_timeout_ms=15000, max_partition_fetch_bytes=4 << 20, **settings)
    partition = TopicPartition(topic, 0)
    client.assign([partition])
    if start is None:
        client.seek_to_beginning(partition)
    else:
        client.seek(partition, start)
    found = []
    if count:
        for message in client:
            found.append((message.offset, Record(message.key, message.value, list(message.headers), message.timestamp)))
            if len(found) == count:
                break
    end = client.end_offsets([partition])[partition]
    client.close()
    return found, end


def round_trip(codec):
    def case():
        topic = f"{PREFIX}-{codec}"
        produce(topic, RECORDS, compression_type=None if codec == "none" else codec)
        found, end = consume(topic, len(RECORDS))
        program.compare(found, RECORDS)
        assert end == len(RECORDS)
    return case


def offsets_by_timestamp():
    client = KafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=None)
    partition = TopicPartition(f"{PREFIX}-none", 0)

    def offset_at(timestamp):
        found = client.offsets_for_times({partition: timestamp})[partition]
        return None if found is None else found.offset
    program.check_offsets_by_timestamp(RECORDS, offset_at)
    assert client.beginning_offsets([partition])[partition] == 0
    client.close()


def seek():
    for start in (1, 150, 299):
        found, _ = consume(f"{PREFIX}-lz4", len(RECORDS) - start, start)
        assert [offset for offset, _ in found] == list(range(start, len(RECORDS)))


def large_record():
    topic, record = f"{PREFIX}-large", Record(b"k", program.incompressible(900_000), [], RECORDS[0].timestamp)
    produce(topic, [record])
    program.compare(consume(topic, 1)[0], [record])


def too_large_record():
    client = producer(max_request_size=4 << 20)
    try:
        client.send(f"{PREFIX}-too-large", program.incompressible(1_500_000)).get(timeout=30)
    except MessageSizeTooLargeError:
        return
    finally:
        client.close()
    raise AssertionError("1.5 MB were accepted")


def idempotence():
    topic = f"{PREFIX}-idempotent"
    records = [Record(b"k", b"%d" % i, [], RECORDS[0].timestamp) for i in range(2000)]
    produce(topic, records, enable_idempotence=True, batch_size=500, compression_type="lz4")
    program.compare(consume(topic, len(records))[0], records)


def create_topic():
    admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    topic = f"{PREFIX}-created"
    admin.create_topics([NewTopic(topic, 3, 1, topic_configs={"max.message.bytes": "2000"})])
    client = producer()
    assert client.partitions_for(topic) == {0, 1, 2}
    try:
        client.send(topic, program.incompressible(3000)).get(timeout=30)
    except MessageSizeTooLargeError:
        pass
    else:
        raise AssertionError("a record above the topic's max.message.bytes was accepted")
    client.close()
    admin.delete_topics([topic])
    assert topic not in admin.list_topics()
    admin.close()


def unknown_topic():
    client = KafkaProducer(bootstrap_servers=program.need_strict(), max_block_ms=3000)
    try:
        client.send(f"{PREFIX}-unknown", b"x").get(timeout=10)
    except (KafkaTimeoutError, UnknownTopicOrPartitionError):
        return
    finally:
        client.close()
    raise AssertionError("a record for a topic that does not exist was accepted")


program.run({
    **{f"round-trip-{codec}": round_trip(codec) for codec in ("none", "gzip", "snappy", "lz4", "zstd")},
    "offsets-by-timestamp": offsets_by_timestamp, "seek": seek, "large-record": large_record,
    "too-large-record": too_large_record, "create-topic": create_topic, "unknown-topic": unknown_topic,
    # Version 2.0.2 has no idempotent producer.
    **({"idempotence": idempotence} if "enable_idempotence" in KafkaProducer.DEFAULT_CONFIG else {}),
})
