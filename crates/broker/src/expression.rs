//! Regular expressions that clients send, which match whole names (KIP-848, KIP-1152).
//!
//! Apache Kafka compiles them with RE2/J. The crate used here has RE2's syntax and its linear time, but lacks the quoting
//! `\Q...\E`, which [`compile`] therefore writes out.

use regex::{Regex, RegexBuilder};

/// Bytes that a compiled expression may take.
const SIZE_LIMIT: usize = 256 * 1024;

/// What matches a name as a whole; `None` when this is no expression, or one that takes too much memory.
pub fn compile(expression: &str) -> Option<Regex> {
    let plain = without_quotes(expression);
    // One that is none by itself may be one within parentheses, such as `a)|(?:b`.
    build(&plain)?;
    build(&format!("^(?:{plain})$"))
}

fn build(expression: &str) -> Option<Regex> {
    RegexBuilder::new(expression)
        .size_limit(SIZE_LIMIT)
        .dfa_size_limit(SIZE_LIMIT)
        .build()
        .ok()
}

/// The expression with each `\Q...\E`, or `\Q...` up to the end, written as single escaped characters.
fn without_quotes(expression: &str) -> String {
    let mut plain = String::with_capacity(expression.len());
    let mut rest = expression;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(quoted) = rest.strip_prefix("\\Q") {
            let (literal, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            plain.push_str(&regex::escape(literal));
            rest = after;
        } else {
            let escape = rest.chars().take(2).map(char::len_utf8).sum();
            plain.push_str(&rest[..escape]);
            rest = &rest[escape..];
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_match() {
        for (expression, name, matches) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a|ab", "ab", true),
            ("a.*", "abc", true),
            ("(?i)ABC", "abc", true),
            (r"\Qa.b\E", "a.b", true),
            (r"\Qa.b\E", "axb", false),
            (r"\Qa.b\E.*", "a.bcd", true),
            (r"x\Q.", "x.", true),
            (r"\Q(\E[ab]\Q)", "(b)", true),
            (r"\\Q.", r"\Qx", true),
            (r"\dé", "1é", true),
        ] {
            let compiled = compile(expression).expect(expression);
            assert_eq!(compiled.is_match(name), matches, "{expression} on {name}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for bad in [
            "[",
            "a{2,1}",
            "(?=a)",
            r"a\",
            r"a\E",
            "a)|(?:b",
            "(((a{100}){100}){100}){100}",
        ] {
            assert!(compile(bad).is_none(), "{bad}");
        }
    }
}
