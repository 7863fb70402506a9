use proptest::prelude::*;

use super::*;
use crate::compression::Codec;
use crate::ids::Timestamp;
use crate::record::BatchBuilder;

/// A header and a body that need not fit each other.
fn header(codec: u8, count: i32) -> BatchHeader {
    let mut builder = BatchBuilder::new();
    builder.append(Timestamp(0), None, None);
    let mut bytes = *builder.build().unwrap().header().as_bytes();
    bytes[22] = codec;
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    BatchHeader::read(&bytes).unwrap()
}

fn drain(mut reader: RecordReader<'_>) -> Result<usize, RecordError> {
    let mut count = 0;
    while reader.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn read_plain(count: i32, body: &[u8]) -> Result<usize, RecordError> {
    drain(RecordReader::new(&header(0, count), body, 0)?)
}

/// Length, attributes, two deltas, null key, null value, no headers.
const SMALLEST: [u8; 7] = [12, 0, 0, 0, 1, 1, 0];

#[test]
fn structure_is_checked() {
    let table: &[(i32, &[u8], &str)] = &[
        (-1, &[], "record count -1 is negative"),
        (1, &[], "the batch ends inside record 0"),
        (1, &SMALLEST[..6], "the batch ends inside record 0"),
        (2, &SMALLEST, "the batch ends inside record 1"),
        (0, &SMALLEST, "bytes are left behind the last record"),
        (1, &[1], "record 0: its length is not valid"),
        (1, &[0xff; 9], "record 0: its length is not valid"),
        (1, &[0], "record 0: its fields are longer than the record"),
        (
            1,
            &[10, 0, 0, 0, 1, 1],
            "record 0: its fields are longer than the record",
        ),
        (
            1,
            &[12, 0, 0, 0, 4, 1, 0],
            "record 0: its fields are longer than the record",
        ),
        (
            1,
            &[12, 0, 0, 0, 1, 1, 1],
            "record 0: its count of headers is negative",
        ),
        (
            1,
            &[12, 0, 0, 0, 1, 1, 2],
            "record 0: its headers are longer than the record",
        ),
        (
            1,
            &[16, 0, 0, 0, 1, 1, 2, 1, 1],
            "record 0: its headers are longer than the record",
        ),
        (
            1,
            &[14, 0, 0, 0, 1, 1, 0, 0],
            "record 0: bytes are left behind its headers",
        ),
    ];
    for (count, body, message) in table {
        assert_eq!(
            read_plain(*count, body).unwrap_err().to_string(),
            *message,
            "{body:?}"
        );
    }
    assert_eq!(read_plain(1, &SMALLEST).unwrap(), 1);
    assert_eq!(read_plain(0, &[]).unwrap(), 0);
    for codec in 5..8 {
        let refused = RecordReader::new(&header(codec, 1), &SMALLEST, 100);
        assert!(matches!(refused, Err(RecordError::UnknownCodec(id)) if id == codec));
    }
}

#[test]
fn any_negative_length_is_null() {
    // -2 as the length of key and value, as `Utils.readBytes` takes it.
    let body = [12, 0, 0, 0, 3, 3, 0];
    let header = header(0, 1);
    let mut reader = RecordReader::new(&header, &body, 0).unwrap();
    let record = reader.next().unwrap().unwrap();
    assert_eq!((record.key, record.value), (None, None));
}

#[test]
fn duplicate_headers_keep_their_order() {
    let mut builder = BatchBuilder::new();
    let headers: [(&[u8], Option<&[u8]>); 4] = [
        (b"b", Some(b"1")),
        (b"a", None),
        (b"b", Some(b"2")),
        (b"", Some(b"")),
    ];
    builder.append_with_headers(Timestamp(0), None, None, &headers);
    let batch = builder.build().unwrap();
    let mut reader = batch.records(0).unwrap();
    let record = reader.next().unwrap().unwrap();
    assert_eq!(record.headers.len(), 4);
    assert_eq!(record.headers.collect::<Vec<_>>(), headers);
}

/// A batch of zeros: `count` records of `len` bytes each.
fn zeros(codec: Codec, count: usize, len: usize) -> (BatchHeader, bytes::Bytes) {
    let mut builder = BatchBuilder::new().codec(codec);
    for _ in 0..count {
        builder.append(Timestamp(0), None, Some(&vec![0; len]));
    }
    let batch = builder.build().unwrap();
    (*batch.header(), batch.body().clone())
}

const CODECS: [Codec; 4] = [
    Codec::Gzip { level: 6 },
    Codec::Snappy,
    Codec::Lz4 { level: 9 },
    Codec::Zstd { level: 3 },
];

#[test]
fn bombs_are_stopped_at_the_limit() {
    for codec in CODECS {
        for (count, len) in [(1, 1_000_000), (1000, 1000)] {
            let (header, body) = zeros(codec, count, len);
            assert!(
                body.len() < 60_000,
                "{codec:?} makes a bomb of {} bytes",
                body.len()
            );
            let content = count * (len + 20);
            assert_eq!(
                drain(RecordReader::new(&header, &body, content).unwrap()).unwrap(),
                count
            );
            let stopped = drain(RecordReader::new(&header, &body, 900_000).unwrap());
            assert!(
                matches!(
                    stopped,
                    Err(RecordError::TooLarge(900_000) | RecordError::Decompress(_))
                ),
                "{stopped:?}"
            );
        }
    }
}

#[test]
fn the_window_is_no_larger_than_it_needs_to_be() {
    for codec in CODECS {
        let (header, body) = zeros(codec, 2000, 1000);
        let mut reader = RecordReader::new(&header, &body, usize::MAX).unwrap();
        while reader.next().unwrap().is_some() {}
        let Source::Compressed(window) = &reader.source else {
            panic!("compressed")
        };
        assert_eq!(window.buffer.len(), WINDOW_LEN, "{codec:?}");
    }
}

#[test]
fn a_length_without_content_does_not_make_the_window_grow() {
    for codec in CODECS {
        // One record that claims a gigabyte and then ends.
        let mut plain = Vec::new();
        crate::varint::put_i32(&mut plain, 1 << 30);
        plain.extend_from_slice(&[0; 100]);
        let mut body = Vec::new();
        codec.compress(&plain, &mut body).unwrap();
        let header = header(codec.compression().id(), 1);
        let mut reader = RecordReader::new(&header, &body, usize::MAX).unwrap();
        assert!(matches!(reader.next(), Err(RecordError::Truncated(0))));
        let Source::Compressed(window) = &reader.source else {
            panic!("compressed")
        };
        assert_eq!(window.buffer.len(), WINDOW_LEN, "{codec:?}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_no_harm(
        codec in 0u8..8,
        count in prop_oneof![any::<i32>(), 0..5i32],
        body in prop::collection::vec(prop_oneof![any::<u8>(), 0..16u8], 0..100),
        compress in any::<bool>(),
    ) {
        let header = header(codec, count);
        let mut bytes = Vec::new();
        match Compression::from_id(codec) {
            Some(compression) if compress => Codec::from(compression).compress(&body, &mut bytes).unwrap(),
            _ => bytes = body,
        }
        if let Ok(reader) = RecordReader::new(&header, &bytes, 10_000) {
            let _ = drain(reader);
        }
    }

    #[test]
    fn compressed_and_plain_read_alike(body in prop::collection::vec(prop_oneof![any::<u8>(), 0..16u8], 0..60)) {
        let plain = read_plain(2, &body).map_err(|error| error.to_string());
        for codec in CODECS {
            let mut compressed = Vec::new();
            codec.compress(&body, &mut compressed).unwrap();
            let header = header(codec.compression().id(), 2);
            let read = drain(RecordReader::new(&header, &compressed, usize::MAX).unwrap());
            prop_assert_eq!(&read.map_err(|error| error.to_string()), &plain, "{:?}", codec);
        }
    }
}
