//! Kafka's text form of a UUID: URL-safe base64 of the 16 bytes without padding, 22 characters (`Uuid.java`).

use ottla_protocol::ids::TopicId;
use uuid::Uuid;

/// The text of `id`.
pub fn format(id: Uuid) -> String {
    TopicId(id).to_string()
}

/// The UUID in `text`, or `None` when it is no such text.
pub fn parse(text: &str) -> Option<Uuid> {
    if text.len() != 22 {
        return None;
    }
    let digits = text.bytes().map(digit).collect::<Option<Vec<u8>>>()?;
    let (last, first) = digits.split_last()?;
    let high = first
        .iter()
        .fold(0, |bits: u128, digit| bits << 6 | u128::from(*digit));
    // The last digit has two bits of the value; Kafka lets the other four be anything.
    Some(Uuid::from_u128(high << 2 | u128::from(*last) >> 4))
}

fn digit(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_out_and_in() {
        for value in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_1021_3243_5465_7687] {
            let id = Uuid::from_u128(value);
            assert_eq!(parse(&format(id)), Some(id));
        }
        assert_eq!(parse("AAAAAAAAAAAAAAAAAAAA+Q"), None);
        assert_eq!(parse(""), None);
    }
}
