//! A line of output: the same fields for people, as Apache Kafka's tool prints them, and as a JSON object.

use std::fmt::Write;

use serde_json::Value;

/// Fields in order.
#[derive(Default)]
pub(super) struct Line(Vec<(&'static str, Cell)>);

/// The value of a field.
pub(super) enum Cell {
    /// A number, a flag or a word.
    Plain(Value),
    /// A number that need not be there.
    Optional(Option<i64>),
    /// Words.
    List(Vec<String>),
}

impl Line {
    /// Add a field.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((name, Cell::Plain(value.into())));
        self
    }

    /// Add a number that need not be there.
    pub(super) fn with_optional(mut self, name: &'static str, value: Option<i64>) -> Self {
        self.0.push((name, Cell::Optional(value)));
        self
    }

    /// Add a list of words.
    pub(super) fn with_list(mut self, name: &'static str, words: Vec<String>) -> Self {
        self.0.push((name, Cell::List(words)));
        self
    }

    /// `name: value name: value`.
    pub(super) fn text(&self) -> String {
        let field = |(name, cell): &(&str, Cell)| match cell {
            Cell::Plain(Value::String(word)) => format!("{name}: {word}"),
            Cell::Plain(value) => format!("{name}: {value}"),
            Cell::Optional(None) => format!("{name}: OptionalLong.empty"),
            Cell::Optional(Some(value)) => format!("{name}: OptionalLong[{value}]"),
            Cell::List(words) => format!("{name}: [{}]", words.join(",")),
        };
        self.0.iter().map(field).collect::<Vec<_>>().join(" ")
    }

    /// The fields in their order, behind those of `head`. By hand, because a map of serde_json would sort them.
    pub(super) fn json(&self, head: &[(&str, Value)]) -> String {
        let mut text = String::from("{");
        let head = head.iter().map(|(name, value)| (*name, value.clone()));
        let fields = self.0.iter().map(|(name, cell)| {
            let value = match cell {
                Cell::Plain(value) => value.clone(),
                Cell::Optional(value) => (*value).into(),
                Cell::List(words) => words.clone().into(),
            };
            (*name, value)
        });
        for (index, (name, value)) in head.chain(fields).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            // Writing to a string does not fail.
            let _ = write!(text, "{comma}{}:{value}", Value::from(name));
        }
        text + "}"
    }
}
