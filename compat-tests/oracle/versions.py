"""Versions that are not served, APIs that do not exist, requests that end too soon, requests that ask for nothing."""

from harness import schema, wire

LIMITS = (-1, 99, 2**15 - 1)
# What Ottla serves for old clients and Apache Kafka does not; other scripts ask for it.
OLDER = {(schema.OFFSET_COMMIT.key, 1), (schema.DESCRIBE_CONFIGS.key, 0)}


def unknown_versions(recorder):
    """The connection is closed; ApiVersions alone answers, in version 0, with UNSUPPORTED_VERSION and what there is."""
    for api in schema.APIS:
        for version in LIMITS:
            if api is schema.API_VERSIONS:
                recorder.call("unknown", api, version, {}, answered_in=0)
            else:
                recorder.call("unknown", api, version, {})
    recorder.call("next", schema.API_VERSIONS, 5, {}, answered_in=0)


def removed_versions(recorder):
    """Versions older than the oldest that is served (KIP-896) are closed upon."""
    for api in schema.APIS:
        for version in range(min(recorder.common.get(api.key, [0]))):
            if (api.key, version) not in OLDER:
                recorder.call("removed", api, version, {})


def unknown_apis(recorder):
    """Keys of no API, and of APIs that only controllers serve."""
    for key in (-1, 4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 999, 2**15 - 1):
        recorder.call("unknown", schema.Api(f"Key {key}", key, schema.NEVER, [], []), 0, {})


def produce_of_old(recorder):
    """Versions that are announced so that librdkafka goes on, and closed upon (KIP-896)."""
    name = recorder.create("of-old")
    for version in range(3):
        recorder.call("announced", schema.PRODUCE, version, {"acks": -1, "timeout_ms": 1000, "topics": [
            {"name": name, "partitions": [{"index": 0, "records": b""}]}]})


# Not asked: Produce, where acks=0 is no answer; AddPartitionsToTxn without a transaction, which Apache Kafka never answers;
# what lists things of other scripts that move on (Apache Kafka also lists groups that have lost their last config);
# ApiVersions, which has a script of its own.
UNSUITED = {api.key for api in (schema.PRODUCE, schema.ADD_PARTITIONS_TO_TXN, schema.LIST_TRANSACTIONS, schema.LIST_GROUPS,
                                schema.LIST_CONFIG_RESOURCES, schema.API_VERSIONS)}


def nothing_said(recorder):
    """Every field holds nothing: zero, an empty string or list, null where it may be; in every version of every API."""
    for api in schema.APIS:
        for version in recorder.common.get(api.key, ()):
            if api.key not in UNSUITED:
                recorder.call("nothing said", api, version, {})


def cut_short(recorder):
    """The body is not there, or lacks its last byte; in the newest version of every API."""
    for api in schema.APIS:
        for version in recorder.common.get(api.key, ())[-1:]:
            whole = wire.body_bytes(api, version, {})
            for what, body in {"no body": b"", "without its end": whole[:-1]}.items():
                if len(body) < len(whole):
                    recorder.call(what, api, version, body)


def what_is_left(recorder):
    """After all scripts: every topic with its partitions, and the configs of each."""
    for version, topics in ((0, []), (1, None), (12, None), (13, None)):
        answer = recorder.call("all topics", schema.METADATA, version, {"topics": topics})
    names = sorted(topic["name"] for topic in answer["topics"] if not topic["is_internal"])
    recorder.call("configs of all topics", schema.DESCRIBE_CONFIGS, 4, {"include_synonyms": True, "resources": [
        {"resource_type": 2, "resource_name": name, "configuration_keys": None} for name in names]})


# What they say says too little of a version to count as its test.
nothing_said.counts = cut_short.counts = False
SCRIPTS = [unknown_versions, removed_versions, unknown_apis, produce_of_old, nothing_said, cut_short, what_is_left]
