"""`kafka-features`: levels of features go up and down, and are what clients are told."""

import os
import re
import subprocess

from harness import tools
from harness.suite import PASSED, TRANSACTION_CASES, Suite, parse

SUITE = Suite("features", "kafka-features 4.1.2")
SUITES = [SUITE]
FAILED = "The update failed for all features since the following feature had an error: "
# Arguments, exit code and what is printed.
STEPS = [
    ("upgrade --feature transaction.version=2", 0, "transaction.version was upgraded to 2."),
    ("upgrade --feature transaction.version=1", 1,
     f"Could not upgrade transaction.version to 1. {FAILED}Invalid update version 1 for feature transaction.version. Can't "
     "downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade."),
    ("downgrade --dry-run --feature transaction.version=1", 0, "transaction.version can be downgraded to 1."),
    ("downgrade --feature transaction.version=1", 0, "transaction.version was downgraded to 1."),
    ("downgrade --feature transaction.version=2", 1,
     f"Could not downgrade transaction.version to 2. {FAILED}Invalid update version 2 for feature transaction.version. Can't "
     "downgrade to a newer version."),
    ("upgrade --feature nonsense=1", 1,
     f"Could not upgrade nonsense to 1. {FAILED}Invalid update version 1 for feature nonsense. Local controller 1 does not "
     "support this feature."),
    ("downgrade --feature kraft.version=0", 1,
     f"Could not downgrade kraft.version to 0. {FAILED}Invalid update version 0 for feature kraft.version. Can't downgrade "
     "the version of this feature."),
    ("downgrade --feature metadata.version=25", 0, "metadata.version was downgraded to 25."),
    ("downgrade --feature metadata.version=7", 1,
     f"Could not downgrade metadata.version to 7. {FAILED}Invalid metadata.version 7. Refusing to perform the requested "
     "downgrade because it might delete metadata information."),
    ("disable --feature transaction.version", 0, "transaction.version was disabled."),
]


def features(broker, *arguments):
    """The tool's exit code and output."""
    done = subprocess.run(
        [tools.java(), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
         "-cp", tools.maven(tools.ROOT / "apache-kafka"), "org.apache.kafka.tools.FeatureCommand",
         "--bootstrap-server", broker.bootstrap, *arguments], capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout.strip()


def finalized(broker):
    """The level of each feature, as `describe` prints it."""
    code, text = features(broker, "describe")
    assert code == 0, text
    return dict(re.findall(r"^Feature: (\S+)\t.*FinalizedVersionLevel: (\S+)\t", text, re.MULTILINE))


@SUITE.case
def up_and_down(context):
    """Each command prints what it should, and what was changed is still so after a restart."""
    broker = context.own_broker()
    before = finalized(broker)
    for name, level in [("kraft.version", "1"), ("transaction.version", "2"), ("metadata.version", "4.1-IV1")]:
        assert before[name] == level, before
    for words, code, printed in STEPS:
        found = features(broker, *words.split())
        assert found == (code, printed), f"{words}: {found}"
    changed = {**before, "transaction.version": "0", "metadata.version": "4.0-IV3"}
    assert finalized(broker) == changed
    broker.restart()
    assert finalized(broker) == changed
    code, printed = features(broker, "upgrade", "--release-version", "4.1")
    assert code == 0 and "metadata.version was upgraded to 27." in printed, printed
    assert finalized(broker) == before


@SUITE.case
def transactions_of_version_1(context):
    """With `transaction.version` 0 the Java client, which knows both, does its transactions in the older way."""
    broker = context.own_broker()
    code, printed = features(broker, "downgrade", "--feature", "transaction.version=0")
    assert code == 0, printed
    done = subprocess.run(
        [tools.java(), "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
         "-cp", tools.maven(tools.ROOT / "apache-kafka"), tools.ROOT / "transactions/Transactions.java"],
        env={**os.environ, "COMPAT_BOOTSTRAP": broker.bootstrap, "COMPAT_PREFIX": context.prefix},
        capture_output=True, text=True, check=False, timeout=240)
    outcomes = {found["case"]: found["outcome"] for found in map(parse, done.stdout.splitlines()) if found}
    assert outcomes == dict.fromkeys(TRANSACTION_CASES, PASSED), f"{outcomes} {done.stderr[-500:]}"
