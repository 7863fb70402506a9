"""The configs of groups: what can be set, what is refused and why, and what holds afterwards."""

import time

from harness import schema, session

GROUP = 32
SET, DELETE, APPEND, SUBTRACT = range(4)
SESSION, INTERVAL = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"


def described(recorder, what, group, version=4, keys=None, synonyms=True):
    recorder.call(what, schema.DESCRIBE_CONFIGS, version, {"include_synonyms": synonyms, "resources": [
        {"resource_type": GROUP, "resource_name": group, "configuration_keys": keys}]})


def listed(answer):
    return [resource["resource_name"] for resource in answer["config_resources"]]


def incremental_group_configs(recorder):
    """Every operation on every key, the limits, and keys and groups that are not there."""
    name = recorder.name("set")
    steps = {
        "session": [(SESSION, SET, "50000")],
        "interval": [(INTERVAL, SET, "6000")],
        "both": [(SESSION, SET, "60000"), (INTERVAL, SET, "15000")],
        "session below the limit": [(SESSION, SET, "44999")],
        "session above the limit": [(SESSION, SET, "60001")],
        "interval below the limit": [(INTERVAL, SET, "4999")],
        "interval above the limit": [(INTERVAL, SET, "15001")],
        "both wrong": [(SESSION, SET, "1"), (INTERVAL, SET, "1")],
        "one right one wrong": [(SESSION, SET, "50000"), (INTERVAL, SET, "1")],
        "zero": [(SESSION, SET, "0")],
        "negative": [(INTERVAL, SET, "-1")],
        "no number": [(SESSION, SET, "soon")],
        "too large a number": [(SESSION, SET, "2147483648")],
        "spaces": [(SESSION, SET, " 51000 ")],
        "empty": [(SESSION, SET, "")],
        "null": [(SESSION, SET, None)],
        "append": [(SESSION, APPEND, "1")],
        "subtract": [(SESSION, SUBTRACT, "1")],
        "same key twice": [(SESSION, SET, "50000"), (SESSION, SET, "50001")],
        "unknown key": [("nope", SET, "1")],
        "unknown key deleted": [("nope", DELETE, None)],
        "broker key": [("group.consumer.session.timeout.ms", SET, "50000")],
        "topic key": [("retention.ms", SET, "50000")],
        "no keys": [],
        "share session": [("share.session.timeout.ms", SET, "50000")],
        "share session above the limit": [("share.session.timeout.ms", SET, "60001")],
        "share interval below the limit": [("share.heartbeat.interval.ms", SET, "1")],
        "share lock": [("share.record.lock.duration.ms", SET, "20000")],
        "share lock below the limit": [("share.record.lock.duration.ms", SET, "14999")],
        "share lock too small": [("share.record.lock.duration.ms", SET, "999")],
        "share reset": [("share.auto.offset.reset", SET, "earliest")],
        "share reset bad": [("share.auto.offset.reset", SET, "sometimes")],
        "share isolation": [("share.isolation.level", SET, "read_committed")],
        "share isolation bad": [("share.isolation.level", SET, "none")],
        "streams session": [("streams.session.timeout.ms", SET, "50000")],
        "streams interval above the limit": [("streams.heartbeat.interval.ms", SET, "15001")],
        "streams standbys": [("streams.num.standby.replicas", SET, "2")],
        "streams standbys above the limit": [("streams.num.standby.replicas", SET, "3")],
        "streams standbys negative": [("streams.num.standby.replicas", SET, "-1")],
        "session undone": [(SESSION, DELETE, None)],
        "session undone again": [(SESSION, DELETE, None)],
    }
    for version in range(2):
        def alter(what, group, changes, version=version, times=1, validate_only=False):
            configs = [{"name": key, "config_operation": operation, "value": value} for key, operation, value in changes]
            resource = {"resource_type": GROUP, "resource_name": group, "configs": configs}
            recorder.call(what, schema.INCREMENTAL_ALTER_CONFIGS, version,
                          {"resources": [resource] * times, "validate_only": validate_only})
        for what, changes in steps.items():
            alter(what, f"{name}-{version}", changes)
        alter("no name", "", [(SESSION, SET, "50000")])
        alter("no name and a bad value", "", [(SESSION, SET, "1")])
        alter("no name and null", "", [(SESSION, SET, None)])
        alter("validate only", f"{name}-{version}", [(SESSION, SET, "55000")], validate_only=True)
        alter("validate only bad", f"{name}-{version}", [(SESSION, SET, "1")], validate_only=True)
        alter("same group twice", f"{name}-{version}", [(SESSION, SET, "50000")], times=2)
        session.settle(recorder.connection, f"{name}-{version}")
        described(recorder, f"after version {version}", f"{name}-{version}", synonyms=False)


def alter_group_configs(recorder):
    """The configs of a group replaced as a whole."""
    name = recorder.name("replaced")
    for version in range(3):
        def replace(what, changes, version=version, group=name, validate_only=False):
            configs = [{"name": key, "value": value} for key, value in changes]
            recorder.call(what, schema.ALTER_CONFIGS, version, {"validate_only": validate_only, "resources": [
                {"resource_type": GROUP, "resource_name": group, "configs": configs}]})
        replace("set", [(SESSION, "50000"), (INTERVAL, "6000")])
        replace("another", [(INTERVAL, "7000")])
        replace("bad", [(INTERVAL, "1")])
        replace("null", [(INTERVAL, None)])
        replace("unknown", [("nope", "1")])
        replace("no name", [(INTERVAL, "7000")], group="")
        replace("validate only", [], validate_only=True)
        session.settle(recorder.connection, f"{name}-{version}")
        described(recorder, f"after version {version}", name)
        replace("nothing", [])


def describe_group_configs(recorder):
    """Groups with and without configs; one that has never been heard of has the defaults."""
    name = recorder.name("described")
    recorder.call("set", schema.INCREMENTAL_ALTER_CONFIGS, 1, {"validate_only": False, "resources": [
        {"resource_type": GROUP, "resource_name": name, "configs": [
            {"name": SESSION, "config_operation": SET, "value": " 52000 "}]}]})
    session.settle(recorder.connection, f"{name}-set")
    for version in range(1, 5):
        described(recorder, "all", name, version)
        described(recorder, "without synonyms", name, version, synonyms=False)
        described(recorder, "two keys", name, version, [SESSION, INTERVAL])
        described(recorder, "unknown key", name, version, ["nope"])
        described(recorder, "no keys", name, version, [])
        described(recorder, "unknown group", recorder.name("unknown"), version)
        described(recorder, "no name", "", version)


def list_config_resources(recorder):
    """Groups are listed as far as configs are set for them; no other script sets any that it does not take back."""
    name = recorder.name("listed")
    alter = {"validate_only": False, "resources": [{"resource_type": GROUP, "resource_name": name, "configs": [
        {"name": SESSION, "config_operation": SET, "value": "53000"}]}]}
    recorder.call("set", schema.INCREMENTAL_ALTER_CONFIGS, 1, alter)
    # A broker takes the configs over some time after they are answered.
    deadline = time.monotonic() + 10
    while name not in listed(recorder.connection.call(schema.LIST_CONFIG_RESOURCES, 1, {"resource_types": [GROUP]})):
        assert time.monotonic() < deadline, f"{name} is not listed"
    for what, types in {"groups": [32], "brokers": [4, 8], "client metrics": [16], "unknown": [3], "known and unknown": [32, 3],
                        "twice": [32, 32], "zero": [0]}.items():
        answer = recorder.call(what, schema.LIST_CONFIG_RESOURCES, 1, {"resource_types": types})
        assert (name in listed(answer)) == (what in ("groups", "twice")), answer
    recorder.call("client metrics of old", schema.LIST_CONFIG_RESOURCES, 0, {"resource_types": []})


SCRIPTS = [list_config_resources, incremental_group_configs, alter_group_configs, describe_group_configs]
