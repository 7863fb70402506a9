"""kafka-python told of which version the broker is, instead of asking.

What the broker serves of that version has to work; of a version whose requests are served no more there is to be an
error, not silence.
"""

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaConnectionError

from harness import program
from harness.program import BOOTSTRAP, PREFIX


def write(topic, version):
    client = KafkaProducer(bootstrap_servers=BOOTSTRAP, api_version=version, retries=0)
    try:
        return client.send(topic, b"a record", partition=0).get(timeout=20).offset
    finally:
        client.close(timeout=1)


def read(topic, version, patience_ms):
    client = KafkaConsumer(bootstrap_servers=BOOTSTRAP, api_version=version, consumer_timeout_ms=patience_ms, group_id=None)
    partition = TopicPartition(topic, 0)
    client.assign([partition])
    client.seek(partition, 0)
    found = next((message.value for message in client), None)
    client.close()
    return found


def served(version):
    def case():
        topic = f"{PREFIX}-version-{'.'.join(map(str, version))}"
        assert write(topic, version) == 0
        assert read(topic, version, 20000) == b"a record"
    return case


def unserved():
    """The producer hears that the connection was closed; the consumer logs that, and has nothing to give."""
    topic, version = f"{PREFIX}-version-unserved", (0, 10, 0)
    assert write(topic, (0, 11, 0)) == 0
    try:
        write(topic, version)
    except KafkaConnectionError:
        pass
    else:
        raise AssertionError("a record was accepted in a version that is not served")
    assert read(topic, version, 2000) is None


program.run({"version-0.11": served((0, 11, 0)), "version-2.4": served((2, 4, 0)), "unserved-version": unserved})
