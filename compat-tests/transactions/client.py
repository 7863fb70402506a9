"""librdkafka's transactional producer: transactions of version 1."""

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from harness import program
from harness.program import BOOTSTRAP, PREFIX

ADMIN = AdminClient({"bootstrap.servers": BOOTSTRAP})


def topic(name):
    name = f"{PREFIX}-txn-{name}"
    ADMIN.create_topics([NewTopic(name, 2, 1)])[name].result(30)
    return name


def producer(transactional_id, **settings):
    client = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": f"{PREFIX}-{transactional_id}", **settings})
    client.init_transactions(60)
    return client


def consumer(group, isolation):
    return Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": f"{PREFIX}-{group}", "isolation.level": isolation,
                     "enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "error"})


def values(name, isolation):
    """All values of both partitions, sorted."""
    client, found, ends = consumer("reader", isolation), [], 0
    client.assign([TopicPartition(name, 0, 0), TopicPartition(name, 1, 0)])
    deadline = time.monotonic() + 60
    try:
        while ends < 2:
            assert time.monotonic() < deadline, f"no end after {len(found)} records"
            message = client.poll(1)
            if message is None:
                continue
            if message.error():
                assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                ends += 1
            else:
                found.append(message.value().decode())
        return sorted(found)
    finally:
        client.close()


def commit_and_abort():
    name, client = topic("commit"), producer("commit")
    for number in range(20):
        client.begin_transaction()
        for partition in (0, 1):
            client.produce(name, b"%02d-%d" % (number, partition), partition=partition)
        assert client.flush(60) == 0
        if number % 3:
            client.commit_transaction(60)
        else:
            client.abort_transaction(60)
    every = [f"{number:02}-{partition}" for number in range(20) for partition in (0, 1)]
    assert values(name, "read_uncommitted") == every
    assert values(name, "read_committed") == [value for value in every if int(value[:2]) % 3]


def send_offsets():
    name, client, group = topic("offsets"), producer("offsets"), consumer("offsets", "read_committed")
    where = TopicPartition(name, 0)
    for offset, commits, expected in [(5, True, 5), (9, False, 5), (11, True, 11)]:
        client.begin_transaction()
        client.send_offsets_to_transaction([TopicPartition(name, 0, offset)], group.consumer_group_metadata(), 60)
        if commits:
            client.commit_transaction(60)
        else:
            client.abort_transaction(60)
        found = group.committed([where], 60)[0].offset
        assert found == expected, f"{found} where {expected} was expected"
    group.close()


def fencing():
    name, zombie = topic("fencing"), producer("fencing")
    zombie.begin_transaction()
    zombie.produce(name, b"zombie", partition=0)
    assert zombie.flush(60) == 0
    new = producer("fencing")
    try:
        zombie.commit_transaction(60)
        raise AssertionError("a replaced producer committed")
    except KafkaException as error:
        assert error.args[0].fatal() and error.args[0].code() == KafkaError._FENCED, error
    new.begin_transaction()
    new.produce(name, b"new", partition=0)
    new.commit_transaction(60)
    assert values(name, "read_committed") == ["new"]


def timeout():
    name = topic("timeout")
    slow = producer("timeout", **{"transaction.timeout.ms": 2000, "message.timeout.ms": 2000})
    slow.begin_transaction()
    slow.produce(name, b"late", partition=0)
    assert slow.flush(60) == 0
    # Not before the transaction is aborted is the end of the partition in sight. Apache Kafka looks every ten seconds.
    deadline = time.monotonic() + 60
    reader = consumer("timeout", "read_committed")
    while reader.get_watermark_offsets(TopicPartition(name, 0), 10)[1] < 2:
        assert time.monotonic() < deadline, "the transaction was not aborted"
        time.sleep(0.2)
    reader.close()
    try:
        slow.commit_transaction(60)
        raise AssertionError("a transaction was committed that had been aborted")
    except KafkaException:
        pass
    assert values(name, "read_committed") == []


program.run({"commit-and-abort": commit_and_abort, "send-offsets": send_offsets, "fencing": fencing,
             "timeout": timeout})
