//! Requests and responses between frames and the generated types: the one seam around `kafka-protocol`.
//!
//! A frame's content is a header (i16 API key, i16 version, i32 correlation id, nullable string client id, from
//! header version 2 on tagged fields) and a body. A response is a header (i32 correlation id, from header version 1
//! on tagged fields) and a body. ApiVersions is answered under header version 0 in every version (KIP-511), so that
//! clients can read the answer to a version that the broker does not know.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};
use thiserror::Error;

use crate::frame::PREFIX_LEN;
use crate::guard::{self, GuardError};
use crate::legacy;

/// First version of the request header with tagged fields.
const TAGGED_HEADER: i16 = 2;

/// The first eight bytes of every request, whose layout never changed: enough to answer or log one that cannot be
/// decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestPrefix {
    /// Which API.
    pub api_key: i16,
    /// In which version.
    pub api_version: i16,
    /// What the response must carry.
    pub correlation_id: i32,
}

/// Why bytes are no request, or no response.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The API key, or this version of it, is not one that can be decoded.
    #[error("version {api_version} of API {api_key} is not known")]
    UnknownApi {
        /// The key.
        api_key: i16,
        /// The version.
        api_version: i16,
    },
    /// The guard refuses the bytes.
    #[error(transparent)]
    Refused(#[from] GuardError),
    /// The bytes do not form the message.
    #[error("the message cannot be decoded: {0}")]
    Malformed(String),
}

/// Why a message cannot be encoded. A fault of the caller: the message sets a field that the version lacks, or is
/// too large.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// The generated encoder refuses.
    #[error("version {api_version} of API {api_key} cannot be encoded: {reason}")]
    Message {
        /// The key.
        api_key: i16,
        /// The version.
        api_version: i16,
        /// What the encoder says.
        reason: String,
    },
    /// The frame's length does not fit its prefix.
    #[error("a frame of {0} bytes is too large")]
    TooLarge(u64),
    /// A fetch response and the lengths of its records do not belong together.
    #[error("{lengths} lengths of records are given for {partitions} partitions")]
    RecordLengths {
        /// How many lengths there are.
        lengths: usize,
        /// How many there should be.
        partitions: usize,
    },
}

impl RequestPrefix {
    /// Bytes of the prefix.
    pub const LEN: usize = 8;

    /// The prefix of a request's frame, or `None` when the frame is shorter.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let [k0, k1, v0, v1, c0, c1, c2, c3] = *frame.first_chunk()?;
        Some(Self {
            api_key: i16::from_be_bytes([k0, k1]),
            api_version: i16::from_be_bytes([v0, v1]),
            correlation_id: i32::from_be_bytes([c0, c1, c2, c3]),
        })
    }
}

/// Take the header off the front of a request's frame, leaving the body.
pub fn decode_request_header(frame: &mut Bytes) -> Result<RequestHeader, DecodeError> {
    let prefix = RequestPrefix::read(frame)
        .ok_or_else(|| DecodeError::Malformed("the frame is too short".into()))?;
    let RequestPrefix {
        api_key,
        api_version,
        ..
    } = prefix;
    let api = ApiKey::try_from(api_key).map_err(|()| DecodeError::UnknownApi {
        api_key,
        api_version,
    })?;
    let version = api.request_header_version(api_version);
    if version >= TAGGED_HEADER {
        check_header(frame)?;
    }
    RequestHeader::decode(frame, version).map_err(malformed)
}

/// Decode the body of a request, once [`guard::check`] has proved it harmless. Records and strings are slices of
/// `body`, not copies. Versions that only old clients use are rewritten first: see `legacy.rs`.
pub fn decode_request<R: Request>(body: &mut Bytes, version: i16) -> Result<R, DecodeError> {
    guard::check(R::KEY, version, body)?;
    match legacy::rewrite_request(R::KEY, version, body) {
        Some((mut rewritten, version)) => R::decode(&mut rewritten, version).map_err(malformed),
        None => R::decode(body, version).map_err(malformed),
    }
}

/// A whole response: length, header and body.
pub fn encode_response<R: Encodable + HeaderVersion + 'static>(
    api_key: i16,
    version: i16,
    correlation_id: i32,
    response: &R,
) -> Result<Bytes, EncodeError> {
    if let Some(frame) = legacy::encode_response(api_key, version, correlation_id, response) {
        return frame;
    }
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    encode_frame(
        &header,
        R::header_version(version),
        response,
        api_key,
        version,
    )
}

/// A whole request: length, header and body. For clients.
pub fn encode_request<R: Request>(
    version: i16,
    correlation_id: i32,
    client_id: &str,
    request: &R,
) -> Result<Bytes, EncodeError> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(client_id.to_owned().into()));
    encode_frame(
        &header,
        R::header_version(version),
        request,
        R::KEY,
        version,
    )
}

/// Decode the response to a request `R`, whose frame comes without its length prefix: correlation id and message.
/// For clients, which trust their broker: nothing bounds what a hostile response makes the decoder allocate.
pub fn decode_response<R: Request>(
    frame: &mut Bytes,
    version: i16,
) -> Result<(i32, R::Response), DecodeError> {
    let header =
        ResponseHeader::decode(frame, R::Response::header_version(version)).map_err(malformed)?;
    let response = R::Response::decode(frame, version).map_err(malformed)?;
    Ok((header.correlation_id, response))
}

/// Walk over a header with tagged fields before it is decoded.
fn check_header(frame: &[u8]) -> Result<(), DecodeError> {
    const TRUNCATED: DecodeError = DecodeError::Refused(GuardError::Truncated("client_id"));
    let rest = &frame[RequestPrefix::LEN..];
    let (len, rest) = rest.split_first_chunk().ok_or(TRUNCATED)?;
    // Null, -1, is as long as the empty string. The length never became compact (KIP-511).
    let len = usize::try_from(i16::from_be_bytes(*len)).unwrap_or(0);
    guard::check_header_tags(rest.get(len..).ok_or(TRUNCATED)?)?;
    Ok(())
}

fn encode_frame<H: Encodable, M: Encodable>(
    header: &H,
    header_version: i16,
    message: &M,
    api_key: i16,
    api_version: i16,
) -> Result<Bytes, EncodeError> {
    let refused = |reason: String| EncodeError::Message {
        api_key,
        api_version,
        reason,
    };
    let header_len = header
        .compute_size(header_version)
        .map_err(|error| refused(error.to_string()))?;
    let message_len = message
        .compute_size(api_version)
        .map_err(|error| refused(error.to_string()))?;
    let len = header_len + message_len;
    let prefix = i32::try_from(len).map_err(|_| EncodeError::TooLarge(len as u64))?;
    let mut frame = BytesMut::with_capacity(PREFIX_LEN + len);
    frame.put_i32(prefix);
    header
        .encode(&mut frame, header_version)
        .map_err(|error| refused(error.to_string()))?;
    message
        .encode(&mut frame, api_version)
        .map_err(|error| refused(error.to_string()))?;
    debug_assert_eq!(
        frame.len(),
        PREFIX_LEN + len,
        "the computed size is that of the encoded message"
    );
    Ok(frame.freeze())
}

fn malformed(error: impl std::fmt::Display) -> DecodeError {
    DecodeError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests;
