"""Record batches (magic 2) made and read by hand, uncompressed, with every field open to be made wrong."""

import struct

CRC32C_POLYNOMIAL = 0x82F63B78


def crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (CRC32C_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = crc_table()


def crc32c(data):
    """Castagnoli's CRC-32, as in the header of a batch. Slow: for kilobytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(value):
    """A zigzag LEB128 number."""
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value & ~0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at


def record(value, key=None, offset_delta=0, timestamp_delta=0, headers=()):
    """One record of a batch."""
    def blob(data):
        return varint(-1) if data is None else varint(len(data)) + data
    body = b"\0" + varint(timestamp_delta) + varint(offset_delta) + blob(key) + blob(value) + varint(len(headers))
    for name, content in headers:
        body += blob(name) + blob(content)
    return varint(len(body)) + body


def batch(values, timestamp=1_700_000_000_000, producer=(-1, -1, -1), magic=2, crc=None, count=None,
          last_offset_delta=None, attributes=0, records=None, base_offset=0):
    """A batch of `values` (bytes); the named arguments put a wrong figure in place of the right one."""
    if records is None:
        records = b"".join(record(value, offset_delta=i) for i, value in enumerate(values))
    count = len(values) if count is None else count
    last = len(values) - 1 if last_offset_delta is None else last_offset_delta
    covered = struct.pack(">hiqqqhii", attributes, last, timestamp, timestamp, *producer, count) + records
    crc = crc32c(covered) if crc is None else crc
    return struct.pack(">qiibI", base_offset, 9 + len(covered), -1, magic, crc) + covered


def read_batches(data):
    """`(offset, timestamp, key, value)` of each record; uncompressed whole batches only, CRC checked."""
    found, at = [], 0
    while at + 61 <= len(data):
        base, size, _epoch, magic, crc = struct.unpack_from(">qiibI", data, at)
        end = at + 12 + size
        if end > len(data):
            break
        if magic != 2 or crc32c(data[at + 21:end]) != crc:
            raise ValueError(f"batch at byte {at}: magic {magic} or CRC wrong")
        _attributes, _last, first_timestamp = struct.unpack_from(">hiq", data, at + 21)
        count = struct.unpack_from(">i", data, at + 57)[0]
        cursor = at + 61
        for _ in range(count):
            _length, cursor = read_varint(data, cursor)
            cursor += 1
            time_delta, cursor = read_varint(data, cursor)
            offset_delta, cursor = read_varint(data, cursor)
            blobs = []
            for _ in range(2):
                length, cursor = read_varint(data, cursor)
                blobs.append(None if length < 0 else bytes(data[cursor:cursor + length]))
                cursor += max(length, 0)
            headers, cursor = read_varint(data, cursor)
            for _ in range(headers * 2):
                length, cursor = read_varint(data, cursor)
                cursor += max(length, 0)
            found.append((base + offset_delta, first_timestamp + time_delta, *blobs))
        at = end
    return found
