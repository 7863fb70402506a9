"""kafka-python 2.0.2 and newer, without a group: KafkaProducer, KafkaConsumer.assign and seek, KafkaAdminClient."""

import dataclasses

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import (
    KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, TopicAlreadyExistsError, UnknownTopicOrPartitionError)
from kafka.structs import OffsetAndMetadata

from harness import program
from harness.program import BOOTSTRAP, PREFIX, Record

# Version 2.0.2 has neither an idempotent nor a transactional producer.
NEW = "transactional_id" in KafkaProducer.DEFAULT_CONFIG


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
    new = NewTopic(topic, 3, 1, topic_configs={"max.message.bytes": "2000"})
    admin.create_topics([new])
    try:
        admin.create_topics([new])
    except TopicAlreadyExistsError:
        pass
    else:
        raise AssertionError("a topic was created twice")
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


def topic_configs():
    admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    topic, key = f"{PREFIX}-configured", "retention.ms"
    admin.create_topics([NewTopic(topic, 1, 1, topic_configs={key: "3600000"})])

    def resource(value):
        return ConfigResource(ConfigResourceType.TOPIC, topic, {key: value})

    def current():
        found = admin.describe_configs([resource(None)])
        if NEW:
            return found["topic"][topic][key]["value"]
        ((code, _, _, _, entries),) = found[0].resources
        assert code == 0 and [entry[0] for entry in entries] == [key], found
        return entries[0][1]

    def alter(value):
        answer = admin.alter_configs([resource(value)])
        verdict = answer["topic"][topic] if NEW else answer.resources[0][0]
        if verdict not in ("OK", 0):
            raise KafkaError(verdict)
    program.check_configs(current, alter)
    admin.delete_topics([topic])
    admin.close()


def transactions():
    """Committed records and offsets are read, aborted records only by who reads uncommitted; a successor fences."""
    topic, at = f"{PREFIX}-transactions", RECORDS[0].timestamp
    aborted, committed = ([Record(word, b"%d" % i, [], at) for i in range(10)] for word in (b"aborted", b"committed"))
    where = TopicPartition(topic, 0)

    def opened():
        client = producer(transactional_id=topic)
        client.init_transactions()
        return client

    def transaction(client, records, offset, end):
        client.begin_transaction()
        for record in records:
            client.send(topic, key=record.key, value=record.value, partition=0, timestamp_ms=record.timestamp)
        # An abort would drop what is not on its way yet.
        client.flush(30)
        client.send_offsets_to_transaction({where: OffsetAndMetadata(offset, "", -1)}, topic)
        end(client)
    first = opened()
    transaction(first, aborted, 9, KafkaProducer.abort_transaction)
    transaction(first, committed, 7, KafkaProducer.commit_transaction)
    # A marker follows the ten records of each.
    found, _ = consume(topic, 10, isolation_level="read_committed")
    assert found == list(enumerate(committed, start=11)), f"read committed: {str(found)[:200]}"
    found, _ = consume(topic, 20, isolation_level="read_uncommitted")
    assert [record for _, record in found] == aborted + committed, f"read uncommitted: {str(found)[:200]}"
    group = KafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=topic, enable_auto_commit=False)
    assert group.committed(where) == 7, group.committed(where)
    group.close()
    second = opened()
    try:
        transaction(first, aborted, 9, KafkaProducer.commit_transaction)
    except KafkaError as error:
        assert "fenced" in repr(error).lower() or "epoch" in repr(error).lower(), repr(error)
    else:
        raise AssertionError("a producer with an old epoch committed")
    second.close()
    first.close(timeout=1)


def unknown_topic():
    client = KafkaProducer(bootstrap_servers=program.need_strict(), max_block_ms=1500)
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
    "too-large-record": too_large_record, "create-topic": create_topic, "topic-configs": topic_configs,
    "unknown-topic": unknown_topic, **({"idempotence": idempotence, "transactions": transactions} if NEW else {}),
})
