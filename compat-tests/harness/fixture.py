"""The records that every client program produces and must read back unchanged.

The file is a JSON list of `{"key", "value", "headers", "timestamp"}`; key, value and header values are
base64 or null, `headers` is a list of `[name, value]` pairs (names may repeat, order counts).
"""

import base64
import json
import random
import time

COUNT = 300
SEED = 20240229


def write(path):
    """Writes the fixture."""
    path.write_text(json.dumps(records()))


def records(now_ms=None):
    """The records: the awkward ones first, then random ones of many sizes."""
    now_ms = now_ms or int(time.time() * 1000)
    rng = random.Random(SEED)
    awkward = [
        (None, b"null key", []),
        (b"", b"empty key", []),
        (b"null value", None, []),
        (b"empty value", b"", []),
        (None, None, []),
        (b"", b"", []),
        (b"headers", b"duplicate keys, in order", [("a", b"1"), ("b", b"2"), ("a", b"3"), ("a", b"1")]),
        (b"headers", b"empty value", [("empty", b"")]),
        (b"headers", b"null value", [("null", None)]),
        (b"headers", b"binary value", [("bin", bytes(range(256)))]),
        (b"headers", b"unicode name", [("clé-ключ-鍵", "värde".encode())]),
        (bytes(range(256)), bytes(reversed(range(256))), []),
        ("ключ".encode(), "значение\n\0\r".encode(), []),
        (b"big", b"x" * 200_000, []),
        (b"random", rng.randbytes(100_000), []),
    ]
    rows = awkward + [random_record(rng, i) for i in range(COUNT - len(awkward))]
    # Times rise by 10 ms in pairs: two records share each, as real ones do.
    start = now_ms - 60_000
    return [{
        "key": encode(key), "value": encode(value),
        "headers": [[name, encode(content)] for name, content in headers],
        "timestamp": start + index // 2 * 10,
    } for index, (key, value, headers) in enumerate(rows)]


def random_record(rng, index):
    """A record of a size between nothing and 4 KiB, half compressible, half not."""
    size = int(rng.paretovariate(0.7) * 16) % 4096
    value = rng.randbytes(size) if index % 2 else (b"line %d of text; " % index * 300)[:size]
    headers = [(f"h{i}", rng.randbytes(8)) for i in range(index % 4)]
    return b"key-%d" % (index % 37), value, headers


def encode(data):
    return None if data is None else base64.b64encode(data).decode()
