"""kill -9 of the broker in the middle of acks=all runs: nothing acknowledged is lost, doubled or reordered."""

import json
import signal
import subprocess
import time
from pathlib import Path

from harness import kcat, session, tools, wire
from harness.suite import Suite

HERE = Path(__file__).resolve().parent
SUITE = Suite("crash", "librdkafka and Java producers")
SUITES = [SUITE]
ACKED_BETWEEN_KILLS = 3000
WAIT_S = 120


def librdkafka(bootstrap, topic, _folder, codec):
    interpreter = tools.python(tools.ROOT / "confluent-kafka")
    return [interpreter, HERE / "producer.py", bootstrap, topic, codec]


def java(bootstrap, topic, folder, codec):
    config = folder / "producer.properties"
    config.write_text(f"enable.idempotence=true\nretries=2147483647\ncompression.type={codec}\nlinger.ms=2\n"
                      "reconnect.backoff.max.ms=200\ndelivery.timeout.ms=180000\n")
    return [tools.java(), "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
            "-cp", tools.maven(tools.ROOT / "apache-kafka"), "org.apache.kafka.tools.VerifiableProducer",
            "--bootstrap-server", bootstrap, "--topic", topic, "--acks", "-1", "--throughput", "8000",
            "--producer.config", config]


def acknowledged(path):
    """`(offset, value)` of every line that a producer has finished printing."""
    for line in path.read_bytes().split(b"\n")[:-1]:
        if line.startswith(b"{"):
            event = json.loads(line)
            # After SIGTERM it goes on sending with a closed producer: those records were never on the wire.
            assert event["name"] != "producer_send_error" or "closed" in event["message"], event
            if event["name"] == "producer_send_success":
                yield int(event["offset"]), int(event["value"])
        else:
            offset, value = line.split()
            yield int(offset), int(value)


def wait_for(path, count, producer):
    deadline = time.monotonic() + WAIT_S
    while path.read_bytes().count(b"\n") < count:
        assert producer.poll() is None, f"the producer exited with {producer.returncode}"
        assert time.monotonic() < deadline, f"fewer than {count} acknowledgements in {WAIT_S} s"
        time.sleep(0.02)


def survive(context, name, command, codec, rounds):
    """Kills the broker `rounds` times while the producer runs, then compares the log with the acknowledgements."""
    broker, topic = context.own_broker(), context.topic(name)
    with wire.Connection(broker.bootstrap) as connection:
        session.create_topic(connection, topic)
    output, errors = context.temp() / f"{name}.acked", context.temp() / f"{name}.errors"
    with open(output, "wb") as out, open(errors, "wb") as err:
        producer = subprocess.Popen(command(broker.bootstrap, topic, context.temp(), codec),
                                    stdin=subprocess.DEVNULL, stdout=out, stderr=err)
    try:
        for _ in range(rounds):
            wait_for(output, output.read_bytes().count(b"\n") + ACKED_BETWEEN_KILLS, producer)
            broker.kill()
            broker.start()
        wait_for(output, output.read_bytes().count(b"\n") + ACKED_BETWEEN_KILLS, producer)
        producer.send_signal(signal.SIGTERM)
        code = producer.wait(WAIT_S)
    finally:
        if producer.poll() is None:
            producer.kill()
            producer.wait()
        context.note(errors.read_text(errors="replace")[-1000:])
    # A JVM ends with 128 + SIGTERM after its shutdown hook.
    assert code in (0, 143), f"the producer exited with {code}: {errors.read_text(errors='replace')[-500:]}"
    check(context, broker, topic, list(acknowledged(output)))
    broker.restart()
    check(context, broker, topic, list(acknowledged(output)))


def check(context, broker, topic, acked):
    """Every acknowledged record is at its offset, and the log is 0, 1, 2 ... without gap or repetition."""
    file = context.temp() / "log"
    with open(file, "wb") as out:
        kcat.kcat("-b", broker.bootstrap, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q",
                  "-f", "%o %s\\n", stdout=out)
    stored = [tuple(map(int, line.split())) for line in file.read_text().splitlines()]
    for place, (offset, value) in enumerate(stored):
        assert (offset, value) == (place, place), f"offset {offset} holds {value}, expected offset and value {place}"
    assert len(acked) >= ACKED_BETWEEN_KILLS, f"only {len(acked)} acknowledgements"
    for offset, value in acked:
        assert offset < len(stored), f"record {value} was acknowledged at offset {offset}, the log ends at {len(stored)}"
        assert stored[offset][1] == value, f"record {value} was acknowledged at offset {offset}, there is {stored[offset]}"


for producer_name, producer_command, producer_codec in [
        ("librdkafka-none", librdkafka, "none"), ("librdkafka-lz4", librdkafka, "lz4"), ("java-zstd", java, "zstd")]:
    SUITE.cases.append((producer_name, lambda context, n=producer_name, c=producer_command, z=producer_codec:
                        survive(context, n, c, z, 20 if context.options.full else 3)))
