"""The cluster as a whole: its quorum, its nodes, all its topics, page by page."""

from harness import schema


def describe_quorum(recorder):
    """The one partition that has a quorum, and those that have none."""
    metadata = "__cluster_metadata"
    for version in range(3):
        for what, topics in {"right": [(metadata, [0])], "other partition": [(metadata, [1])], "negative": [(metadata, [-1])],
                             "partition twice": [(metadata, [0, 0])], "two partitions": [(metadata, [0, 1])],
                             "topic twice": [(metadata, [0]), (metadata, [0])], "other topic": [("t", [0])],
                             "two topics": [(metadata, [0]), ("t", [0])], "no name": [("", [0])],
                             "no partitions": [(metadata, [])], "nothing": []}.items():
            recorder.call(what, schema.DESCRIBE_QUORUM, version, {"topics": [
                {"topic_name": name, "partitions": [{"partition_index": index} for index in partitions]}
                for name, partitions in topics]})


def describe_cluster(recorder):
    """Every kind of endpoint, fenced brokers and operations, in every version."""
    for version in range(3):
        for kind in (0, 1, 2, 3, -1):
            for fenced in (False, True):
                for operations in (False, True):
                    recorder.call(f"type {kind}, fenced {fenced}, operations {operations}", schema.DESCRIBE_CLUSTER, version, {
                        "endpoint_type": kind, "include_fenced_brokers": fenced,
                        "include_cluster_authorized_operations": operations})


def topic_pages(recorder):
    """DescribeTopicPartitions with limits and cursors: a page is left and taken up again."""
    one, two = (recorder.create(f"paged-{number}", partitions=4) for number in (1, 2))
    unknown = recorder.name("paged-0")
    last = recorder.name("paged-9")

    def ask(what, names, limit=2000, cursor=None):
        return recorder.call(what, schema.DESCRIBE_TOPIC_PARTITIONS, 0, {
            "topics": [{"name": name} for name in names], "response_partition_limit": limit,
            "cursor": cursor and {"topic_name": cursor[0], "partition_index": cursor[1]}})
    for limit in (1, 3, 4, 5, 8, 9):
        ask(f"limit {limit}", [two, one], limit)
        ask(f"limit {limit}, with the unknown", [last, two, unknown, one], limit)
    for index in (0, 1, 3, 4, 9, -1):
        for limit in (1, 2, 2000):
            ask(f"from {index} of one, limit {limit}", [one, two], limit, (one, index))
    ask("from the last", [one, two], 2000, (two, 2))
    ask("from the unknown", [unknown, one], 2000, (unknown, 0))
    ask("from the unknown, partition 3", [unknown, one], 2000, (unknown, 3))
    ask("from what is not listed", [one], 2000, (two, 0))
    ask("from what is not there", [one, last], 2000, (last, 0))
    ask("from a bad name", [one, "a/b"], 2000, ("a/b", 0))
    ask("from no name", [one], 2000, ("", 0))
    ask("from no name, partition 2", [one], 2000, ("", 2))
    ask("limit of zero", [one], 0)
    ask("all from one", [], 6, (one, 2))
    ask("all from a name between", [], 3, (one + "x", 2))
    ask("all from behind the last", [], 3, ("~", 0))


def elect_all(recorder):
    """ElectLeaders for every partition, for none, for one twice."""
    name = recorder.create("elected", partitions=2)
    for version in range(3):
        for kind in (0, 1)[:2 if version else 1]:
            for what, topics in {"all": None, "nothing": [], "no partitions": [(name, [])], "twice": [(name, [0, 0]), (name, [0])],
                                 "negative": [(name, [-1])], "bad names": [("", [0]), ("a/b", [0])]}.items():
                recorder.call(f"type {kind}, {what}", schema.ELECT_LEADERS, version, {
                    "election_type": kind, "timeout_ms": 10000, "topic_partitions": topics and [
                        {"topic": topic, "partitions": partitions} for topic, partitions in topics]})


def list_reassignments(recorder):
    """ListPartitionReassignments of what is asked twice, not there, or nothing."""
    name, unknown = recorder.create("not-moving", partitions=2), recorder.name("unknown")
    for what, topics in {"nothing": [], "no partitions": [(name, [])], "twice": [(name, [0, 0]), (name, [1])],
                         "unknown": [(unknown, [0]), ("", [0]), ("a/b", [1])], "unknown partitions": [(name, [-1, 7])]}.items():
        recorder.call(what, schema.LIST_PARTITION_REASSIGNMENTS, 0, {"timeout_ms": 1000, "topics": [
            {"name": topic, "partition_indexes": partitions} for topic, partitions in topics]})


def list_groups_of_old(recorder):
    """ListGroups before it could filter, before any script has made a group."""
    for version in range(4):
        recorder.call("all", schema.LIST_GROUPS, version, {})


def authorized_operations(recorder):
    """What may be done, where it is asked for and where not: of the cluster, of topics, of groups."""
    name = recorder.create("permitted")
    for version in range(8, 14):
        for cluster in (False, True):
            for topic in (False, True):
                recorder.call(f"cluster {cluster}, topic {topic}", schema.METADATA, version, {
                    "topics": [{"name": name}, {"name": recorder.name("unknown")}],
                    "include_cluster_authorized_operations": cluster, "include_topic_authorized_operations": topic})
    for version in range(3, 7):
        recorder.call("of a group", schema.DESCRIBE_GROUPS, version, {
            "groups": [recorder.name("nobody")], "include_authorized_operations": True})
    for version in range(2):
        recorder.call("of a group", schema.CONSUMER_GROUP_DESCRIBE, version, {
            "group_ids": [recorder.name("nobody")], "include_authorized_operations": True})


def describe_user_scram_credentials(recorder):
    """Nobody has any."""
    known = recorder.name("user")
    for what, names in {"everybody": None, "named none": [], "unknown": [known], "twice": [known, known],
                        "two and twice": [known, "", "a", "a"], "strange": ["\u00e9 *"]}.items():
        users = None if names is None else [{"name": name} for name in names]
        recorder.call(what, schema.DESCRIBE_USER_SCRAM_CREDENTIALS, 0, {"users": users})


SCRIPTS = [list_groups_of_old, authorized_operations, describe_quorum, describe_cluster, describe_user_scram_credentials, topic_pages,
           elect_all, list_reassignments]
