"""librdkafka told not to ask for versions, and of which version the broker is.

What the broker serves of that version has to work; of a version whose requests are served no more there is to be an
error, not silence.
"""

import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from harness import program
from harness.program import BOOTSTRAP, PREFIX


def settings(version, errors):
    found = {"bootstrap.servers": BOOTSTRAP, "error_cb": lambda error: errors.append(error.code()), "log_level": 0}
    return {**found, "api.version.request": False, "broker.version.fallback": version} if version else found


def write(topic, version, errors):
    """The error of the delivery, or None."""
    results = []
    client = Producer({**settings(version, errors), "message.timeout.ms": 4000})
    client.produce(topic, b"a record", partition=0, on_delivery=lambda error, _: results.append(error))
    client.flush(10)
    (error,) = results
    return error


def read(topic, version, errors, patience_s):
    """The first record's value, or None."""
    client = Consumer({**settings(version, errors), "group.id": "unused", "enable.auto.commit": False})
    client.assign([TopicPartition(topic, 0, 0)])
    deadline, value = time.monotonic() + patience_s, None
    while value is None and not errors and time.monotonic() < deadline:
        message = client.poll(0.2)
        if message is not None:
            assert not message.error(), message.error()
            value = message.value()
    client.close()
    return value


def served(version):
    def case():
        topic, errors = f"{PREFIX}-version-{version}", []
        assert write(topic, version, errors) is None
        assert read(topic, version, errors, 20) == b"a record" and not errors, errors
    return case


def unserved():
    topic, errors = f"{PREFIX}-version-unserved", []
    assert write(topic, None, errors) is None and not errors
    error = write(topic, "0.9.0", errors)
    assert error and error.code() == KafkaError._MSG_TIMED_OUT, error
    assert KafkaError._ALL_BROKERS_DOWN in errors, errors
    errors.clear()
    assert read(topic, "0.9.0", errors, 20) is None
    assert KafkaError._ALL_BROKERS_DOWN in errors, errors


program.run({"version-0.10": served("0.10.0"), "version-2.4": served("2.4.0"), "unserved-version": unserved})
