"""Groups of both protocols, of one member and of none: every version, right and wrong requests."""

import time

from harness import schema, session

SUBSCRIPTION = bytes.fromhex("0001 00000001 0001 74 ffffffff 00000000")
ASSIGNMENT = bytes.fromhex("0001 00000001 0001 74 00000001 00000000 ffffffff")
UNKNOWN_PARTITIONS = bytes.fromhex("0001 00000001 0004 6e6f6e65 00000001 00000063 ffffffff")


def find(recorder, group):
    """Until the group's coordinator is there; not part of what is compared."""
    deadline = time.monotonic() + 30
    body = {"key": group, "key_type": 0, "coordinator_keys": [group]}
    while recorder.connection.call(schema.FIND_COORDINATOR, 3, body)["error_code"] and time.monotonic() < deadline:
        time.sleep(0.1)


def topic(recorder, name):
    session.create_topic(recorder.connection, recorder.name(name), partitions=2)
    return recorder.name(name)


def coordinators(recorder):
    """Groups, transactional ids and what is neither, with and without a name."""
    find(recorder, recorder.name("any"))
    for version in range(7):
        for kind in (0, 2, 9):
            for key in ("", recorder.name("any")):
                recorder.call(f"kind {kind}, {key!r}", schema.FIND_COORDINATOR, version, {
                    "key": key, "key_type": kind, "coordinator_keys": [key]})


def join_body(group, member="", **change):
    return {"group_id": group, "session_timeout_ms": 30000, "rebalance_timeout_ms": 60000, "member_id": member,
            "protocol_type": "consumer", "protocols": [{"name": "range", "metadata": SUBSCRIPTION}], **change}


def join(recorder, what, group, version, member="", **change):
    return recorder.call(what, schema.JOIN_GROUP, version, join_body(group, member, **change))


def joined(recorder, what, group, version, **change):
    """The id and generation of a member that is in; new clients ask for an id first."""
    answer = join(recorder, what, group, version, **change)
    if answer["error_code"] == 79:
        answer = join(recorder, f"{what} with its id", group, version, answer["member_id"], **change)
    return answer["member_id"], answer["generation_id"]


def sync(recorder, what, group, version, member, generation, assignment=ASSIGNMENT, **change):
    recorder.call(what, schema.SYNC_GROUP, version, {
        "group_id": group, "generation_id": generation, "member_id": member,
        "assignments": [{"member_id": member, "assignment": assignment}], **change})


def classic_joins(recorder):
    """What JoinGroup takes and refuses, in every version."""
    find(recorder, recorder.name("join"))
    for version in range(10):
        group = recorder.name(f"join-{version}")

        def wrong(what, group=group, version=version, **change):
            join(recorder, what, group, version, **change)
        wrong("no group id", group="")
        wrong("short session", session_timeout_ms=5999)
        wrong("long session", session_timeout_ms=1800001)
        wrong("unknown member of an unknown group", member="nobody")
        wrong("no protocols", protocols=[])
        wrong("no protocol type", protocol_type="")
        member, _ = joined(recorder, "first", group, version)
        wrong("other protocol type", protocol_type="connect")
        wrong("no common protocol", protocols=[{"name": "other", "metadata": SUBSCRIPTION}])
        wrong("unknown member", member="nobody")
        wrong("unknown instance", member=member, group_instance_id="i")
        _, generation = joined(recorder, "again", group, version, member=member)
        # Apache Kafka tells only of groups that have written a record.
        sync(recorder, f"of {version}", group, 3, member, generation)
        listed(recorder, f"{version}", group)


def listed(recorder, what, group):
    recorder.call(what, schema.DESCRIBE_GROUPS, 6, {"groups": [group], "include_authorized_operations": False})


def classic_members(recorder):
    """SyncGroup, Heartbeat, LeaveGroup in every version, with wrong generations, members, names and protocols."""
    find(recorder, recorder.name("sync"))
    for version in range(6):
        group = recorder.name(f"member-{version}")
        member, generation = joined(recorder, f"for {version}", group, 5)

        def synced(what, group=group, version=version, member=member, generation=generation, **change):
            sync(recorder, what, group, version, member, generation, **{
                "protocol_type": "consumer", "protocol_name": "range", **change})
        synced("no group id", group="")
        synced("unknown group", group=recorder.name("none"))
        synced("unknown member", member="nobody")
        synced("old generation", generation=generation - 1)
        synced("generation to come", generation=generation + 1)
        synced("other protocol type", protocol_type="connect")
        synced("other protocol", protocol_name="sticky")
        synced("unknown instance", group_instance_id="i")
        synced("unknown partitions", assignment=UNKNOWN_PARTITIONS)
        synced("stable")
        listed(recorder, f"synced {version}", group)
        if version < 5:
            for what, change in {
                "no group id": {"group_id": ""}, "unknown group": {"group_id": recorder.name("none")},
                "unknown member": {"member_id": "nobody"}, "old generation": {"generation_id": generation - 1},
                "unknown instance": {"group_instance_id": "i"}, "well": {},
            }.items():
                recorder.call(what, schema.HEARTBEAT, version, {
                    "group_id": group, "generation_id": generation, "member_id": member, **change})
        for what, group_id, member_id, instance in [
                ("no group id", "", member, None), ("unknown group", recorder.name("none"), member, None),
                ("unknown member", group, "nobody", None), ("unknown instance", group, "", "i"),
                ("well", group, member, None), ("again", group, member, None)]:
            recorder.call(what, schema.LEAVE_GROUP, version, {
                "group_id": group_id, "member_id": member_id,
                "members": [{"member_id": member_id, "group_instance_id": instance}]})
        listed(recorder, f"left {version}", group)


def static_members(recorder):
    """A member with a name comes back, is fenced, and leaves by its name."""
    find(recorder, recorder.name("static"))
    for version in range(5, 10):
        group = recorder.name(f"static-{version}")
        first, generation = joined(recorder, "first", group, version, group_instance_id="i")
        sync(recorder, f"for {version}", group, 3, first, generation, group_instance_id="i")
        second, generation = joined(recorder, "second", group, version, group_instance_id="i")
        for what, member in {"first": first, "second": second, "stranger": "nobody"}.items():
            recorder.call(f"{what} of {version}", schema.HEARTBEAT, 4, {
                "group_id": group, "generation_id": generation, "member_id": member, "group_instance_id": "i"})
        join(recorder, "the first again", group, version, first, group_instance_id="i")
        listed(recorder, f"static {version}", group)
        for what in ("by name", "again"):
            recorder.call(f"{what}, {version}", schema.LEAVE_GROUP, 5, {
                "group_id": group, "members": [{"member_id": "", "group_instance_id": "i"}]})


def commit(recorder, what, group, name, version, partition=0, **change):
    recorder.call(what, schema.OFFSET_COMMIT, version, {
        "group_id": group, "generation_id_or_member_epoch": -1, "retention_time_ms": -1, "topics": [{"name": name, "partitions": [
            {"partition_index": partition, "committed_offset": 5, "committed_leader_epoch": -1,
             "committed_metadata": change.pop("metadata", "m")}]}], **change}, instead=2)


def offsets(recorder):
    """Commits of members, strangers and simple consumers; what is committed; deletion."""
    name, unknown = topic(recorder, "committed"), recorder.name("unknown")
    find(recorder, recorder.name("offsets"))
    for version in range(1, 10):
        group = recorder.name(f"offsets-{version}")
        commit(recorder, "simple consumer", group, name, version)
        commit(recorder, "unknown topic", group, unknown, version)
        commit(recorder, "unknown partition", group, name, version, partition=9)
        commit(recorder, "negative partition", group, name, version, partition=-1)
        commit(recorder, "no metadata", group, name, version, partition=1, metadata=None)
        commit(recorder, "large metadata", group, name, version, metadata="x" * 4097)
        commit(recorder, "no group id", "", name, version)
        commit(recorder, "stranger", group, name, version, member_id="nobody", generation_id_or_member_epoch=3)
        member, generation = joined(recorder, f"offsets {version}", group, 5)
        sync(recorder, f"offsets {version}", group, 3, member, generation)
        owner = {"member_id": member, "generation_id_or_member_epoch": generation}
        commit(recorder, "member", group, name, version, **owner)
        commit(recorder, "old generation", group, name, version, **{**owner, "generation_id_or_member_epoch": generation - 1})
        commit(recorder, "no member any more", group, name, version)
        commit(recorder, "unknown instance", group, name, version, **owner, group_instance_id="i")
        for what, partitions in {"known": [0, 1], "unknown": [9, -1], "none": []}.items():
            wanted = [{"name": name, "partition_indexes": partitions}, {"name": unknown, "partition_indexes": [0]}]
            recorder.call(what, schema.OFFSET_FETCH, version, {
                "group_id": group, "topics": wanted, "groups": [{
                    "group_id": each, "member_epoch": -1, "topics": wanted} for each in (group, recorder.name("none"))]})
        if version >= 2:
            recorder.call("all", schema.OFFSET_FETCH, version, {
                "group_id": group, "topics": None, "groups": [{"group_id": group, "member_epoch": -1, "topics": None}]})
        deletion(recorder, version, group, name, unknown)


def deletion(recorder, version, group, name, unknown):
    """Of a group with a member that consumes `t`, not `name`; then without."""
    def delete_offset(what, group_id):
        recorder.call(f"{version} {what}", schema.OFFSET_DELETE, 0, {"group_id": group_id, "topics": [
            {"name": name, "partitions": [{"partition_index": index} for index in (0, 9)]},
            {"name": unknown, "partitions": [{"partition_index": 0}]}]})
    delete_offset("no group id", "")
    delete_offset("unknown group", recorder.name("none"))
    delete_offset("with members", group)
    names = [group, "", recorder.name("none")]
    recorder.call(f"{version} with members", schema.DELETE_GROUPS, version % 3, {"groups_names": names})


def described_groups(recorder):
    """Groups there are and are not, by every version that describes or lists."""
    group, none = recorder.name("described"), recorder.name("none")
    find(recorder, group)
    member, generation = joined(recorder, "to be described", group, 5)
    sync(recorder, "to be described", group, 3, member, generation)
    for version in range(7):
        recorder.call("stable", schema.DESCRIBE_GROUPS, version, {"groups": [group, none, ""]})
        recorder.call("twice", schema.DESCRIBE_GROUPS, version, {"groups": [group, group]})
        recorder.call("nothing", schema.DESCRIBE_GROUPS, version, {"groups": []})
    for version in range(2):
        recorder.call("classic", schema.CONSUMER_GROUP_DESCRIBE, version, {"group_ids": [group, none, ""]})
    for version in range(4, 6):
        for states in (["Empty"], ["stable"], ["STABLE", "nonsense"], ["nonsense"], [""]):
            recorder.call(f"{states}", schema.LIST_GROUPS, version, {"states_filter": states, "types_filter": ["classic"]})
        for types in (["classic"], ["Consumer"], ["share"], ["nonsense"], [""]):
            recorder.call(f"of type {types}", schema.LIST_GROUPS, version, {"states_filter": ["Stable"], "types_filter": types})


def consumer_groups(recorder):
    """The new protocol: joining, what a member may say and may not, leaving, coming back by name."""
    name = topic(recorder, "consumed")
    find(recorder, recorder.name("new"))
    ids = {each["name"]: each["topic_id"] for each in recorder.connection.call(
        schema.METADATA, 12, {"topics": [{"name": name}]})["topics"]}
    for version in range(2):
        group = recorder.name(f"new-{version}")

        def beat(what, version=version, **change):
            return recorder.call(what, schema.CONSUMER_GROUP_HEARTBEAT, version, {
                "group_id": group, "member_id": "m", "member_epoch": 0, "rebalance_timeout_ms": 60000,
                "subscribed_topic_names": [name], "topic_partitions": [], **change})
        for what, change in {
            "no group id": {"group_id": ""}, "no member id": {"member_id": ""}, "blank instance": {"instance_id": " "},
            "blank rack": {"rack_id": ""}, "no timeout": {"rebalance_timeout_ms": -1}, "no topics": {"subscribed_topic_names": None},
            "does not say what it owns": {"topic_partitions": None},
            "owns before it joins": {"topic_partitions": [{"topic_id": ids[name], "partitions": [0]}]},
            "unknown assignor": {"server_assignor": "sticky"}, "strange epoch": {"member_epoch": -3},
            "leaves before it joins": {"member_epoch": -1}, "static leave without a name": {"member_epoch": -2},
            "epoch of a stranger": {"member_epoch": 5},
        }.items():
            beat(what, **change)
        beat("joins")
        epoch = beat("joins again")["member_epoch"]
        beat("nothing new", member_epoch=epoch, subscribed_topic_names=None, topic_partitions=None, rebalance_timeout_ms=-1)
        owned = [{"topic_id": ids[name], "partitions": [0, 1]}]
        beat("owns all", member_epoch=epoch, topic_partitions=owned)
        beat("owns what is not there", member_epoch=epoch, topic_partitions=[{"topic_id": bytes(15) + b"x", "partitions": [0, 77]}])
        beat("epoch to come", member_epoch=epoch + 5)
        beat("stranger", member_id="x", member_epoch=epoch)
        beat("unknown instance", member_epoch=epoch, instance_id="i")
        described(recorder, f"one member {version}", group)
        commit(recorder, f"consumer {version}", group, name, 9, member_id="m", generation_id_or_member_epoch=epoch)
        commit(recorder, f"consumer {version}, stale", group, name, 9, member_id="m", generation_id_or_member_epoch=epoch - 1)
        commit(recorder, f"consumer {version}, to come", group, name, 9, member_id="m", generation_id_or_member_epoch=epoch + 1)
        commit(recorder, f"consumer {version}, stranger", group, name, 9, member_id="x", generation_id_or_member_epoch=epoch)
        commit(recorder, f"consumer {version}, old version", group, name, 8, member_id="m", generation_id_or_member_epoch=epoch)
        for what, member, of in (("right", "m", epoch), ("stale", "m", epoch - 1), ("stranger", "x", epoch), ("nobody", None, -1)):
            recorder.call(f"consumer {version}, {what}", schema.OFFSET_FETCH, 9, {"groups": [{
                "group_id": group, "member_id": member, "member_epoch": of, "topics": [{"name": name, "partition_indexes": [0]}]}]})
        recorder.call(f"{version}, to a group of the new protocol", schema.HEARTBEAT, 4, {
            "group_id": group, "generation_id": epoch, "member_id": "m"})
        beat("leaves", member_epoch=-1)
        described(recorder, f"empty {version}", group)
        static = {"instance_id": "i"}
        epoch = beat("static", **static)["member_epoch"]
        beat("static leaves for a while", member_epoch=-2, **static)
        beat("static comes back as another", member_id="n", **static)
        beat("static that was replaced", member_epoch=epoch, **static)
        described(recorder, f"static {version}", group)
        beat("static leaves", member_id="n", member_epoch=-1, **static)
        recorder.call(f"of the new protocol {version}", schema.DELETE_GROUPS, 2, {"groups_names": [group]})


def described(recorder, what, group):
    for version in range(2):
        recorder.call(what, schema.CONSUMER_GROUP_DESCRIBE, version, {"group_ids": [group]})
    recorder.call(what, schema.DESCRIBE_GROUPS, 6, {"groups": [group]})


SCRIPTS = [coordinators, classic_joins, classic_members, static_members, offsets, described_groups, consumer_groups]
