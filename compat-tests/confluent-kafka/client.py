"""confluent-kafka (a current librdkafka), without a group: Producer, Consumer.assign, AdminClient."""

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from harness import program
from harness.program import BOOTSTRAP, PREFIX, Record

RECORDS = program.fixture()


def produce(topic, records, bootstrap=BOOTSTRAP, **settings):
    """Produces in order and returns the offsets; the first delivery error is raised."""
    client = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 5, **settings})
    offsets, errors = [], []

    def delivered(error, message):
        if error:
            errors.append(error)
        else:
            offsets.append(message.offset())
    for record in records:
        while True:
            try:
                client.produce(topic, key=record.key, value=record.value, headers=record.headers, partition=0,
                               timestamp=record.timestamp, on_delivery=delivered)
                break
            except BufferError:
                client.poll(0.1)
        client.poll(0)
    left = client.flush(60)
    assert left == 0, f"{left} records were neither delivered nor refused"
    if errors:
        raise KafkaException(errors[0])
    return offsets


def consumer(bootstrap=BOOTSTRAP, **settings):
    # librdkafka wants a group id even where no group is used.
    return Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
                     "enable.partition.eof": True, "auto.offset.reset": "error", "fetch.wait.max.ms": 100, **settings})


def consume(topic, start=0, **settings):
    """Everything from `start` to the end of the partition."""
    client = consumer(**settings)
    client.assign([TopicPartition(topic, 0, start)])
    found, deadline = [], time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            message = client.poll(1)
            if message is None:
                continue
            if message.error():
                if message.error().code() == KafkaError._PARTITION_EOF:
                    return found
                raise KafkaException(message.error())
            found.append((message.offset(), Record(message.key(), message.value(), message.headers() or [],
                                                   message.timestamp()[1])))
        raise AssertionError(f"no end of the partition after {len(found)} records")
    finally:
        client.close()


def round_trip(codec):
    def case():
        topic = f"{PREFIX}-{codec}"
        offsets = produce(topic, RECORDS, **{"compression.type": codec})
        assert offsets == list(range(len(RECORDS))), f"acknowledged offsets {offsets[:5]}..."
        program.compare(consume(topic), RECORDS)
        program.compare(consume(topic, **{"isolation.level": "read_uncommitted"}), RECORDS)
    return case


def offsets_by_timestamp():
    client, topic = consumer(), f"{PREFIX}-none"

    def offset_at(timestamp):
        (found,) = client.offsets_for_times([TopicPartition(topic, 0, timestamp)], timeout=15)
        return found.offset if 0 <= found.offset < len(RECORDS) else None
    program.check_offsets_by_timestamp(RECORDS, offset_at)
    assert client.get_watermark_offsets(TopicPartition(topic, 0), timeout=15) == (0, len(RECORDS))
    client.close()


def seek():
    for start in (1, 150, 299, 300):
        found = consume(f"{PREFIX}-lz4", start)
        assert [offset for offset, _ in found] == list(range(start, len(RECORDS)))
    try:
        consume(f"{PREFIX}-lz4", 301)
    except KafkaException as error:
        assert error.args[0].code() in (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET), error
    else:
        raise AssertionError("an offset beyond the end was served")


def large_record():
    topic, record = f"{PREFIX}-large", Record(b"k", program.incompressible(900_000), [], RECORDS[0].timestamp)
    produce(topic, [record])
    program.compare(consume(topic), [record])


def too_large_record():
    record = Record(None, program.incompressible(1_500_000), [], RECORDS[0].timestamp)
    try:
        produce(f"{PREFIX}-too-large", [record], **{"message.max.bytes": 4 << 20})
    except KafkaException as error:
        assert error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE, error
        return
    raise AssertionError("1.5 MB were accepted")


def idempotence():
    topic = f"{PREFIX}-idempotent"
    records = [Record(b"k", b"%d" % i, [], RECORDS[0].timestamp) for i in range(5000)]
    settings = {"enable.idempotence": True, "batch.num.messages": 10, "compression.type": "lz4"}
    assert produce(topic, records, **settings) == list(range(5000))
    assert produce(topic, records, **settings) == list(range(5000, 10000))
    program.compare(consume(topic), records + records)


def create_topic():
    admin, topic = AdminClient({"bootstrap.servers": BOOTSTRAP}), f"{PREFIX}-created"
    admin.create_topics([NewTopic(topic, 3, 1, config={"max.message.bytes": "2000"})])[topic].result(30)
    try:
        admin.create_topics([NewTopic(topic, 3, 1)])[topic].result(30)
    except KafkaException as error:
        assert error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS, error
    else:
        raise AssertionError("a topic was created twice")
    assert len(admin.list_topics(topic, timeout=15).topics[topic].partitions) == 3
    try:
        produce(topic, [Record(None, program.incompressible(3000), [], RECORDS[0].timestamp)])
    except KafkaException as error:
        assert error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE, error
    else:
        raise AssertionError("a record above the topic's max.message.bytes was accepted")
    admin.delete_topics([topic])[topic].result(30)
    assert topic not in admin.list_topics(timeout=15).topics


def topic_configs():
    admin, topic, key = AdminClient({"bootstrap.servers": BOOTSTRAP}), f"{PREFIX}-configured", "retention.ms"
    admin.create_topics([NewTopic(topic, 1, 1, config={key: "3600000"})])[topic].result(30)

    def current():
        (found,) = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]).values()
        return found.result(30)[key].value

    def alter(value):
        entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        admin.incremental_alter_configs([resource])[resource].result(30)
    program.check_configs(current, alter)
    admin.delete_topics([topic])[topic].result(30)


def unknown_topic():
    record = Record(None, b"x", [], RECORDS[0].timestamp)
    try:
        produce(f"{PREFIX}-unknown", [record], bootstrap=program.need_strict(),
                **{"message.timeout.ms": 8000, "topic.metadata.propagation.max.ms": 1000})
    except KafkaException as error:
        expected = (KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION)
        assert error.args[0].code() in expected, error
        return
    raise AssertionError("a record for a topic that does not exist was accepted")


program.run({
    **{f"round-trip-{codec}": round_trip(codec) for codec in ("none", "gzip", "snappy", "lz4", "zstd")},
    "offsets-by-timestamp": offsets_by_timestamp, "seek": seek, "large-record": large_record,
    "too-large-record": too_large_record, "idempotence": idempotence, "create-topic": create_topic,
    "topic-configs": topic_configs, "unknown-topic": unknown_topic,
})
