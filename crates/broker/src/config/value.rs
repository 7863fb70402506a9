//! Values of the configuration table: text to typed value and back, as `ConfigDef.parseType` does it.

use std::fmt;

use thiserror::Error;

use super::key::{ConfigType, Key};

/// A value of the right type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Boolean(bool),
    /// Text; also the name of a class.
    String(String),
    /// 32-bit integer.
    Int(i32),
    /// 16-bit integer.
    Short(i16),
    /// 64-bit integer.
    Long(i64),
    /// 64-bit float.
    Double(f64),
    /// Texts.
    List(Vec<String>),
    /// Text that is never shown.
    Password(Password),
}

/// A value that was refused; the message is Kafka's (`ConfigException`).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("Invalid value {value} for configuration {name}: {reason}")]
pub struct InvalidValue {
    /// The key.
    pub name: String,
    /// The value, or `[hidden]`.
    pub value: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Value {
    /// Reads `text` as a value of `key` and applies the key's check.
    pub fn parse(key: &Key, text: &str) -> Result<Self, InvalidValue> {
        Self::parse_type(key.kind, text)
            .and_then(|value| key.check.verify(&value).map(|()| value))
            .map_err(|reason| InvalidValue {
                name: key.name.to_owned(),
                value: if key.is_sensitive() {
                    HIDDEN.to_owned()
                } else {
                    text.trim().to_owned()
                },
                reason,
            })
    }

    fn parse_type(kind: ConfigType, text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let not_a_number = || format!("Not a number of type {}", kind.name());
        Ok(match kind {
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("true") => Self::Boolean(true),
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("false") => Self::Boolean(false),
            ConfigType::Boolean => return Err("Expected value to be either true or false".into()),
            ConfigType::Int => Self::Int(trimmed.parse().map_err(|_| not_a_number())?),
            ConfigType::Short => Self::Short(trimmed.parse().map_err(|_| not_a_number())?),
            ConfigType::Long => Self::Long(trimmed.parse().map_err(|_| not_a_number())?),
            ConfigType::Double => Self::Double(trimmed.parse().map_err(|_| not_a_number())?),
            ConfigType::List if trimmed.is_empty() => Self::List(Vec::new()),
            ConfigType::List => Self::List(
                trimmed
                    .split(',')
                    .map(|item| item.trim().to_owned())
                    .collect(),
            ),
            ConfigType::String | ConfigType::Class => Self::String(trimmed.to_owned()),
            ConfigType::Password => Self::Password(Password(trimmed.to_owned())),
        })
    }

    /// The number, if it is a whole one.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(i64::from(*number)),
            Self::Short(number) => Some(i64::from(*number)),
            Self::Long(number) => Some(*number),
            _ => None,
        }
    }
}

/// As DescribeConfigs shows it: lists with commas, passwords hidden.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::String(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Short(value) => value.fmt(f),
            Self::Long(value) => value.fmt(f),
            Self::Double(value) if *value >= 1e16 => write!(f, "{value:E}"),
            Self::Double(value) => write!(f, "{value:?}"),
            Self::List(items) => f.write_str(&items.join(",")),
            Self::Password(_) => f.write_str(HIDDEN),
        }
    }
}

const HIDDEN: &str = "[hidden]";

/// A secret: it can be read, and does not appear in `Debug` or `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// A type that a field of a settings struct can have.
pub trait Field: Sized {
    /// The type the table shows.
    const KIND: ConfigType;

    /// The field's value; `None` if `value` is of another type or missing where it must not be.
    fn from_value(value: Option<&Value>) -> Option<Self>;
}

macro_rules! field {
    ($($type:ty, $kind:ident, $pattern:pat => $value:expr;)*) => {
        $(impl Field for $type {
            const KIND: ConfigType = ConfigType::$kind;

            fn from_value(value: Option<&Value>) -> Option<Self> {
                match value? {
                    $pattern => Some($value),
                    _ => None,
                }
            }
        })*
    };
}

field! {
    bool, Boolean, Value::Boolean(value) => *value;
    i16, Short, Value::Short(value) => *value;
    i32, Int, Value::Int(value) => *value;
    i64, Long, Value::Long(value) => *value;
    f64, Double, Value::Double(value) => *value;
    String, String, Value::String(value) => value.clone();
    Vec<String>, List, Value::List(value) => value.clone();
    Password, Password, Value::Password(value) => value.clone();
}

impl<T: Field> Field for Option<T> {
    const KIND: ConfigType = T::KIND;

    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value {
            None => Some(None),
            Some(_) => T::from_value(value).map(Some),
        }
    }
}

/// The field's value by default. The defaults are part of the table and a test parses them all.
pub(super) fn from_default<T: Field>(default: Option<&'static str>) -> T {
    let value = default.map(|text| {
        Value::parse_type(T::KIND, text).expect("invariant: the table's defaults parse")
    });
    T::from_value(value.as_ref())
        .expect("invariant: the table's defaults have the type of their field")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_a_value_of_the_type() {
        let table = [
            (ConfigType::Boolean, " TRUE ", Some("true")),
            (ConfigType::Boolean, "yes", None),
            (ConfigType::Int, " 7 ", Some("7")),
            (ConfigType::Int, "2147483648", None),
            (ConfigType::Int, "1.0", None),
            (ConfigType::Short, "32768", None),
            (
                ConfigType::Long,
                "9223372036854775807",
                Some("9223372036854775807"),
            ),
            (ConfigType::Double, "0.5", Some("0.5")),
            (ConfigType::Double, "1", Some("1.0")),
            (
                ConfigType::Double,
                "1.7976931348623157E308",
                Some("1.7976931348623157E308"),
            ),
            (ConfigType::List, "a , b,c", Some("a,b,c")),
            (ConfigType::List, "", Some("")),
            (ConfigType::Password, "s3cret", Some("[hidden]")),
        ];
        for (kind, text, shown) in table {
            let value = Value::parse_type(kind, text);
            assert_eq!(
                value.ok().map(|value| value.to_string()).as_deref(),
                shown,
                "{kind:?} {text:?}"
            );
        }
    }

    #[test]
    fn a_password_shows_in_no_output() {
        let value = Value::parse_type(ConfigType::Password, "s3cret").unwrap();
        assert!(!format!("{value} {value:?}").contains("s3cret"));
    }
}
