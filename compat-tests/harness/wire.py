"""A small raw Kafka client: encodes and decodes by `schema`, one blocking socket, no retries.

It exists to send exactly one chosen version of a request, or a broken one, which no real client does.
"""

import itertools
import socket
import struct

from . import schema

FIXED = {"int8": ">b", "uint16": ">H", "int16": ">h", "int32": ">i", "int64": ">q", "float64": ">d", "bool": ">?"}
NO_UUID = bytes(16)
# ApiVersions answers carry header version 0 whatever their body's version (KIP-511).
HEADER_V0_ALWAYS = {schema.API_VERSIONS.key}


class Closed(Exception):
    """The broker closed or reset the connection."""


def fields_of(layout, version):
    """The fields of `layout` that exist in `version`."""
    for name, kind, *span in layout:
        first, last = (list(span) + [0, schema.NEVER][len(span):])[:2]
        if first <= version <= last:
            yield name, kind


def uvarint(value):
    """An unsigned LEB128 number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Writer:
    """Encodes one structure of one version."""

    def __init__(self, version, flexible):
        self.version, self.flexible, self.out = version, flexible, bytearray()

    def length(self, value, fmt):
        """A length before its content; None is the null length."""
        if self.flexible:
            self.out += uvarint(0 if value is None else value + 1)
        else:
            self.out += struct.pack(fmt, -1 if value is None else value)

    def structure(self, layout, value):
        tagged = []
        for name, kind in fields_of(layout, self.version):
            if not isinstance(kind, schema.Tagged):
                self.value(kind, value.get(name, default(kind)))
            elif name in value:
                tagged.append((kind, value[name]))
        if self.flexible:
            self.out += uvarint(len(tagged))
        for kind, content in tagged:
            inner = Writer(self.version, True)
            inner.value(kind.kind, content)
            self.out += uvarint(kind.tag) + uvarint(len(inner.out)) + inner.out

    def value(self, kind, value):
        if isinstance(kind, schema.Structure):
            if kind.is_nullable:
                self.out += struct.pack(">b", -1 if value is None else 1)
            if value is not None:
                self.structure(kind.layout, value)
        elif isinstance(kind, list):
            self.length(None if value is None else len(value), ">i")
            for item in value or ():
                self.structure(kind, item)
        elif kind.endswith("_array"):
            self.length(None if value is None else len(value), ">i")
            for item in value or ():
                self.value(kind.removesuffix("_array"), item)
        elif kind in FIXED:
            self.out += struct.pack(FIXED[kind], value)
        elif kind == "uuid":
            self.out += value
        elif kind in ("string", "nullable_string"):
            raw = None if value is None else value.encode()
            self.length(None if raw is None else len(raw), ">h")
            self.out += raw or b""
        else:
            self.length(None if value is None else len(value), ">i")
            self.out += value or b""


class Reader:
    """Decodes one structure of one version; a short or overlong answer is an error."""

    def __init__(self, data, version, flexible):
        self.data, self.at, self.version, self.flexible = data, 0, version, flexible

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise ValueError(f"answer ends {self.at + count - len(self.data)} bytes early")
        self.at += count
        return bytes(self.data[self.at - count:self.at])

    def number(self, fmt):
        return struct.unpack(fmt, self.take(struct.calcsize(fmt)))[0]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def length(self, fmt):
        """A length, or None for null."""
        size = self.uvarint() - 1 if self.flexible else self.number(fmt)
        return None if size == -1 else size

    def tags(self):
        """The tagged fields that are there, undecoded."""
        return {self.uvarint(): self.take(self.uvarint()) for _ in range(self.uvarint())}

    def structure(self, layout):
        fields = list(fields_of(layout, self.version))
        value = {name: self.value(kind) for name, kind in fields if not isinstance(kind, schema.Tagged)}
        there = self.tags() if self.flexible else {}
        for name, kind in fields:
            if isinstance(kind, schema.Tagged) and kind.tag in there:
                value[name] = Reader(there.pop(kind.tag), self.version, True).value(kind.kind)
        value.update({f"tag {tag}": content.hex() for tag, content in there.items()})
        return value

    def value(self, kind):
        if isinstance(kind, schema.Structure):
            is_null = kind.is_nullable and self.number(">b") < 0
            return None if is_null else self.structure(kind.layout)
        if isinstance(kind, list):
            count = self.length(">i")
            return None if count is None else [self.structure(kind) for _ in range(count)]
        if kind.endswith("_array"):
            count = self.length(">i")
            return None if count is None else [self.value(kind.removesuffix("_array")) for _ in range(count)]
        if kind in FIXED:
            return self.number(FIXED[kind])
        if kind == "uuid":
            return self.take(16)
        if kind in ("string", "nullable_string"):
            size = self.length(">h")
            return None if size is None else self.take(size).decode()
        size = self.length(">i")
        return None if size is None else self.take(size)


def default(kind):
    """What a field holds when the caller does not name it."""
    if isinstance(kind, schema.Structure):
        return None if kind.is_nullable else {}
    if isinstance(kind, list) or kind.endswith("_array"):
        return []
    return {"string": "", "nullable_string": None, "bytes": b"", "nullable_bytes": None, "uuid": NO_UUID, "bool": False}.get(kind, 0)


def request_bytes(api, version, body, correlation_id, client_id="compat-tests"):
    """A whole request without its 4-byte length; a body of bytes goes out as it is."""
    flexible = version >= api.flexible
    header = struct.pack(">hhi", api.key, version, correlation_id)
    header += struct.pack(">h", len(client_id)) + client_id.encode() + (b"\0" if flexible else b"")
    return header + (body if isinstance(body, bytes) else body_bytes(api, version, body))


def body_bytes(api, version, body):
    """The body of a request."""
    writer = Writer(version, version >= api.flexible)
    writer.structure(api.request, body)
    return bytes(writer.out)


def read_response(api, version, frame):
    """`(correlation_id, body)` of a response frame without its length; bytes left over are an error."""
    flexible = version >= api.flexible
    reader = Reader(frame, version, flexible)
    correlation_id = reader.number(">i")
    if flexible and api.key not in HEADER_V0_ALWAYS:
        reader.tags()
    body = reader.structure(api.response)
    if reader.at != len(frame):
        raise ValueError(f"{api.name} v{version}: {len(frame) - reader.at} bytes after the answer")
    return correlation_id, body


class Connection:
    """One blocking connection."""

    def __init__(self, bootstrap, timeout=15.0):
        host, port = bootstrap.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.ids = itertools.count(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send_raw(self, data):
        """Bytes as they are, also none of a request's own length."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed(str(error)) from error

    def send_frame(self, frame):
        self.send_raw(struct.pack(">i", len(frame)) + frame)

    def read_exactly(self, count):
        data = bytearray()
        while len(data) < count:
            try:
                piece = self.socket.recv(min(count - len(data), 1 << 20))
            except ConnectionResetError as error:
                raise Closed(str(error)) from error
            if not piece:
                raise Closed(f"closed after {len(data)} of {count} bytes")
            data += piece
        return bytes(data)

    def read_frame(self):
        return self.read_exactly(struct.unpack(">i", self.read_exactly(4))[0])

    def send(self, api, version, body):
        """Sends a request and returns its correlation id."""
        correlation_id = next(self.ids)
        self.send_frame(request_bytes(api, version, body, correlation_id))
        return correlation_id

    def receive(self, api, version, correlation_id):
        got, body = read_response(api, version, self.read_frame())
        if got != correlation_id:
            raise ValueError(f"{api.name} v{version}: correlation id {got}, expected {correlation_id}")
        return body

    def call(self, api, version, body):
        """One request and its answer."""
        return self.receive(api, version, self.send(api, version, body))
