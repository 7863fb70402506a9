//! What a topic may be called (`Topic.java`).

/// Longest name, bytes.
const MAX_NAME_LEN: usize = 249;

/// The topic of the metadata log itself.
pub const CLUSTER_METADATA: &str = "__cluster_metadata";

/// Topics that the broker itself writes.
const INTERNAL: [&str; 3] = [
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
];

/// Whether the broker itself writes the topic.
pub fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// Check a name.
///
/// # Errors
/// What is wrong with it, in Kafka's words; the code is INVALID_TOPIC_EXCEPTION.
pub fn validate(name: &str) -> Result<(), String> {
    match reason_invalid(name) {
        None => Ok(()),
        Some(reason) => Err(format!("Topic name is invalid: {reason}")),
    }
}

fn reason_invalid(name: &str) -> Option<String> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() {
        Some("the empty string is not allowed".to_owned())
    } else if name == "." || name == ".." {
        Some(format!("'{name}' is not allowed"))
    } else if name.encode_utf16().count() > MAX_NAME_LEN {
        Some(format!(
            "the length of '{name}' is longer than the max allowed length {MAX_NAME_LEN}"
        ))
    } else if !name.bytes().all(is_legal) {
        Some(format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_kafka_does() {
        for name in [
            "a",
            "A.b_c-9",
            "...",
            &"x".repeat(249),
            "__consumer_offsets",
        ] {
            assert_eq!(validate(name), Ok(()), "{name}");
        }
        let table = [
            ("", "the empty string is not allowed"),
            (".", "'.' is not allowed"),
            ("..", "'..' is not allowed"),
            (
                "a b",
                "'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
            ),
            (
                "ä",
                "'ä' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
            ),
            (
                "a/b",
                "'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
            ),
        ];
        for (name, reason) in table {
            assert_eq!(
                validate(name),
                Err(format!("Topic name is invalid: {reason}"))
            );
        }
        assert!(
            validate(&"x".repeat(250))
                .unwrap_err()
                .ends_with("longer than the max allowed length 249")
        );
    }
}
