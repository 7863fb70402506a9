"""Apache Kafka's own DumpLogSegments reads every file that the broker wrote, without a complaint."""

import re
import subprocess
from pathlib import Path

from harness import kcat, schema, session, tools, wire
from harness.corpus import corpus
from harness.group import wait_until
from harness.member import Member
from harness.suite import CODECS, Suite
from harness.traffic import committed

SUITE = Suite("dump-log", "Apache Kafka 4.1.2 DumpLogSegments")
SUITES = [SUITE]
COMPLAINT = re.compile(r"exception|mismatch|corrupt|error|invalid|not found|could not|isvalid: false|non-consecutive|"
                       r"found timestamp mismatch|out of order", re.IGNORECASE)
STATE = {}
# TransactionState.id.
ONGOING, COMPLETE_COMMIT, COMPLETE_ABORT = 1, 4, 5


def setup(context):
    """Data of every kind, in several segments, and a clean stop."""
    STATE.clear()
    STATE["class_path"] = tools.maven(tools.ROOT / "apache-kafka")
    broker = STATE["broker"] = context.own_broker()
    STATE["topics"] = {}
    path, _, lines = corpus(8)
    with wire.Connection(broker.bootstrap) as connection:
        for codec in CODECS:
            topic = context.topic(codec)
            session.create_topic(connection, topic, configs={"segment.bytes": str(2 << 20)})
            kcat.produce_file(broker.bootstrap, topic, path, codec, "-X", "batch.size=16384")
            assert session.offset_for(connection, topic, session.LATEST)[1] == lines
            STATE["topics"][topic] = lines
        groups(context, connection, broker)
        transactions(context, connection)
        delete = context.topic("deleted")
        session.create_topic(connection, delete, partitions=3)
        connection.call(session.schema.DELETE_TOPICS, 1, {"topic_names": [delete], "timeout_ms": 10000})
        quotas(context, connection)
    broker.stop()


def quotas(context, connection):
    """A quota that stays and one that is taken back."""
    for key, value, remove in [("producer_byte_rate", 5.0, False), ("request_percentage", 12.5, False), ("producer_byte_rate", 0.0, True)]:
        answer = connection.call(schema.ALTER_CLIENT_QUOTAS, 1, {"entries": [{
            "entity": [{"entity_type": "user", "entity_name": context.topic("user")}, {"entity_type": "client-id", "entity_name": None}],
            "ops": [{"key": key, "value": value, "remove": remove}]}]})
        session.ok("AlterClientQuotas", answer["entries"][0]["error_code"])


def groups(context, connection, broker):
    """A group of each kind that has committed."""
    topic, folder = context.topic("small"), tools.ROOT / "confluent-kafka"
    session.create_topic(connection, topic)
    session.ok("Produce", session.produce(connection, topic, session.one_batch())["error_code"])
    STATE["groups"] = {protocol: context.topic(f"{protocol}-group") for protocol in ("classic", "consumer")}
    for protocol, group in STATE["groups"].items():
        session.find_coordinator(connection, group)
        member = Member(group, [tools.python(folder), folder / "member.py"], {
            "MEMBER_BOOTSTRAP": broker.bootstrap, "MEMBER_TOPIC": topic, "MEMBER_GROUP": group,
            "MEMBER_PROTOCOL": protocol, "MEMBER_INSTANCE": "", "MEMBER_SESSION_MS": "45000",
            "MEMBER_HEARTBEAT_MS": "1000"}, lambda *_: None)
        try:
            wait_until(f"{group} has committed everything", lambda of=group: committed(
                connection, of, topic, [0]) == {0: 1})
            member.leave()
        finally:
            member.kill()


def transactions(context, connection):
    """A transaction of each version and each ending, and one that is still open."""
    topic = STATE["transactional"] = context.topic("transactional")
    session.create_topic(connection, topic)
    STATE["transactions"] = {}
    for name, version, committed_is in [("v1-committed", 1, True), ("v1-aborted", 1, False), ("v2-committed", 2, True),
                                        ("v2-aborted", 2, False), ("v2-open", 2, None)]:
        identity = context.topic(name)
        STATE["transactions"][name] = (identity, begin(connection, identity, topic, version))
        if committed_is is not None:
            _, (producer, epoch) = STATE["transactions"][name]
            ended = connection.call(schema.END_TXN, 3 if version == 1 else 5, {
                "transactional_id": identity, "producer_id": producer, "producer_epoch": epoch, "committed": committed_is})
            session.ok("EndTxn", ended["error_code"])


def begin(connection, identity, topic, version):
    """Opens a transaction with one record in it; its producer id and epoch."""
    find = {"key": identity, "key_type": 1, "coordinator_keys": [identity]}
    wait_until("there is a coordinator", lambda: connection.call(schema.FIND_COORDINATOR, 3, find)["error_code"] == 0)
    found = {}

    def has_id():
        found.update(connection.call(schema.INIT_PRODUCER_ID, 4, {
            "transactional_id": identity, "transaction_timeout_ms": 60000, "producer_id": -1, "producer_epoch": -1}))
        return found["error_code"] == 0
    wait_until(f"{identity} has a producer id", has_id)
    producer = (found["producer_id"], found["producer_epoch"])
    if version == 1:
        connection.call(schema.ADD_PARTITIONS_TO_TXN, 3, {
            "transactional_id": identity, "producer_id": producer[0], "producer_epoch": producer[1],
            "topics": [{"name": topic, "partitions": [0]}]})
    body = session.produce_body(topic, session.one_batch(attributes=16, producer=(*producer, 0)))
    answer = connection.call(schema.PRODUCE, 11 if version == 1 else 12, {**body, "transactional_id": identity})
    session.ok("Produce", answer["topics"][0]["partitions"][0]["error_code"])
    return producer


SUITE.prepare = setup


def dump(files, *extra):
    """The tool's output; its exit code and every word of complaint are errors."""
    arguments = [tools.java(), "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                 "-cp", STATE["class_path"], "kafka.tools.DumpLogSegments", *extra,
                 "--files", ",".join(str(file) for file in files)]
    done = subprocess.run(arguments, capture_output=True, text=True, errors="replace", check=False, timeout=300)
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-500:]}"
    assert not done.stderr.strip(), done.stderr[:500]
    # Payloads are the corpus's own words, so only the lines about batches and files are judged.
    for line in done.stdout.splitlines():
        if not line.startswith("| offset:") and COMPLAINT.search(line):
            raise AssertionError(line[:300])
    return done.stdout


def segments(suffix):
    """Files of all the topics' partitions."""
    found = sorted(file for topic in STATE["topics"] for file in (STATE["broker"].data / f"{topic}-0").glob(f"*{suffix}"))
    assert found, f"no {suffix} files"
    return found


def metadata_files(suffix):
    return sorted((STATE["broker"].data / "__cluster_metadata-0").glob(f"*{suffix}"))


@SUITE.case
def logs(_context):
    """Every batch of every segment is valid, offsets follow each other, nothing is missing."""
    for topic, lines in STATE["topics"].items():
        files = sorted((STATE["broker"].data / f"{topic}-0").glob("*.log"))
        assert len(files) > 1 or "none" not in topic, f"{topic} has only {len(files)} segment"
        batches = re.findall(r"^baseOffset: (\d+) lastOffset: (\d+) .*isvalid: true$", dump(files), re.MULTILINE)
        expected = 0
        for first, last in batches:
            assert int(first) == expected, f"{topic}: a batch starts at {first}, expected {expected}"
            expected = int(last) + 1
        assert expected == lines, f"{topic}: ends at {expected}, {lines} lines went in"
        assert sum(f.stat().st_size for f in files) == sum(
            int(size) for size in re.findall(r" size: (\d+) magic", dump(files))), f"{topic}: bytes after the last batch"


@SUITE.case
def records_inside_batches(_context):
    """Deep iteration: every record can be decompressed and has its offset."""
    for topic, lines in STATE["topics"].items():
        files = sorted((STATE["broker"].data / f"{topic}-0").glob("*.log"))
        found = dump(files, "--deep-iteration", "--skip-record-metadata")
        offsets = len(re.findall(r"^\| offset: \d+ ", found, re.MULTILINE))
        printed = dump([files[0]], "--print-data-log").count("\n| offset: ")
        assert printed > 0 and offsets in (0, lines), f"{topic}: {offsets} of {lines} records"


@SUITE.case
def offset_indexes(_context):
    """Each entry points at the batch with its offset."""
    dump(segments(".index"))
    sane = dump(segments(".index"), "--index-sanity-check")
    assert sane.count("passed sanity check") == len(segments(".index")), sane[-300:]


@SUITE.case
def time_indexes(_context):
    """Timestamps rise and each belongs to its offset."""
    dump(segments(".timeindex"))
    sane = dump(segments(".timeindex"), "--index-sanity-check")
    assert sane.count("passed sanity check") == len(segments(".timeindex")), sane[-300:]


@SUITE.case
def producer_snapshots(_context):
    """The producer state of the idempotent producers."""
    text = dump(segments(".snapshot"))
    assert text.count("producerId:") >= len(STATE["topics"]), text[-300:]


@SUITE.case
def metadata_log(context):
    """The cluster metadata log decodes, and has our topics' records."""
    files = metadata_files(".log")
    assert files, "no metadata log"
    text = dump(files, "--cluster-metadata-decoder")
    for topic in [*STATE["topics"], context.topic("deleted")]:
        assert f'"name":"{topic}"' in text, f"no record of topic {topic}"
    for kind in ("FEATURE_LEVEL_RECORD", "REGISTER_BROKER_RECORD", "TOPIC_RECORD", "PARTITION_RECORD",
                 "CONFIG_RECORD", "CLIENT_QUOTA_RECORD", "PRODUCER_IDS_RECORD", "REMOVE_TOPIC_RECORD", "LeaderChange"):
        assert kind in text, f"no {kind}"
    assert dump(metadata_files(".index"), "--index-sanity-check")


@SUITE.case
def metadata_snapshots(_context):
    """Every checkpoint of the metadata log, and bootstrap.checkpoint where there is one."""
    files = metadata_files(".checkpoint") + list(STATE["broker"].data.glob("bootstrap.checkpoint"))
    assert files, "no checkpoint"
    for file in files:
        text = dump([file], "--cluster-metadata-decoder")
        assert "SnapshotHeader" in text and "SnapshotFooter" in text, text[:300]


@SUITE.case
def group_records(context):
    """__consumer_offsets: every record decodes, and the groups' metadata, members and offsets are among them."""
    files = sorted(file for file in STATE["broker"].data.glob("__consumer_offsets-*/*.log") if file.stat().st_size)
    text = dump(files, "--offsets-decoder")
    records = [line for line in text.splitlines() if line.startswith("| offset: ")]
    assert records and all(' key: {"type":"' in line for line in records), text[:500]
    for group in STATE["groups"].values():
        last = [line for line in records if f'"group":"{group}"' in line and '"topic":' in line][-1]
        assert '"offset":1,' in last, last
    classic = [line for line in records if f'"group":"{STATE["groups"]["classic"]}"' in line]
    assert any('"protocolType":"consumer"' in line for line in classic), classic[:3]
    modern = [line for line in text.splitlines() if f'"groupId":"{STATE["groups"]["consumer"]}"' in line]
    kinds = {re.search(r'"type":"(\d+)"', line)[1] for line in modern}
    # Group and member metadata, target and current assignment of KIP-848.
    assert {"3", "5", "6", "7", "8"} <= kinds, kinds


@SUITE.case
def transaction_records(_context):
    """__transaction_state: every record decodes, and each transaction's last one says how it ended."""
    files = sorted(file for file in STATE["broker"].data.glob("__transaction_state-*/*.log") if file.stat().st_size)
    text = dump(files, "--transaction-log-decoder")
    records = [line for line in text.splitlines() if line.startswith("| offset: ")]
    assert records and all(' key: {"type":"0","data":' in line for line in records), text[:500]
    # Transactions of version 2 have tagged fields, which version 1 of the record brought.
    assert all(' payload: {"version":"1","data":' in line for line in records), records[:3]
    for name, (identity, (producer, _)) in STATE["transactions"].items():
        mine = [line for line in records if f'"transactionalId":"{identity}"' in line]
        status = int(re.search(r'"transactionStatus":(\d+)', mine[-1])[1])
        assert status == {"open": ONGOING, "committed": COMPLETE_COMMIT, "aborted": COMPLETE_ABORT}[name[3:]], mine[-1]
        assert f'"producerId":{producer},' in mine[-1], mine[-1]
        assert any(f'"topic":"{STATE["transactional"]}","partitionIds":[0]' in line for line in mine), mine


@SUITE.case
def transactions_in_logs(_context):
    """Markers, the index of aborted transactions, and the open one in the snapshot of producers."""
    folder = STATE["broker"].data / f"{STATE['transactional']}-0"
    text = dump(sorted(folder.glob("*.log")))
    assert text.count("isTransactional: true isControl: true") == 4, text
    aborted = dump(sorted(folder.glob("*.txnindex")))
    open_since = dump(sorted(folder.glob("*.snapshot"))[-1:])
    for name, (_, (producer, _)) in STATE["transactions"].items():
        assert (f"producerId: {producer} " in aborted) == ("aborted" in name), aborted
        mine = next(line for line in open_since.splitlines() if f"producerId: {producer} " in line)
        assert ("currentTxnFirstOffset: OptionalLong.empty" in mine) == ("open" not in name), mine


@SUITE.case
def small_files(_context):
    """The text files that Apache Kafka writes beside the logs are there, with their fields."""
    data = STATE["broker"].data
    properties = (data / "meta.properties").read_text()
    for key in ("version=1", "cluster.id=", "node.id=", "directory.id="):
        assert key in properties, f"meta.properties has no {key}"
    for topic in STATE["topics"]:
        assert "topic_id: " in (data / f"{topic}-0/partition.metadata").read_text()
        version, count, *entries = (data / f"{topic}-0/leader-epoch-checkpoint").read_text().split("\n")
        assert version == "0" and int(count) >= 1 and entries[0].endswith(" 0"), entries
    for name in ("recovery-point-offset-checkpoint", "log-start-offset-checkpoint"):
        text = (data / name).read_text().split("\n")
        assert text[0] == "0" and int(text[1]) == len([t for t in text[2:] if t]), f"{name}: {text[:3]}"
    assert Path(data / "__cluster_metadata-0/quorum-state").read_text().startswith("{")


@SUITE.case
def our_own_dump(_context):
    """`ottla log dump` prints what Apache Kafka's tool prints, line by line, and `ottla log verify` finds nothing wrong."""
    broker = STATE["broker"]
    for suffix in (".log", ".index", ".timeindex", ".snapshot"):
        files = segments(suffix)
        ours = subprocess.run([broker.binary, "log", "dump", *files], capture_output=True, text=True, check=False)
        assert ours.returncode == 0, ours.stderr[:500]
        for line, (kafka, own) in enumerate(zip(dump(files).splitlines(), ours.stdout.splitlines(), strict=True)):
            assert kafka == own, f"{suffix}, line {line}: {own} where Kafka's is {kafka}"
    checked = subprocess.run([broker.binary, "log", "verify", broker.data], capture_output=True, text=True, check=False)
    # Deleted topics wait for `file.delete.delay.ms`; nothing else is worth a word.
    warnings = [line for line in checked.stdout.splitlines() if line.startswith("warning: ")]
    unexpected = [line for line in warnings if not line.endswith("-delete: a deleted log, not yet removed")]
    assert checked.returncode == 0 and ": 0 errors, " in checked.stdout, checked.stdout[-500:]
    assert not unexpected, unexpected[:5]
