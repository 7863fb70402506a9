//! Requests and responses travel as frames: a big-endian i32 length, then that many bytes.

use thiserror::Error;

/// Bytes of the length.
pub const PREFIX_LEN: usize = 4;

/// Why a frame is refused. The connection cannot be used any further, as the next frame's start is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The length is negative.
    #[error("the length of the frame is negative: {0}")]
    Negative(i32),
    /// The length exceeds the limit (`socket.request.max.bytes`).
    #[error("the frame takes {len} bytes, more than the {max} that are allowed")]
    TooLarge {
        /// What the prefix says.
        len: usize,
        /// The limit.
        max: usize,
    },
}

/// Bytes that follow a length prefix, at most `max`.
pub fn read_len(prefix: [u8; PREFIX_LEN], max: usize) -> Result<usize, FrameError> {
    let len = i32::from_be_bytes(prefix);
    let len = usize::try_from(len).map_err(|_| FrameError::Negative(len))?;
    if len > max {
        Err(FrameError::TooLarge { len, max })
    } else {
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_inclusive() {
        assert_eq!(read_len([0, 0, 1, 0], 256), Ok(256));
        assert_eq!(
            read_len([0, 0, 1, 0], 255),
            Err(FrameError::TooLarge { len: 256, max: 255 })
        );
        assert_eq!(read_len([0; 4], 0), Ok(0));
        assert_eq!(
            read_len([0xff; 4], usize::MAX),
            Err(FrameError::Negative(-1))
        );
        assert_eq!(
            read_len(*b"GET ", 100 << 20),
            Err(FrameError::TooLarge {
                len: 0x4745_5420,
                max: 100 << 20
            })
        );
    }
}
