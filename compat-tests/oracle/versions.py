"""Versions that are not served, APIs that do not exist, requests that end too soon, requests that ask for nothing."""

from harness import schema

LIMITS = (-1, 99, 2**15 - 1)


def unknown_versions(recorder):
    """The connection is closed; ApiVersions alone answers, in version 0, with UNSUPPORTED_VERSION and what there is."""
    for api in schema.APIS:
        for version in LIMITS:
            if api is schema.API_VERSIONS:
                recorder.call("unknown", api, version, {}, answered_in=0)
            else:
                recorder.call("unknown", api, version, {})
    recorder.call("next", schema.API_VERSIONS, 5, {}, answered_in=0)


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


def cut_short(recorder):
    """A header alone, in each version of each API."""
    for api in schema.APIS:
        bare = schema.Api(api.name, api.key, api.flexible, [], [])
        for version in (one for one in range(20) if recorder.serves(api, one)):
            if bare.request != api.request:
                recorder.call("header alone", bare, version, {})


SCRIPTS = [unknown_versions, unknown_apis, produce_of_old]
