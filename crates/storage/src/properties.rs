//! The Java `.properties` format, as `java.util.Properties.load` reads it and `store` writes it.
//!
//! Lines are `key=value`, `key:value` or `key value`; `#` and `!` begin comments; a line that ends in an odd number of
//! backslashes goes on in the next one; `\t \n \r \f \uXXXX` are escapes and any other escaped character is itself.
//! Bytes that are not UTF-8 are read as ISO-8859-1. Of a key that stands twice, both entries are returned, in order.

use thiserror::Error;

/// One entry of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Number of the line on which it begins, from 1.
    pub line: usize,
    /// The key, escapes undone.
    pub key: String,
    /// The value, escapes undone; trailing blanks kept as Java does.
    pub value: String,
}

/// A `\u` that four hexadecimal digits do not follow.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: \\u must be followed by four hexadecimal digits")]
pub struct MalformedEscape {
    /// Number of the line, from 1.
    pub line: usize,
}

/// Reads all entries of a file.
pub fn parse(bytes: &[u8]) -> Result<Vec<Property>, MalformedEscape> {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    };
    logical_lines(&text)
        .map(|(line, text)| property(line, &text))
        .collect()
}

/// The line of an entry, with what `java.util.Properties.store` escapes.
pub fn format(key: &str, value: &str) -> String {
    format!("{}={}\n", escape(key, true), escape(value, false))
}

/// A blank of a value has a meaning only where it would otherwise be passed over: at its beginning.
fn escape(text: &str, every_blank: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (index, character) in text.chars().enumerate() {
        match character {
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\u{c}' => escaped.push_str("\\f"),
            '\\' | '=' | ':' | '#' | '!' => escaped.extend(['\\', character]),
            ' ' if index == 0 || every_blank => escaped.push_str("\\ "),
            ' '..='~' => escaped.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    escaped.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
    escaped
}

/// Joins continued lines and drops blank ones and comments.
fn logical_lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut lines = natural_lines(text).enumerate();
    std::iter::from_fn(move || {
        let (index, first) =
            lines.find(|(_, line)| !matches!(line.chars().next(), None | Some('#' | '!')))?;
        let mut joined = first.to_owned();
        while continues(&joined) {
            joined.pop();
            match lines.next() {
                Some((_, next)) => joined.push_str(next),
                None => break,
            }
        }
        Some((index + 1, joined))
    })
}

/// Lines end with LF, CR or CRLF; leading blanks have no meaning.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
        .map(|line| line.trim_start_matches(BLANKS))
}

const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

fn property(line: usize, text: &str) -> Result<Property, MalformedEscape> {
    let key_end = end_of_key(text);
    let after = text[key_end..].trim_start_matches(BLANKS);
    let value = after
        .strip_prefix(['=', ':'])
        .unwrap_or(after)
        .trim_start_matches(BLANKS);
    Ok(Property {
        line,
        key: unescape(line, &text[..key_end])?,
        value: unescape(line, value)?,
    })
}

/// Byte position of the first separator that is not escaped.
fn end_of_key(text: &str) -> usize {
    let mut escaped = false;
    for (position, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '=' | ':' => return position,
            blank if BLANKS.contains(&blank) => return position,
            _ => {}
        }
    }
    text.len()
}

fn unescape(line: usize, text: &str) -> Result<String, MalformedEscape> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    // Java's characters are UTF-16 units, so a pair of escapes may make one character.
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let unescaped = match (
            character,
            if character == '\\' { rest.next() } else { None },
        ) {
            ('\\', None) => break,
            ('\\', Some('u')) => {
                units.push(hex_unit(&mut rest).ok_or(MalformedEscape { line })?);
                continue;
            }
            ('\\', Some('t')) => '\t',
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('f')) => '\u{c}',
            ('\\', Some(other)) => other,
            (plain, _) => plain,
        };
        units.extend_from_slice(unescaped.encode_utf16(&mut [0; 2]));
    }
    Ok(String::from_utf16_lossy(&units))
}

fn hex_unit(rest: &mut std::str::Chars<'_>) -> Option<u16> {
    (0..4).try_fold(0, |unit, _| {
        Some(unit << 4 | u16::try_from(rest.next()?.to_digit(16)?).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &[u8]) -> Vec<(usize, String, String)> {
        parse(text)
            .unwrap()
            .into_iter()
            .map(|p| (p.line, p.key, p.value))
            .collect()
    }

    #[test]
    fn reads_what_java_reads() {
        type Case<'a> = (&'a [u8], &'a [(usize, &'a str, &'a str)]);
        let table: &[Case<'_>] = &[
            (b"", &[]),
            (b"a=b", &[(1, "a", "b")]),
            (b"a:b\r\nc d\r", &[(1, "a", "b"), (2, "c", "d")]),
            (b"  a  =  b  ", &[(1, "a", "b  ")]),
            (b"# a=b\n ! c=d\n\n \t\ne=f", &[(5, "e", "f")]),
            (b"a", &[(1, "a", "")]),
            (b"=b", &[(1, "", "b")]),
            (b"a==b", &[(1, "a", "=b")]),
            (b"a = : b", &[(1, "a", ": b")]),
            (b"a=b \\\n   c\nd=e", &[(1, "a", "b c"), (3, "d", "e")]),
            (b"a=b\\\\\nc=d", &[(1, "a", "b\\"), (2, "c", "d")]),
            (b"a=b\\", &[(1, "a", "b")]),
            (b"a=\\\n# no comment", &[(1, "a", "# no comment")]),
            (b"# not continued \\\na=b", &[(2, "a", "b")]),
            (b"a\\=b\\ c=d", &[(1, "a=b c", "d")]),
            (b"a=\\t\\n\\q\\u0041", &[(1, "a", "\t\nqA")]),
            (b"a=\\uD83D\\uDE00", &[(1, "a", "\u{1f600}")]),
            ("a=\u{e9}".as_bytes(), &[(1, "a", "\u{e9}")]),
            (b"a=\xe9", &[(1, "a", "\u{e9}")]),
            (b"\xef\xbb\xbfa=b", &[(1, "a", "b")]),
            (b"a=1\na=2", &[(1, "a", "1"), (2, "a", "2")]),
            (
                b"listeners=PLAINTEXT://:9092",
                &[(1, "listeners", "PLAINTEXT://:9092")],
            ),
        ];
        for (text, expected) in table {
            let expected: Vec<_> = expected
                .iter()
                .map(|(l, k, v)| (*l, (*k).to_owned(), (*v).to_owned()))
                .collect();
            assert_eq!(pairs(text), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_broken_unicode_escape_names_its_line() {
        for text in ["a=b\nc=\\u00g0", "a=b\nc=\\u00", "a=b\n\\u1=c"] {
            assert_eq!(
                parse(text.as_bytes()),
                Err(MalformedEscape { line: 2 }),
                "{text}"
            );
        }
    }

    #[test]
    fn writes_what_java_writes() {
        for (key, value, line) in [
            ("a", "b", "a=b\n"),
            ("a b", " c d ", "a\\ b=\\ c d \n"),
            ("a=", "b:#!\\", "a\\==b\\:\\#\\!\\\\\n"),
            ("a", "\t\n\r\u{c}\u{1}", "a=\\t\\n\\r\\f\\u0001\n"),
            ("a", "\u{e9}\u{1f600}", "a=\\u00E9\\uD83D\\uDE00\n"),
        ] {
            assert_eq!(format(key, value), line);
        }
    }

    #[test]
    fn any_entry_goes_out_and_in() {
        proptest::proptest!(|(key: String, value: String)| {
            let read = pairs(format(&key, &value).as_bytes());
            proptest::prop_assert_eq!(read, [(1, key, value)]);
        });
    }

    #[test]
    fn any_bytes_are_survived() {
        proptest::proptest!(|(bytes: Vec<u8>)| { let _ = parse(&bytes); });
    }
}
