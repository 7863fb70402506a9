//! gzip (RFC 1952), any number of members one after the other, as `java.util.zip.GZIPInputStream` reads them.
//!
//! Working memory: the 32 KiB window and the decoder's tables.

use std::io::{self, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

/// `compression.gzip.level` when nothing is configured.
pub const DEFAULT_LEVEL: i32 = -1;

/// A stream over the content.
pub type Decoder<'a> = MultiGzDecoder<&'a [u8]>;

pub(super) fn decoder(compressed: &[u8]) -> Decoder<'_> {
    MultiGzDecoder::new(compressed)
}

pub(super) fn compress(plain: &[u8], level: i32, out: &mut Vec<u8>) -> io::Result<()> {
    let level = match level {
        1..=9 => flate2::Compression::new(level.unsigned_abs()),
        _ => flate2::Compression::default(),
    };
    let mut encoder = GzEncoder::new(out, level);
    encoder.write_all(plain)?;
    encoder.finish().map(drop)
}
