"""librdkafka's own test suite, in full mode, one process a test.

Quick mode is no proof: there a sub-test that is not quick returns at once and its test still says PASSED.
A test that fails beside others is run again alone, as many measure time; the result says so.
"""

import concurrent.futures
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness import tools
from harness.suite import FAILED, PASSED, SKIPPED, Result, Skip

HERE = Path(__file__).resolve().parent
VERSION = "librdkafka 2.15"
# Debian's packages that the build needs; without rapidjson 0053, 0098 and 0110 would be skipped.
HEADERS = {"zstd.h": "libzstd-dev", "lz4.h": "liblz4-dev", "sasl/sasl.h": "libsasl2-dev", "zlib.h": "zlib1g-dev",
           "openssl/ssl.h": "libssl-dev", "rapidjson/document.h": "rapidjson-dev"}
# What the tests expect of the broker: `tests/scenarios/default.json` and `noautocreate.json`. 0089 and 0113 count on
# Apache Kafka's default for the first rebalance of a group.
DEFAULT = {"num.partitions": "4", "auto.create.topics.enable": "true", "ottla.replication.factor.clamp": "true",
           "group.initial.rebalance.delay.ms": "3000"}
NO_AUTO_CREATE = {**DEFAULT, "auto.create.topics.enable": "false"}
# Every test that talks to a broker, is not about shares, and works without ACLs, SASL, TLS and a second node.
# Left out besides: 0016 (verifies only over JMX), 0028 and 0047 (known issues of librdkafka), 0079 (fork), and 0092
# (wants message format 1, which Apache Kafka 4 no longer writes).
TESTS = """
    0001 0002 0003 0005 0007 0008 0011 0012 0013 0014 0015 0017 0018 0019 0020 0021 0022 0026 0029 0030 0031 0033 0034
    0035 0036 0038 0039 0040 0041 0042 0044 0048 0049 0050 0051 0052 0053 0054 0055 0056 0057 0059 0060 0061 0063
    0064 0065 0067 0068 0069 0070 0073 0075 0076 0077 0082 0083 0084 0085 0086 0088 0089 0090 0091 0093 0094 0098
    0099 0102 0103 0109 0110 0112 0114 0118 0122 0123 0125 0127 0129 0130 0132 0137 0140
    """.split()
# The part of them that joins groups, once more with KIP-848.
GROUP_TESTS = """
    0018 0022 0026 0029 0030 0033 0034 0049 0050 0051 0056 0059
    0060 0061 0067 0069 0083 0084 0089 0091 0093
    0099 0102 0112 0118 0122 0129 0130 0132 0137 0140
    """.split()
# Here 0045 has these.
SUBSCRIPTION_TESTS = {f"0045-{name}": f"do_test_{name}:"
                      for name in ("regex", "resubscribe_with_regex", "subscribe_many_updates")}
# With the consumer protocol librdkafka forgets a subscription that is made while its leave is being answered, and asks
# for nothing more; so it does with Apache Kafka 4.1, three times of five, when `group.coordinator.append.linger.ms`, 5
# there, is 0.
HASTY = {"0045-subscribe_many_updates": "passes only where a heartbeat is answered after some milliseconds: librdkafka "
                                        "forgets what it subscribes to while it leaves; fails on Apache Kafka with "
                                        "group.coordinator.append.linger.ms=0, too"}
# 0113 takes eleven minutes, mostly of waiting, and now and then librdkafka hangs in it when a consumer is destroyed, with
# Apache Kafka as the broker, too: each of its parts is a case, the long ones each of their variations. Left out is
# o_java_interop, which never runs: it takes librdkafka's default for `sasl.mechanism` for a broker with SASL.
COOPERATIVE_TESTS = {f"0113-{name}": f"{name}:" for name in """
    a_assign_tests b_subscribe_with_cb_test c_subscribe_no_cb_test d_change_subscription_add_topic
    e_change_subscription_remove_topic f_assign_call_cooperative g_incremental_assign_call_eager h_delete_topic
    i_delete_topic_2 j_delete_topic_no_rb_callback k_add_partition l_unsubscribe m_unsubscribe_2 n_wildcard
    s_subscribe_when_rebalancing t_max_poll_interval_exceeded v_commit_during_rebalance x_incremental_rebalances
    """.split()}
CHANGES_TESTS = {f"0113-u_multiple_subscription_changes-{variation}{'-cb' * callback}":
                 f"use_rebalance_cb: {callback}, subscription_variation: {variation}"
                 for variation in range(3) for callback in (1, 0)}
# 0081 has sixty sub-tests and stops at the first that fails: each kind is a case.
ADMIN_TESTS = {f"0081-{name}": f"do_test_{name}:" for name in """
    CreateTopics DeleteTopics CreatePartitions AlterConfigs IncrementalAlterConfigs DescribeConfigs
    DescribeConfigs_groups DeleteRecords ListConsumerGroups DescribeConsumerGroups DescribeTopics DescribeCluster
    DeleteGroups DeleteConsumerGroupOffsets ListOffsets AlterConsumerGroupOffsets ListConsumerGroupOffsets
    unclean_destroy
    """.split()}
# What is in the name of the sub-tests that are a case of their own.
PARTS = {**SUBSCRIPTION_TESTS, **COOPERATIVE_TESTS, **CHANGES_TESTS, **ADMIN_TESTS}
WAITING = {
    "0081-CreateAcls": "waits for ACLs", "0081-DescribeAcls": "waits for ACLs", "0081-DeleteAcls": "waits for ACLs",
    "0081-DescribeConsumerGroups_with_authorized_ops": "waits for ACLs",
    "0081-UserScramCredentials": "waits for SASL", "0109-unauthorized": "waits for ACLs", "0097": "waits for TLS",
    "0115": "waits for ACLs", "0119": "waits for ACLs", "0126": "waits for SASL",
    "0135": "waits for SASL", "0142": "waits for SASL", "0101": "needs three brokers, on Apache Kafka too",
}
# With an older version 0109 leaves out its part with ACLs, and nothing else.
VERSIONS = {"0109": "2.0.0"}
NO_AUTO_CREATE_TESTS = ["0045", "0107", "0111"]
SUMMARY = re.compile(r"(\d{4}_\w+)\s*\|\s*(PASSED|FAILED|SKIPPED|RUNNING)\s*\|\s*[\d.]+s\s*\|(.*)")
SUB_TEST = re.compile(r"\[ (\w+:\d+.*)")
FAILURE = re.compile(r"### Test \"\d{4}_\w+ ?(.*) ###\n(.*)")
# Why a test that talks to no broker is skipped here.
LOCAL = "negative test flags"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
OUTCOMES = {"PASSED": PASSED, "SKIPPED": SKIPPED}
# These take minutes, mostly of waiting for session timeouts, on Apache Kafka too; they begin first.
SLOW = {"0098", "0081-ListConsumerGroups", "0113-t_max_poll_interval_exceeded", *CHANGES_TESTS}
LIMIT_S = 600


@dataclass
class RunnerSuite:
    """Cases that are tests of librdkafka's `test-runner`."""

    name: str
    tests: list
    version: str = VERSION
    quick: bool = False
    properties: dict = field(default_factory=lambda: DEFAULT)
    scenario: str = "default"
    protocol: str = "classic"
    waiting: dict = field(default_factory=dict)

    def names(self):
        return [*self.tests, *self.waiting]

    def run(self, context):
        """Yields a `Result` a test, in the order in which they end."""
        folder, kafka = built(), kafka_path(context)
        runner = Runner(self, context, folder, kafka, context.broker(self.properties))
        again = []
        pool = concurrent.futures.ThreadPoolExecutor(context.options.jobs)
        try:
            ordered = sorted(chosen(self.tests, context), key=lambda test: test not in SLOW)
            running = [pool.submit(runner.run, test) for test in ordered]
            for done in concurrent.futures.as_completed(running):
                result = done.result()
                if result.outcome == FAILED and context.options.jobs > 1:
                    again.append(result)
                else:
                    yield result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            runner.stop()
            pool.shutdown()
        for first in again:
            # What a test has left behind when it failed may fail it again.
            result = Runner(self, context, folder, kafka, self.fresh_broker(context)).run(first.case)
            if result.outcome == PASSED:
                result.reason = f"alone; beside other tests: {first.reason}"
            yield result
        for test in chosen(self.waiting, context):
            yield Result(test, SKIPPED, self.waiting[test])

    def fresh_broker(self, context):
        """A broker that no test has used, where this run starts the brokers."""
        try:
            return context.own_broker(self.properties)
        except Skip:
            return context.broker(self.properties)


def chosen(tests, context):
    """The tests that `--only` names, or all; a number names every case of that test."""
    only = context.options.only.split(",") if context.options.only else tests
    return [test for test in tests if test in only or test.partition("-")[0] in only]


class Runner:
    """Runs single tests of a built suite against one broker."""

    def __init__(self, suite, context, folder, kafka, broker):
        self.context, self.folder, self.running = context, folder / "tests", set()
        bootstrap = broker.bootstrap
        conf = context.temp() / "test.conf"
        conf.write_text(f"metadata.broker.list={bootstrap}\ntest.timeout.multiplier=2\ntest.topic.random=true\n")
        self.environ = {
            **{key: value for key, value in os.environ.items() if key != "CI"},
            "LD_LIBRARY_PATH": f"{folder / 'src'}:{folder / 'src-cpp'}", "RDKAFKA_TEST_CONF": str(conf),
            "TEST_SCENARIO": suite.scenario, "BROKERS": bootstrap,
            "TEST_CONSUMER_GROUP_PROTOCOL": suite.protocol, "KAFKA_PATH": str(kafka),
        }

    def run(self, test):
        """One test in a process of its own, which is killed when its time is up."""
        log = self.context.temp() / f"{test}.log"
        number, part = test.partition("-")[0], PARTS.get(test, "")
        environ = {**self.environ, "TESTS": number, "TEST_KAFKA_VERSION": VERSIONS.get(number, "4.1.0")}
        if part:
            environ["SUBTESTS"] = part
        started = time.monotonic()
        with open(log, "wb") as output:
            process = subprocess.Popen(["./test-runner", "-L", "-K", "-p1"], cwd=self.folder, stdin=subprocess.DEVNULL,
                                       env=environ, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
            self.running.add(process)
            try:
                code = process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                code = f"killed after {LIMIT_S} s"
            finally:
                self.running.discard(process)
                kill_group(process)
        result = judged(test, part, code, COLOUR.sub("", log.read_text(errors="replace")))
        result.seconds = time.monotonic() - started
        if result.outcome == FAILED:
            self.keep(log)
        return result

    def stop(self):
        """Ends the tests that still run, as the run itself is being ended."""
        for process in list(self.running):
            kill_group(process)

    def keep(self, log):
        """The end of a failed test's output goes to the notes, all of it to a folder if one was asked for."""
        self.context.note(f"--- {log.stem}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-60:]))
        if self.context.options.logs:
            self.context.options.logs.mkdir(parents=True, exist_ok=True)
            shutil.copy(log, self.context.options.logs)


def kill_group(process):
    """Ends the process and the programs that the test started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def judged(test, part, code, output):
    """The result by what the runner prints at its end: the worst of the tests with this number."""
    number = test.partition("-")[0]
    tests = [found.groups() for found in SUMMARY.finditer(output) if found[1].startswith(number)]
    if code != 0 or not tests or any(state not in OUTCOMES for _, state, _ in tests):
        causes = [f"{found[1]}: {found[2]}" for found in FAILURE.finditer(output)]
        return Result(test, FAILED, f"exit {code}: {' | '.join(causes)[:400] or output[-200:]}")
    if part:
        return judged_part(test, part, output)
    told = [f"{name}: {reason.strip()}" for name, state, reason in tests if state == "SKIPPED" and LOCAL not in reason]
    if all(state == "SKIPPED" for _, state, _ in tests):
        return Result(test, SKIPPED, "; ".join(told))
    return Result(test, PASSED, f"skipped {'; '.join(told)}" if told else "")


def judged_part(test, part, output):
    """The result of a part of a test that did not fail: it may have passed itself over, or be none at all."""
    told = [found[1] for found in SUB_TEST.finditer(output) if part in found[1]]
    if not told:
        return Result(test, FAILED, "the test has no such part")
    skips = [line.partition(": SKIP: ")[2].rstrip(" ]") for line in told if ": SKIP: " in line]
    is_skipped = skips and not any(": PASS (" in line for line in told)
    return Result(test, SKIPPED, skips[0]) if is_skipped else Result(test, PASSED)


def built():
    """The folder of librdkafka with its tests, built."""
    lock = HERE / "source.sha256"
    compiler, make, npm = tools.program("g++", "g++"), tools.program("make", "make"), tools.program("npm", "npm")
    for header, package in HEADERS.items():
        tools.header(header, package)

    def build(target):
        archive = tools.npm_archive(npm, lock, target)
        source = target / "librdkafka"
        tools.run(["tar", "xzf", archive, "-C", target, "--strip-components=2", "package/deps/librdkafka"], "tar")
        environ = {**os.environ, "CXX": compiler}
        tools.run(["./configure", "--disable-debug-symbols"], "configure of librdkafka", cwd=source, env=environ)
        jobs = f"-j{os.cpu_count()}"
        tools.run([make, jobs, "libs"], "make of librdkafka", cwd=source, env=environ)
        tools.run([make, jobs, "-C", "tests", "build"], "make of librdkafka's tests", cwd=source, env=environ)
    return tools.installed("librdkafka-suite", [lock], build) / "librdkafka"


def kafka_path(context):
    """A folder like that of Apache Kafka's distribution: the tests call its scripts and compile against its jars."""
    class_path = tools.maven(tools.ROOT / "apache-kafka")
    folder = context.temp() / "kafka"
    (folder / "bin").mkdir(parents=True)
    (folder / "libs").symlink_to(Path(class_path).parent)
    java = f'exec {tools.java()} -Xmx256m -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp'
    scripts = {"kafka-topics.sh": f"{java} '{class_path}' org.apache.kafka.tools.TopicCommand \"$@\"",
               "kafka-run-class.sh": f"{java} \"$CLASSPATH:{class_path}\" \"$@\""}
    for name, line in scripts.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / "bin" / name).chmod(0o755)
    return folder


SUITES = [
    RunnerSuite("librdkafka-suite", [*TESTS, *SUBSCRIPTION_TESTS, *COOPERATIVE_TESTS, *CHANGES_TESTS, *ADMIN_TESTS],
                waiting=WAITING),
    RunnerSuite("librdkafka-suite-noauto", NO_AUTO_CREATE_TESTS, properties=NO_AUTO_CREATE, scenario="noautocreate"),
    RunnerSuite("librdkafka-suite-848",
                [*GROUP_TESTS, *sorted(SUBSCRIPTION_TESTS.keys() - HASTY), *COOPERATIVE_TESTS, *CHANGES_TESTS],
                protocol="consumer", waiting=HASTY),
]
