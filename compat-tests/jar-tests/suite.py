"""The project's own tests that compare with Apache Kafka's jars: config keys, schemas of metadata records, metadata logs.

`cargo test` alone passes them over, as it has no jars.
"""

import os
import subprocess
from pathlib import Path

from harness import schema, session, tools, wire
from harness.broker import ApacheKafka
from harness.suite import Suite

HERE = Path(__file__).resolve().parent
SUITE = Suite("jar-tests", "Apache Kafka 4.3.1 and 4.1.2")
SUITES = [SUITE]
LIMIT_S = 900
# The keys and schemas here are those of 4.3; the node whose log is read is the one that every suite is measured by.
NEWEST = {"config_schema", "metadata_schema"}
TESTS = {
    "config_schema": ["keys_are_those_of_apache_kafka"],
    "metadata_schema": ["metadata_records_are_those_of_apache_kafka", "control_records_are_those_of_apache_kafka"],
    "kafka_metadata_log": ["kafka_reads_our_log_and_snapshots", "we_read_what_kafka_formats",
                           "we_read_what_a_kafka_node_wrote"],
}
STATE = {}


def setup(context):
    """The jars, and the metadata log of a node that has seen topics, configs and a restart."""
    tools.program("unzip", "unzip")
    STATE["newest"] = tools.maven(HERE).removesuffix("/*")
    STATE["oracle"] = tools.maven(tools.ROOT / "apache-kafka").removesuffix("/*")
    kafka = context.brokers.adopt(ApacheKafka({}))
    for turn in range(2):
        kafka.start()
        with wire.Connection(kafka.bootstrap) as connection:
            for name in ("kept", "deleted"):
                session.create_topic(connection, f"{name}-{turn}", partitions=3, configs={"retention.ms": "1000"})
            connection.call(schema.DELETE_TOPICS, 1, {"topic_names": [f"deleted-{turn}"], "timeout_ms": 10000})
        kafka.stop()
    STATE["metadata"] = kafka.data / "__cluster_metadata-0"
    # In a fresh clone this builds the workspace, which is not on a test's time; what fails here fails in each test.
    subprocess.run(cargo_test(*(word for file in TESTS for word in ("--test", file)), "--no-run"), cwd=tools.ROOT.parent,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def cargo_test(*arguments):
    return [tools.program("cargo", "cargo"), "test", "--locked", "--quiet", "-p", "ottla-broker", *arguments]


SUITE.prepare = setup


def passes(file, test):
    def case(context):
        command = cargo_test("--test", file, "--", "--ignored", "--exact", test)
        environ = {**os.environ, "OTTLA_KAFKA_LIBS": STATE["newest" if file in NEWEST else "oracle"],
                   "OTTLA_KAFKA_METADATA_DIR": str(STATE["metadata"])}
        ran = subprocess.run(command, cwd=tools.ROOT.parent, env=environ, timeout=LIMIT_S, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        context.note(ran.stdout)
        assert ran.returncode == 0 and "1 passed" in ran.stdout, ran.stdout[-600:]
    return case


for a_file, tests in TESTS.items():
    SUITE.cases += [(one.replace("_", "-"), passes(a_file, one)) for one in tests]
