//! One entry of the configuration table, and the macro by which the table is declared.
//!
//! A key is declared once: name, type, default, doc, update mode, check, class, synonyms. Parsing, DescribeConfigs,
//! AlterConfigs, `ottla config docs` and the typed settings structs all come from that one declaration.

use super::check::Check;

/// Type of a value, with the ids DescribeConfigs uses (`ConfigType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean = 1,
    /// Any text.
    String = 2,
    /// 32-bit integer.
    Int = 3,
    /// 16-bit integer.
    Short = 4,
    /// 64-bit integer.
    Long = 5,
    /// 64-bit float.
    Double = 6,
    /// Texts separated by commas.
    List = 7,
    /// Name of a Java class.
    Class = 8,
    /// Text that is never shown.
    Password = 9,
}

impl ConfigType {
    /// The name Kafka uses in messages: `INT`, `LIST`, ...
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// Whether and where a broker key can be changed while the broker runs (KIP-226).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateMode {
    /// Only by a restart.
    ReadOnly,
    /// For one broker at a time.
    PerBroker,
    /// For one broker or as the default of all.
    ClusterWide,
}

impl UpdateMode {
    /// The name Kafka's documentation uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::PerBroker => "per-broker",
            Self::ClusterWide => "cluster-wide",
        }
    }
}

/// What becomes of a key that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It does what Apache Kafka says it does.
    Applied,
    /// It is accepted, checked and shown, and changes nothing here (yet).
    NoEffect,
    /// It asks for something that does not exist here; the text says what to do instead.
    Unsupported(&'static str),
    /// As `Unsupported`, but running without it would be unsafe: the broker refuses to start.
    Unsafe(&'static str),
}

/// A broker key from which another key takes its value when it is not set itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// Name of the broker key.
    pub name: &'static str,
    /// Factor between the unit of `name` and that of the key which has the synonym.
    pub scale: i64,
}

impl Synonym {
    pub(super) const fn same(name: &'static str) -> Self {
        Self { name, scale: 1 }
    }

    pub(super) const fn minutes(name: &'static str) -> Self {
        Self {
            name,
            scale: 60_000,
        }
    }

    pub(super) const fn hours(name: &'static str) -> Self {
        Self {
            name,
            scale: 3_600_000,
        }
    }

    /// `value`, which is in the unit of this synonym, in the unit of the key that has it. Negative means "no limit"
    /// and becomes -1, as in `KafkaConfig.logRetentionTimeMillis`.
    pub fn convert(&self, value: &str) -> String {
        match (self.scale, value.trim().parse::<i64>()) {
            (1, _) | (_, Err(_)) => value.to_owned(),
            (_, Ok(number)) if number < 0 => "-1".to_owned(),
            (scale, Ok(number)) => number.saturating_mul(scale).to_string(),
        }
    }
}

/// One entry of the table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name Apache Kafka gives it, such as `log.segment.bytes`.
    pub name: &'static str,
    /// Type of the value.
    pub kind: ConfigType,
    /// The default as it would stand in a file; `None` where there is none.
    pub default: Option<&'static str>,
    /// Whether it can be changed while the broker runs. Topic keys are `ClusterWide`.
    pub update: UpdateMode,
    /// What a value must fulfil beyond its type.
    pub check: Check,
    /// What becomes of it when it is set.
    pub class: Class,
    /// Broker keys it falls back to, nearest first.
    pub synonyms: &'static [Synonym],
    pub(super) raw_doc: &'static str,
}

impl Key {
    /// One or two sentences on what it means, with its unit.
    pub fn doc(&self) -> &'static str {
        self.raw_doc.trim()
    }

    /// Whether its value must not be shown.
    pub const fn is_sensitive(&self) -> bool {
        matches!(self.kind, ConfigType::Password)
    }

    /// Whether AlterConfigs can never change it.
    pub const fn is_read_only(&self) -> bool {
        matches!(self.update, UpdateMode::ReadOnly)
    }
}

/// Declares a settings struct and its part of the table.
///
/// With a field: `field: type, "name" = default, mode, check, class [, from [synonym("name"), ...]];`
/// Without: `Type "name" = default, mode, check, class [, from [...]];`. `null` is "no default".
macro_rules! config_keys {
    (
        $(#[$struct_doc:meta])*
        pub struct $settings:ident, keys $keys:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident : $type:ty, $name:literal = $default:tt, $mode:ident,
                $check:ident $(($($bound:tt)*))?, $class:ident $(($hint:literal))?
                $(, from [$($synonym:ident($synonym_name:literal)),* $(,)?])?;
            )*
        }
        $(without_field {
            $(
                $(#[doc = $other_doc:literal])+
                $other_kind:ident $other_name:literal = $other_default:tt, $other_mode:ident,
                $other_check:ident $(($($other_bound:tt)*))?, $other_class:ident $(($other_hint:literal))?
                $(, from [$($other_synonym:ident($other_synonym_name:literal)),* $(,)?])?;
            )*
        })?
    ) => {
        $(#[$struct_doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $settings {
            $( $(#[doc = $doc])+ pub $field: $type, )*
        }

        #[allow(dead_code, reason = "a subject may have no key with a field")]
        pub(super) const $keys: &[super::key::Key] = &[
            $( super::key::Key {
                name: $name,
                kind: <$type as super::value::Field>::KIND,
                default: super::key::default_value!($default),
                update: super::key::UpdateMode::$mode,
                check: super::check::Check::$check $(($($bound)*))?,
                class: super::key::Class::$class $(($hint))?,
                synonyms: &[$($(super::key::Synonym::$synonym($synonym_name)),*)?],
                raw_doc: concat!($($doc),+),
            }, )*
            $($( super::key::Key {
                name: $other_name,
                kind: super::key::ConfigType::$other_kind,
                default: super::key::default_value!($other_default),
                update: super::key::UpdateMode::$other_mode,
                check: super::check::Check::$other_check $(($($other_bound)*))?,
                class: super::key::Class::$other_class $(($other_hint))?,
                synonyms: &[$($(super::key::Synonym::$other_synonym($other_synonym_name)),*)?],
                raw_doc: concat!($($other_doc),+),
            }, )*)?
        ];

        impl $settings {
            /// Sets the field of `name`, if this struct has one, to a value that has passed the key's check.
            #[allow(unused_variables, clippy::match_single_binding, reason = "a subject may have no key with a field")]
            pub(super) fn assign(&mut self, name: &str, value: Option<&super::value::Value>) {
                match name {
                    $( $name => if let Some(value) = super::value::Field::from_value(value) {
                        self.$field = value;
                    }, )*
                    _ => {}
                }
            }
        }

        impl Default for $settings {
            fn default() -> Self {
                Self { $( $field: super::value::from_default(super::key::default_value!($default)), )* }
            }
        }
    };
}

macro_rules! default_value {
    (null) => {
        None
    };
    ($default:literal) => {
        Some(concat!($default))
    };
}

pub(super) use {config_keys, default_value};
