"""What tells of transactions, and what brokers say to each other about them; reads at both isolation levels."""

import itertools

from harness import schema, session
from harness.transactional import Transactional, find_group


def list_transactions(recorder):
    """Filters by state, producer, age and name, in every version. No script before this one leaves a transaction."""
    topic = recorder.create("listed-transactional")
    ones = {}
    for name, version in {"empty": None, "open": None, "committed": True, "aborted": False}.items():
        one = ones[name] = Transactional(recorder, f"listed-{name}", 4)
        one.init(f"{name} begins", 4)
        if name != "empty":
            one.add(f"{name} adds", (topic, [0]))
        if version is not None:
            one.end(f"{name} ends", version)
    prefix = recorder.name("listed")
    states = (["Ongoing"], ["ongoing"], ["Empty", "CompleteCommit"], ["CompleteAbort"], ["Dead"], ["PrepareEpochFence"],
              ["PrepareCommit", "PrepareAbort"], ["nonsense"], ["Ongoing", "nonsense", ""], ["Ongoing", "Ongoing"])
    patterns = (None, "", prefix, f"{prefix}.*", f"{prefix}-(open|empty)", ".*-open", "listed", "[", "(?i).*LISTED-OPEN", "\\Q.\\E", "a{2,1}")
    for version in range(3):
        def ask(what, version=version, **filters):
            recorder.call(what, schema.LIST_TRANSACTIONS, version, {
                "state_filters": [], "producer_id_filters": [], "duration_filter": -1, "transactional_id_pattern": None, **filters})
        ask("all")
        for some in states:
            ask(f"states {some}", state_filters=some)
        ask("by producer", producer_id_filters=[ones["open"].producer, ones["empty"].producer])
        ask("by an unknown producer", producer_id_filters=[2**40, -1])
        ask("by producer and state", producer_id_filters=[ones["open"].producer], state_filters=["Empty"])
        for age in (-5, 0, 3_600_000) if version else ():
            ask(f"older than {age}", duration_filter=age)
        for pattern in patterns if version >= 2 else ():
            ask(f"called {pattern!r}", transactional_id_pattern=pattern)
    for what, ids in {"all": [one.id for one in ones.values()], "twice": [ones["open"].id] * 2, "none": [],
                      "unknown": [recorder.name("nobody"), ""]}.items():
        recorder.call(f"described, {what}", schema.DESCRIBE_TRANSACTIONS, 0, {"transactional_ids": ids})
    ones["open"].end("the open one ends", False)


def describe_producers(recorder):
    """Producers with and without transactions, before and after their end; what is not there."""
    topic, unknown = recorder.create("producers", partitions=2), recorder.name("unknown")

    def describe(what, *topics):
        recorder.call(what, schema.DESCRIBE_PRODUCERS, 0, {
            "topics": [{"name": name, "partition_indexes": partitions} for name, partitions in topics]})
    describe("nobody", (topic, [0, 1]))
    one = Transactional(recorder, "producer", 4)
    one.init("begins", 4)
    one.add("adds", (topic, [0]))
    describe("added, nothing written", (topic, [0]))
    one.write("writes", topic, 9)
    one.write("writes again", topic, 9)
    describe("open", (topic, [0, 1]))
    one.end("commits", True)
    describe("committed", (topic, [0]))
    one.add("adds once more", (topic, [0]))
    one.write("writes once more", topic, 9)
    one.init("is replaced", 4)
    describe("replaced", (topic, [0]))
    describe("the same twice", (topic, [0, 0]), (topic, [0]))
    describe("unknown partitions", (topic, [2, -1, 0]))
    describe("unknown topics", (unknown, [0]), ("", [0]), ("a/b", [0]), (topic, [1]))
    describe("internal", ("__transaction_state", [0]), ("__cluster_metadata", [0]))
    describe("no partitions", (topic, []))
    describe("nothing")


def batched_additions(recorder):
    """AddPartitionsToTxn as brokers send it: several transactions, added or only verified."""
    topic, unknown = recorder.create("batched", partitions=2), recorder.name("unknown")
    for version in (4, 5):
        one, other = (Transactional(recorder, f"batched-{version}-{number}", 4) for number in (1, 2))
        one.init(f"{version}, one begins", 4)
        other.init(f"{version}, other begins", 4)

        def entry(whose, *topics, verify=False, off=0, **change):
            return {**whose.named(off), "verify_only": verify, **change,
                    "topics": [{"name": name, "partitions": partitions} for name, partitions in topics]}

        def add(what, *transactions, version=version):
            recorder.call(what, schema.ADD_PARTITIONS_TO_TXN, version, {"transactions": list(transactions)})
        add("verify before", entry(one, (topic, [0, 1]), verify=True))
        add("verify the unknown", entry(one, (unknown, [0]), (topic, [0, 9]), verify=True))
        add("unknown topic", entry(one, (unknown, [0]), (topic, [0])))
        add("unknown partition", entry(one, (topic, [0, 9, -1])))
        add("bad name", entry(one, ("a/b", [0]), ("", [0])))
        add("internal", entry(one, ("__transaction_state", [0]), (topic, [1])))
        add("both", entry(one, (topic, [0])), entry(other, (topic, [1])))
        add("verify", entry(one, (topic, [0, 1]), verify=True), entry(other, (topic, [0, 1]), verify=True))
        add("one good, one bad", entry(one, (topic, [1])), entry(other, (topic, [0]), off=1))
        add("old epoch", entry(one, (topic, [0]), off=-1), entry(other, (topic, [1]), off=-1, verify=True))
        add("other producer", entry(one, (topic, [0]), producer_id=one.producer + 1000))
        add("other producer, verify", entry(one, (topic, [0]), producer_id=one.producer + 1000, verify=True))
        add("nobody", entry(one, (topic, [0]), transactional_id=recorder.name("nobody")))
        add("nobody, verify", entry(one, (topic, [0]), transactional_id=recorder.name("nobody"), verify=True))
        add("no id", entry(one, (topic, [0]), transactional_id=""))
        add("no id, verify", entry(one, (topic, [0]), transactional_id="", verify=True))
        add("no partitions", entry(one, (topic, [])))
        add("no topics", entry(one), entry(other, verify=True))
        # No transaction at all is left out: Apache Kafka never answers that.
        one.end(f"{version}, one commits", True)
        other.end(f"{version}, other aborts", False)
        add("verify afterwards", entry(one, (topic, [0]), verify=True), entry(other, (topic, [1]), verify=True))


def write_txn_markers(recorder):
    """Markers for open transactions and for none, from old and new coordinators, for what is not there."""
    topic, unknown = recorder.create("marked", partitions=2), recorder.name("unknown")
    one = Transactional(recorder, "marked", 4)
    one.init("begins", 4)
    one.init("has its second epoch", 4)
    one.add("adds", (topic, [0]))
    one.write("writes", topic, 9)

    def mark(what, *markers):
        recorder.call(what, schema.WRITE_TXN_MARKERS, 1, {"markers": [
            {"producer_id": one.producer + other, "producer_epoch": one.epoch + off, "transaction_result": result,
             "coordinator_epoch": coordinator, "topics": [
                {"name": name, "partition_indexes": partitions} for name, partitions in topics]}
            for other, off, result, coordinator, *topics in markers]})
    mark("old producer epoch", (0, -1, True, 5, (topic, [0])))
    mark("negative producer epoch", (0, -1 - one.epoch, True, 5, (topic, [0])))
    mark("unknown producer", (1000, 0, True, 5, (topic, [0])))
    mark("unknown partitions", (0, 0, True, 5, (topic, [9, -1]), (unknown, [0]), ("", [0])))
    mark("aborts", (0, 0, False, 5, (topic, [0])))
    mark("aborts again", (0, 0, False, 5, (topic, [0])))
    mark("older coordinator", (0, 0, True, 4, (topic, [0])))
    mark("newer coordinator", (0, 0, True, 6, (topic, [0])))
    mark("later producer epoch", (0, 1, True, 6, (topic, [0])))
    mark("where nothing was written", (0, 0, True, 5, (topic, [1])))
    mark("several", (0, 1, True, 6, (topic, [0, 1])), (1000, 0, False, 6, (topic, [1])))
    mark("no partitions", (0, 1, True, 6, (topic, [])))
    mark("no topics", (0, 1, True, 6))
    mark("nothing")
    recorder.call("what is in the log", schema.LIST_OFFSETS, 5, {"replica_id": -1, "topics": [
        {"name": topic, "partitions": [{"index": index, "current_leader_epoch": -1, "timestamp": -1} for index in (0, 1)]}]})


def isolation(recorder):
    """What is read while a transaction is open and after it was aborted, in every version of Fetch and ListOffsets."""
    topic, group = recorder.create("isolated"), recorder.name("isolated")
    find_group(recorder, group)
    topic_id = recorder.connection.call(schema.METADATA, 12, {"topics": [{"name": topic}]})["topics"][0]["topic_id"]
    one = Transactional(recorder, "isolated", 4)
    one.init("begins", 4)
    for committed, state in ((False, "aborted"), (True, "committed")):
        one.add(f"adds, to be {state}", (topic, [0]))
        one.write(f"writes, to be {state}", topic, 9)
        one.add_offsets(f"adds offsets, to be {state}", group, 3)
        one.commit_offset(f"offset, to be {state}", group, topic, 4)
        read_all(recorder, f"before {state}", topic, topic_id, group)
        one.end(f"is {state}", committed)
        read_all(recorder, state, topic, topic_id, group)


def read_all(recorder, when, topic, topic_id, group):
    for level in (0, 1):
        for version in range(4, 19):
            for offset in (0, 1, 2):
                body = session.fetch_body(topic, offset, version, max_wait_ms=1, isolation_level=level)
                body["topics"][0]["topic_id"] = topic_id
                recorder.call(f"{when}, level {level}, from {offset}", schema.FETCH, version, body)
        for version in range(2, 12):
            for at in (-1, -2, -3, 0):
                recorder.call(f"{when}, level {level}, time {at}", schema.LIST_OFFSETS, version, {
                    "replica_id": -1, "isolation_level": level, "timeout_ms": 1000, "topics": [{"name": topic, "partitions": [
                        {"index": 0, "current_leader_epoch": -1, "timestamp": at}]}]})
    for version in (7, 8, 9):
        for stable in (False, True):
            wanted = [{"name": topic, "partition_indexes": [0]}]
            recorder.call(f"{when}, stable {stable}", schema.OFFSET_FETCH, version, {
                "group_id": group, "topics": wanted, "require_stable": stable,
                "groups": [{"group_id": group, "member_epoch": -1, "topics": wanted}]})


def offsets_in_transactions(recorder):
    """AddOffsetsToTxn and TxnOffsetCommit: groups, members, generations, topics and epochs, good and bad, in every version."""
    topic, unknown, group = recorder.create("offset-transactional"), recorder.name("unknown"), recorder.name("offsets")
    find_group(recorder, group)
    for version in range(6):
        one = Transactional(recorder, f"offsets-{version}", 4)
        one.init(f"{version} begins", 4)

        def add(what, group_id=group, off=0, one=one, version=version, **change):
            recorder.call(f"{version} {what}", schema.ADD_OFFSETS_TO_TXN, min(version, 4), {**one.named(off), "group_id": group_id, **change})

        def commit(what, *partitions, off=0, one=one, version=version, **change):
            """`partitions`: topic, index, offset and metadata of each, those of a topic beside each other."""
            topics = itertools.groupby(partitions or [(topic, 0, 5, "m")], key=lambda partition: partition[0])
            body = {**one.named(off), "group_id": group, "generation_id": -1, "member_id": "", "group_instance_id": None,
                    "topics": [{"name": name, "partitions": [
                        {"index": index, "offset": offset, "leader_epoch": -1, "metadata": metadata}
                        for _, index, offset, metadata in those]} for name, those in topics]}
            recorder.call(what, schema.TXN_OFFSET_COMMIT, version, {**body, **change})
        commit("before the group is added")
        add("no group", group_id="")
        add("old epoch", off=-1)
        add("later epoch", off=1)
        add("other producer", producer_id=one.producer + 1000)
        add("nobody", transactional_id=recorder.name("nobody"))
        add("no id", transactional_id="")
        add("well")
        add("again")
        commit("well")
        commit("no metadata", (topic, 0, 6, None))
        commit("large metadata", (topic, 0, 6, "x" * 4097))
        commit("negative offset", (topic, 0, -3, "m"))
        commit("unknown partition", (topic, 7, 6, "m"), (topic, -1, 6, "m"))
        commit("unknown topic", (unknown, 0, 6, "m"), (topic, 0, 7, "m"))
        commit("nothing", topics=[])
        commit("no group", group_id="")
        commit("no id", transactional_id="")
        commit("another id", transactional_id=recorder.name("nobody"))
        commit("later epoch", off=1)
        commit("other producer", producer_id=one.producer + 1000)
        if version >= 3:
            commit("stranger", member_id="nobody", generation_id=1)
            commit("generation without a member", generation_id=3)
            commit("member without a generation", member_id="nobody")
            commit("unknown instance", member_id="nobody", generation_id=1, group_instance_id="i")
        one.end(f"{version} commits", True)
        for stable in (False, True):
            recorder.call(f"{version}, stable {stable}", schema.OFFSET_FETCH, 7, {"group_id": group, "require_stable": stable, "topics": None})
        add("after the end")
        one.end(f"{version} aborts", False)


SCRIPTS = [list_transactions, describe_producers, batched_additions, write_txn_markers, isolation, offsets_in_transactions]
