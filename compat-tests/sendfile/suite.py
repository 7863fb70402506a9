"""A system-call trace of a consume run: record bytes leave by sendfile and by nothing else.

strace follows every thread of the broker while kcat reads a whole partition. The broker may read what
it needs to find a position (batch headers, index entries): at most one percent of the record bytes.
"""

import re
import subprocess
from dataclasses import dataclass, field

from harness import kcat, session, tools, wire
from harness.corpus import corpus
from harness.suite import Suite

SUITE = Suite("sendfile", "strace")
SUITES = [SUITE]
# Calls that could carry record bytes; io_uring_enter would hide them from the trace, so it must not occur.
CALLS = ["sendfile", "splice", "tee", "vmsplice", "copy_file_range", "mmap",
         "read", "pread64", "readv", "preadv", "preadv2",
         "write", "pwrite64", "writev", "sendto", "sendmsg", "sendmmsg", "io_uring_enter", "io_submit"]
READS = {"read", "pread64", "readv", "preadv", "preadv2"}
SENDS = {"write", "writev", "sendto", "sendmsg", "sendmmsg"}
LINE = re.compile(r"^(?:\d+\s+)?(\w+)\((.*)\)\s+=\s+(0x[0-9a-f]+|-?\d+)")
UNFINISHED = re.compile(r"^(\d+)\s+(.*) <unfinished \.\.\.>$")
RESUMED = re.compile(r"^(\d+)\s+<\.\.\. \w+ resumed>(.*)$")
TRACE_MIB = 32


@dataclass
class Traffic:
    """Bytes by way, and calls that must not be there."""

    sendfile: int = 0
    log_reads: int = 0
    socket_sends: int = 0
    largest_send: int = 0
    forbidden: list = field(default_factory=list)


def whole_calls(lines):
    """The trace's calls; one that was interrupted by another thread's is put together again."""
    halves = {}
    for line in lines:
        if start := UNFINISHED.match(line):
            halves[start[1]] = start[2]
        elif end := RESUMED.match(line):
            yield halves.pop(end[1], "") + end[2]
        else:
            yield line


def measure(lines):
    """Adds up a trace (`strace -f -yy`: every descriptor with its path or address)."""
    traffic = Traffic()
    for line in whole_calls(lines):
        found = LINE.match(line)
        if not found:
            continue
        call, arguments, result = found[1], found[2], int(found[3], 0)
        if result <= 0 and call != "io_uring_enter":
            continue
        first = arguments.split(", ")[0]
        if call == "sendfile" and ".log>" in arguments and "TCP" in first:
            traffic.sendfile += result
        elif call in READS and ".log>" in first:
            traffic.log_reads += result
        elif call in SENDS and "TCP" in first:
            traffic.socket_sends += result
            traffic.largest_send = max(traffic.largest_send, result)
        elif call in ("io_uring_enter", "io_submit", "splice", "tee", "vmsplice", "copy_file_range"):
            traffic.forbidden.append(line[:120])
        elif call == "mmap" and ".log>" in arguments:
            traffic.forbidden.append(line[:120])
    return traffic


def traced(broker, action, output):
    """What `action` makes the broker do."""
    tracer = subprocess.Popen(
        [tools.program("strace", "strace"), "-f", "-yy", "-s", "0", "-e", f"trace={','.join(CALLS)}",
         "-o", output, "-p", str(broker.process.pid)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        attached = tracer.stderr.readline().decode()
        assert "attached" in attached, f"strace could not attach: {attached}"
        action()
    finally:
        tracer.terminate()
        tracer.wait()
        tracer.stderr.close()
    return measure(output.read_text(errors="replace").splitlines())


def consume_traced(context, codec, *extra):
    broker = context.own_broker()
    path, digest, _ = corpus(TRACE_MIB)
    topic = context.topic(f"trace-{codec}")
    with wire.Connection(broker.bootstrap) as connection:
        session.create_topic(connection, topic)
    kcat.produce_file(broker.bootstrap, topic, path, codec)
    stored = sum(f.stat().st_size for f in (broker.data / f"{topic}-0").glob("*.log"))
    found = {}
    traffic = traced(broker, lambda: found.update(zip(("digest", "size"), kcat.consume_digest(
        broker.bootstrap, topic, *extra))), context.temp() / "trace")
    context.note(f"{codec}: {stored} bytes stored, {traffic}")
    assert found["digest"] == digest, "the consumer got other bytes"
    assert not traffic.forbidden, f"record bytes may have left another way: {traffic.forbidden[:3]}"
    assert traffic.sendfile >= stored, f"{traffic.sendfile} bytes by sendfile, {stored} stored"
    assert traffic.log_reads <= stored // 100, f"{traffic.log_reads} bytes of {stored} were read from .log files"
    # The answers' frames are not records; the largest of them is far below a batch.
    assert traffic.socket_sends <= stored // 50, f"{traffic.socket_sends} bytes were copied to sockets"
    assert traffic.largest_send <= 4096, f"one send copied {traffic.largest_send} bytes"


@SUITE.case
def measure_sees_what_is_wrong(_context):
    """The parser itself: a trace with each kind of copy is counted as such."""
    traffic = measure([
        "12 sendfile(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, 11</d/t-0/0.log>, [0] => [5], 10) = 5",
        "12 pread64(11</d/t-0/0.log>, \"\"..., 61, 0) = 61",
        "13 sendto(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, \"\"..., 70, MSG_NOSIGNAL, NULL, 0 <unfinished ...>",
        "12 pread64(11</d/t-0/0.log>, ",
        "13 <... sendto resumed>) = 70",
        "12 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 11</d/t-0/0.log>, 0) = 0x7f0000000000",
        "12 read(11</d/t-0/0.index>, \"\", 8) = 8",
        "12 sendfile(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, 11</d/t-0/0.log>, [0], 10) = -1 EAGAIN (x)",
    ])
    expected = Traffic(5, 61, 70, 70, ["12 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 11</d/t-0/0.log>, 0) = 0x7f0000000000"])
    assert traffic == expected, traffic


@SUITE.case
def uncompressed(context):
    """read_committed, kcat's default."""
    consume_traced(context, "none")


@SUITE.case
def lz4(context):
    """Compressed batches pass through as they are."""
    consume_traced(context, "lz4")


@SUITE.case
def read_uncommitted(context):
    """The other isolation level."""
    consume_traced(context, "none", "-X", "isolation.level=read_uncommitted")
