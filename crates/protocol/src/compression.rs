//! The codecs of record batches, one file each: what they write is what Kafka's clients read.
//!
//! Decompression is a stream ([`Decompressor`]) that the caller drains piece by piece, so nothing forces the whole
//! content into memory; how much may come out in all is the caller's limit. What one codec needs as working memory
//! is bounded by itself: see each file.

pub mod gzip;
pub mod lz4;
pub mod snappy;
pub mod zstd;

use std::io::{self, Read};

/// How the records of a batch are compressed (attribute bits 0-2, `CompressionType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Compression {
    /// Plain records.
    #[default]
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// Snappy blocks, raw or in xerial framing.
    Snappy = 2,
    /// The LZ4 frame format with independent blocks.
    Lz4 = 3,
    /// RFC 8878.
    Zstd = 4,
}

impl Compression {
    /// The codec with this id, or `None` for the unassigned ids 5 to 7 and all that do not fit the three bits.
    pub const fn from_id(id: u8) -> Option<Self> {
        Some(match id {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return None,
        })
    }

    /// The id that stands in the attributes.
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The name in Kafka's configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// A codec with the level to compress at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// Plain records.
    #[default]
    None,
    /// Levels 1 to 9 (`compression.gzip.level`); -1 is the default, 6.
    Gzip {
        /// The level.
        level: i32,
    },
    /// Has no levels.
    Snappy,
    /// Levels 1 to 17 (`compression.lz4.level`); all compress alike here, at the speed of level 1.
    Lz4 {
        /// The level.
        level: i32,
    },
    /// Levels -131072 to 22 (`compression.zstd.level`).
    Zstd {
        /// The level.
        level: i32,
    },
}

impl Codec {
    /// The codec without its level.
    pub const fn compression(self) -> Compression {
        match self {
            Self::None => Compression::None,
            Self::Gzip { .. } => Compression::Gzip,
            Self::Snappy => Compression::Snappy,
            Self::Lz4 { .. } => Compression::Lz4,
            Self::Zstd { .. } => Compression::Zstd,
        }
    }

    /// Compress `plain` and append the result to `out`.
    pub fn compress(self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::None => {
                out.extend_from_slice(plain);
                Ok(())
            }
            Self::Gzip { level } => gzip::compress(plain, level, out),
            Self::Snappy => snappy::compress(plain, out),
            Self::Lz4 { .. } => lz4::compress(plain, out),
            Self::Zstd { level } => zstd::compress(plain, level, out),
        }
    }
}

impl From<Compression> for Codec {
    /// The codec at Kafka's default level.
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip {
                level: gzip::DEFAULT_LEVEL,
            },
            Compression::Snappy => Self::Snappy,
            Compression::Lz4 => Self::Lz4 {
                level: lz4::DEFAULT_LEVEL,
            },
            Compression::Zstd => Self::Zstd {
                level: zstd::DEFAULT_LEVEL,
            },
        }
    }
}

/// The plain content of compressed bytes as a stream.
pub enum Decompressor<'a> {
    /// Plain records.
    None(&'a [u8]),
    /// See [`gzip`].
    Gzip(Box<gzip::Decoder<'a>>),
    /// See [`snappy`].
    Snappy(snappy::Decoder<'a>),
    /// See [`lz4`].
    Lz4(Box<lz4::Decoder<'a>>),
    /// See [`zstd`].
    Zstd(zstd::Decoder<'a>),
}

impl<'a> Decompressor<'a> {
    /// A stream over the content of `compressed`. `max_content` is the most that the caller will take: a codec that
    /// can only produce a block as a whole refuses blocks above it before it allocates.
    pub fn new(
        compression: Compression,
        compressed: &'a [u8],
        max_content: usize,
    ) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(compressed),
            Compression::Gzip => Self::Gzip(Box::new(gzip::decoder(compressed))),
            Compression::Snappy => Self::Snappy(snappy::Decoder::new(compressed, max_content)),
            Compression::Lz4 => Self::Lz4(Box::new(lz4::Decoder::new(compressed)?)),
            Compression::Zstd => Self::Zstd(zstd::Decoder::new(compressed)?),
        })
    }
}

impl Read for Decompressor<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::None(plain) => plain.read(into),
            Self::Gzip(stream) => stream.read(into),
            Self::Snappy(stream) => stream.read(into),
            Self::Lz4(stream) => stream.read(into),
            Self::Zstd(stream) => stream.read(into),
        }
    }
}

fn invalid_data(message: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests;
