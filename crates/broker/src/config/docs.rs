//! The reference of all keys as Markdown (`ottla config docs`).

use std::fmt::Write;

use super::key::{Class, Key};
use super::{BrokerConfig, KEYS, SUBJECTS, TOPIC_KEYS};

/// All broker keys by subject, then all topic configs.
pub fn markdown() -> String {
    let mut text = String::from("# Configuration\n");
    for (subject, keys) in SUBJECTS {
        section(&mut text, subject, keys);
    }
    section(&mut text, "Topic configs", &TOPIC_KEYS);
    text
}

fn section(text: &mut String, title: &str, keys: &[Key]) {
    let _ = write!(
        text,
        "\n## {title}\n\n| key | type | default | allowed | update | meaning |\n|---|---|---|---|---|---|\n"
    );
    for key in keys {
        let default = match key.default {
            None => "none".to_owned(),
            Some("") => "empty".to_owned(),
            Some(default) => format!("`{default}`"),
        };
        let note = match key.class {
            Class::Applied => String::new(),
            Class::NoEffect => " *Accepted, without effect.*".to_owned(),
            Class::Unsupported(hint) => format!(" *Not supported: {hint}.*"),
            Class::Unsafe(hint) => format!(" *Refused: {hint}.*"),
        };
        let (name, kind, update) = (
            key.name,
            key.kind.name().to_ascii_lowercase(),
            key.update.name(),
        );
        let _ = writeln!(
            text,
            "| `{name}` | {kind} | {default} | {} | {update} | {}{note} |",
            key.check,
            key.doc()
        );
    }
}

/// Every key that has a value, as a properties file with the source of each (`ottla config print`, `/config`).
/// Secrets are hidden.
pub fn effective(config: &BrokerConfig) -> String {
    let mut text = String::new();
    let prefixed = config
        .settings()
        .filter(|(name, _)| name.starts_with("listener.name."))
        .map(|(name, _)| name);
    for name in KEYS.iter().map(|key| key.name).chain(prefixed) {
        let Some(value) = config.get(name) else {
            continue;
        };
        match config.setting(name) {
            Some(setting) => writeln!(text, "# {}\n{name}={}", setting.origin, escape(&value)),
            None => writeln!(text, "# default\n{name}={}", escape(&value)),
        }
        // Writing to a String cannot fail.
        .unwrap_or_default();
    }
    text
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
        .replace('\t', "\\t")
}
