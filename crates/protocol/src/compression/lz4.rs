//! The LZ4 frame format as Kafka's clients use it: one frame, blocks that do not depend on each other.
//!
//! `Lz4BlockInputStream` of the Java client cannot read dependent blocks and sees only the first frame; accepting
//! either would store a batch that stops those consumers, so both are refused.
//!
//! Working memory: two blocks, of 4 MiB at most.

use std::io::{self, Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::invalid_data;

/// `compression.lz4.level` when nothing is configured.
pub const DEFAULT_LEVEL: i32 = 9;

const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
/// Bits 6 and 7 of the flags.
const VERSION_1: u8 = 0b0100_0000;
const VERSION_MASK: u8 = 0b1100_0000;
const BLOCK_INDEPENDENCE: u8 = 0b0010_0000;

/// A stream over the content.
pub struct Decoder<'a> {
    frame: FrameDecoder<Input<'a>>,
    ended: bool,
}

/// The compressed bytes, and whether the frame asked for more than there are.
struct Input<'a> {
    left: &'a [u8],
    starved: bool,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(compressed: &'a [u8]) -> io::Result<Self> {
        let [m0, m1, m2, m3, flags, ..] = *compressed else {
            return Err(invalid_data("lz4 frame without header"));
        };
        if [m0, m1, m2, m3] != MAGIC {
            return Err(invalid_data("not an lz4 frame"));
        }
        if flags & VERSION_MASK != VERSION_1 {
            return Err(invalid_data("unknown version of the lz4 frame format"));
        }
        if flags & BLOCK_INDEPENDENCE == 0 {
            return Err(invalid_data(
                "lz4 blocks that depend on each other are not supported",
            ));
        }
        let input = Input {
            left: compressed,
            starved: false,
        };
        Ok(Self {
            frame: FrameDecoder::new(input),
            ended: false,
        })
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.ended || into.is_empty() {
            return Ok(0);
        }
        let len = self.frame.read(into)?;
        if len == 0 {
            // The frame's reader ends alike at the end mark and at the end of the input.
            self.ended = true;
            match self.frame.get_ref() {
                Input { starved: true, .. } => {
                    return Err(invalid_data("lz4 frame without end mark"));
                }
                Input { left: [], .. } => {}
                _ => return Err(invalid_data("bytes behind the lz4 frame")),
            }
        }
        Ok(len)
    }
}

impl Read for Input<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.starved |= self.left.is_empty() && !into.is_empty();
        self.left.read(into)
    }
}

pub(super) fn compress(plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let info = FrameInfo::new()
        .block_mode(BlockMode::Independent)
        .block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, out);
    encoder.write_all(plain)?;
    encoder.finish().map(drop).map_err(invalid_data)
}
