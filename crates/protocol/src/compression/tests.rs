use std::io::Write;

use proptest::prelude::*;

use super::*;

const ALL: [Codec; 5] = [
    Codec::None,
    Codec::Gzip { level: 6 },
    Codec::Snappy,
    Codec::Lz4 { level: 9 },
    Codec::Zstd { level: 3 },
];

fn compress(codec: Codec, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    codec.compress(plain, &mut out).unwrap();
    out
}

fn decompress(compression: Compression, compressed: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    Decompressor::new(compression, compressed, 1 << 24)?.read_to_end(&mut out)?;
    Ok(out)
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3000),
        prop::collection::vec(0u8..4, 0..200_000),
        (0usize..300_000).prop_map(|len| vec![7; len]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_compressed_comes_out_again(plain in content()) {
        for codec in ALL {
            let compressed = compress(codec, &plain);
            prop_assert_eq!(&decompress(codec.compression(), &compressed).unwrap(), &plain, "{:?}", codec);
        }
    }

    #[test]
    fn damaged_streams_do_no_harm(
        plain in prop::collection::vec(0u8..4, 1..5000),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in any::<prop::sample::Index>(),
    ) {
        for codec in ALL {
            let mut compressed = compress(codec, &plain);
            for (at, value) in &changes {
                let at = at.index(compressed.len());
                compressed[at] = *value;
            }
            let _ = decompress(codec.compression(), &compressed);
            let _ = decompress(codec.compression(), &compressed[..cut.index(compressed.len())]);
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), id in 1u8..=4) {
        let _ = decompress(Compression::from_id(id).unwrap(), &bytes);
    }
}

#[test]
fn levels_are_taken() {
    let plain: Vec<u8> = (0..100_000u64)
        .flat_map(|i| (i * i % 977).to_be_bytes())
        .collect();
    for (fast, small) in [
        (Codec::Gzip { level: 1 }, Codec::Gzip { level: 9 }),
        (Codec::Zstd { level: -5 }, Codec::Zstd { level: 19 }),
    ] {
        let (fast_len, small_len) = (compress(fast, &plain).len(), compress(small, &plain).len());
        assert!(small_len < fast_len, "{small:?}: {small_len} < {fast_len}");
    }
    // Out of Kafka's ranges: the default.
    for level in [-1, 0, 10] {
        assert_eq!(
            compress(Codec::Gzip { level }, &plain),
            compress(Codec::Gzip { level: 6 }, &plain)
        );
    }
}

#[test]
fn gzip_members_follow_each_other() {
    let mut two = compress(Codec::Gzip { level: 6 }, b"first ");
    two.extend_from_slice(&compress(Codec::Gzip { level: 6 }, b"second"));
    assert_eq!(
        decompress(Compression::Gzip, &two).unwrap(),
        b"first second"
    );
}

#[test]
fn snappy_is_read_raw_and_framed() {
    let raw = snap::raw::Encoder::new()
        .compress_vec(b"some words, some words")
        .unwrap();
    assert_eq!(
        decompress(Compression::Snappy, &raw).unwrap(),
        b"some words, some words"
    );

    let framed = compress(Codec::Snappy, &[9; 100_000]);
    assert_eq!(
        framed[..16],
        [
            0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1
        ]
    );
    assert_eq!(
        decompress(Compression::Snappy, &framed).unwrap(),
        [9; 100_000]
    );
    let twice = [framed.clone(), framed].concat();
    assert_eq!(
        decompress(Compression::Snappy, &twice).unwrap(),
        [9; 200_000]
    );
}

#[test]
fn snappy_blocks_that_lie_about_their_size_are_refused() {
    // A varint of nearly four gigabytes, and one that is merely more than such a block can hold.
    for claim in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0x80, 0x80, 0x40]] {
        assert!(decompress(Compression::Snappy, &[claim, &[0, 0]].concat()).is_err());
    }
    let honest = snap::raw::Encoder::new().compress_vec(&[0; 2000]).unwrap();
    let refused = Decompressor::new(Compression::Snappy, &honest, 1999)
        .unwrap()
        .read(&mut [0; 10]);
    assert!(refused.is_err());
}

#[test]
fn the_densest_snappy_block_is_accepted() {
    let plain = vec![0; 1 << 20];
    let raw = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    assert!(plain.len() / raw.len() > 20, "this is the densest there is");
    assert_eq!(decompress(Compression::Snappy, &raw).unwrap(), plain);
}

#[test]
fn lz4_frames_that_java_cannot_read_are_refused() {
    use lz4_flex::frame::{BlockMode, FrameEncoder, FrameInfo};
    let mut linked =
        FrameEncoder::with_frame_info(FrameInfo::new().block_mode(BlockMode::Linked), Vec::new());
    linked.write_all(&[7; 300_000]).unwrap();
    assert!(decompress(Compression::Lz4, &linked.finish().unwrap()).is_err());

    let frame = compress(Codec::Lz4 { level: 9 }, b"words");
    assert!(decompress(Compression::Lz4, &[&frame[..], &frame].concat()).is_err());
    assert!(decompress(Compression::Lz4, &[&frame[..], b"x"].concat()).is_err());
    for cut in 1..=frame.len() {
        assert!(
            decompress(Compression::Lz4, &frame[..frame.len() - cut]).is_err(),
            "without the last {cut} bytes"
        );
    }
}

#[test]
fn lz4_blocks_of_every_size_are_read() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let plain: Vec<u8> = (0..5_000_000u32).map(|i| (i / 7) as u8).collect();
    for size in [
        BlockSize::Max64KB,
        BlockSize::Max256KB,
        BlockSize::Max1MB,
        BlockSize::Max4MB,
    ] {
        let info = FrameInfo::new()
            .block_mode(BlockMode::Independent)
            .block_size(size)
            .block_checksums(true)
            .content_checksum(true)
            .content_size(Some(plain.len() as u64));
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&plain).unwrap();
        assert_eq!(
            decompress(Compression::Lz4, &encoder.finish().unwrap()).unwrap(),
            plain
        );
    }
}

#[test]
fn zstd_frames_follow_each_other_and_must_be_whole() {
    let frame = compress(Codec::Zstd { level: 3 }, b"some words, some words");
    let empty = compress(Codec::Zstd { level: 3 }, b"");
    let three = [&frame[..], &empty, &frame].concat();
    assert_eq!(
        decompress(Compression::Zstd, &three).unwrap(),
        b"some words, some wordssome words, some words"
    );
    for cut in 1..frame.len() {
        assert!(
            decompress(Compression::Zstd, &frame[..cut]).is_err(),
            "the first {cut} bytes"
        );
    }
    // The context that the failures left behind is as good as new.
    assert_eq!(
        decompress(Compression::Zstd, &frame).unwrap(),
        b"some words, some words"
    );
}

#[test]
fn the_windows_of_all_zstd_levels_are_accepted() {
    // Without the size the encoder takes the level's full window: 128 MiB at level 22.
    for level in [1, 19, 22] {
        let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), level).unwrap();
        encoder.write_all(b"words").unwrap();
        encoder.flush().unwrap();
        assert_eq!(
            decompress(Compression::Zstd, &encoder.finish().unwrap()).unwrap(),
            b"words"
        );
    }
    let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(28).unwrap();
    encoder.write_all(b"words").unwrap();
    encoder.flush().unwrap();
    assert!(decompress(Compression::Zstd, &encoder.finish().unwrap()).is_err());
}

#[test]
fn ids_and_names_are_kafkas() {
    let names = ["none", "gzip", "snappy", "lz4", "zstd"];
    for (id, name) in names.iter().enumerate() {
        let compression = Compression::from_id(id as u8).unwrap();
        assert_eq!((compression.id() as usize, compression.name()), (id, *name));
        assert_eq!(Codec::from(compression).compression(), compression);
    }
    assert_eq!(Compression::from_id(5), None);
}
