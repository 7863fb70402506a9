//! What a value must fulfil beyond its type: the validators of `ConfigDef`, with their messages.

use std::fmt;

use super::value::Value;

/// One validator of the configuration table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Check {
    /// Everything of the right type.
    Any,
    /// A number not below this.
    AtLeast(i64),
    /// A number in this range, ends included.
    Between(i64, i64),
    /// A fraction in this range, ends included.
    Share(f64, f64),
    /// A text that is not empty.
    NonEmpty,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts in upper or lower case.
    OneOfIgnoreCase(&'static [&'static str]),
    /// A list of nothing but these texts.
    EachOf(&'static [&'static str]),
    /// 1 to 9, or -1 for the library's default.
    GzipLevel,
    /// `*`, `none`, or `partition:broker` pairs.
    ThrottledReplicas,
}

impl Check {
    /// Says what is wrong with `value`, in Kafka's words where it has them.
    pub fn verify(&self, value: &Value) -> Result<(), String> {
        match (self, value) {
            (Self::Share(low, high), Value::Double(number)) => within(*number, *low, *high),
            (Self::NonEmpty, Value::String(text)) if text.trim().is_empty() => {
                Err("String must be non-empty".into())
            }
            (Self::OneOf(allowed), Value::String(text)) => one_of(text, allowed, |a, b| a == b),
            (Self::OneOfIgnoreCase(allowed), Value::String(text)) => {
                one_of(text, allowed, str::eq_ignore_ascii_case)
            }
            (Self::EachOf(allowed), Value::List(items)) => items
                .iter()
                .try_for_each(|i| one_of(i, allowed, |a, b| a == b)),
            (Self::ThrottledReplicas, Value::List(items)) => throttled_replicas(items),
            (_, value) => value
                .as_i64()
                .map_or(Ok(()), |number| self.verify_number(number)),
        }
    }

    fn verify_number(&self, number: i64) -> Result<(), String> {
        match self {
            Self::AtLeast(low) if number < *low => Err(format!("Value must be at least {low}")),
            Self::Between(low, _) if number < *low => Err(format!("Value must be at least {low}")),
            Self::Between(_, high) if number > *high => {
                Err(format!("Value must be no more than {high}"))
            }
            Self::GzipLevel if number != -1 && !(1..=9).contains(&number) => {
                Err("Value must be between 1 and 9 or equal to -1".into())
            }
            _ => Ok(()),
        }
    }
}

/// The allowed values as documentation shows them; empty for [`Check::Any`].
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::AtLeast(low) => write!(f, "[{low},...]"),
            Self::Between(low, high) => write!(f, "[{low},...,{high}]"),
            Self::Share(low, high) => write!(f, "[{low},...,{high}]"),
            Self::NonEmpty => f.write_str("non-empty string"),
            Self::OneOf(allowed) | Self::EachOf(allowed) => write!(f, "[{}]", allowed.join(", ")),
            Self::OneOfIgnoreCase(allowed) => {
                write!(f, "(case insensitive) [{}]", allowed.join(", "))
            }
            Self::GzipLevel => f.write_str("[1,...,9] or -1"),
            Self::ThrottledReplicas => {
                f.write_str("[partitionId]:[brokerId],[partitionId]:[brokerId],...")
            }
        }
    }
}

fn within(number: f64, low: f64, high: f64) -> Result<(), String> {
    if number < low || number.is_nan() {
        Err(format!("Value must be at least {low}"))
    } else if number > high {
        Err(format!("Value must be no more than {high}"))
    } else {
        Ok(())
    }
}

fn one_of(text: &str, allowed: &[&str], same: impl Fn(&str, &str) -> bool) -> Result<(), String> {
    if allowed.iter().any(|candidate| same(candidate, text)) {
        Ok(())
    } else {
        Err(format!("String must be one of: {}", allowed.join(", ")))
    }
}

/// `ThrottledReplicaListValidator`: a lone `*` or `none`, or pairs of numbers.
fn throttled_replicas(items: &[String]) -> Result<(), String> {
    let is_pair = |item: &String| {
        item.split_once(':').is_some_and(|(partition, broker)| {
            [partition, broker]
                .iter()
                .all(|n| n.parse::<i32>().is_ok_and(|n| n >= 0))
        })
    };
    let lone_word = matches!(items, [word] if word == "*" || word.eq_ignore_ascii_case("none"));
    if lone_word || items.iter().all(is_pair) {
        Ok(())
    } else {
        Err(
            "Must be the literal '*' or a list of replicas in the following format: \
             [partitionId]:[brokerId],[partitionId]:[brokerId],..."
                .into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_at_their_edges() {
        let table = [
            (Check::AtLeast(1), Value::Int(0), false),
            (Check::AtLeast(1), Value::Int(1), true),
            (Check::Between(1, 17), Value::Int(18), false),
            (Check::Between(1, 17), Value::Int(17), true),
            (Check::Share(0.0, 1.0), Value::Double(1.01), false),
            (Check::Share(0.0, 1.0), Value::Double(f64::NAN), false),
            (Check::Share(0.0, 1.0), Value::Double(1.0), true),
            (Check::GzipLevel, Value::Int(-1), true),
            (Check::GzipLevel, Value::Int(0), false),
            (Check::OneOf(&["a"]), Value::String("A".into()), false),
            (
                Check::OneOfIgnoreCase(&["a"]),
                Value::String("A".into()),
                true,
            ),
            (
                Check::EachOf(&["a", "b"]),
                Value::List(vec!["a".into(), "c".into()]),
                false,
            ),
            (Check::EachOf(&["a", "b"]), Value::List(vec![]), true),
            (
                Check::ThrottledReplicas,
                Value::List(vec!["*".into()]),
                true,
            ),
            (
                Check::ThrottledReplicas,
                Value::List(vec!["0:1".into(), "1:2".into()]),
                true,
            ),
            (
                Check::ThrottledReplicas,
                Value::List(vec!["0:1".into(), "*".into()]),
                false,
            ),
        ];
        for (check, value, ok) in table {
            assert_eq!(check.verify(&value).is_ok(), ok, "{check:?} {value:?}");
        }
    }
}
