//! From the layers to a `BrokerConfig`: file < `KAFKA_*` environment < `--override`, and a report on every key.
//!
//! No I/O: the file's bytes, the environment and a way to read secrets are passed in.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ottla_storage::properties;

use super::key::Class;
use super::providers::{self, Lookup};
use super::removed::removed;
use super::report::{Finding, Report, Verdict};
use super::value::Value;
use super::{BrokerConfig, ConfigError, KEYS, Origin, Setting, environment, key};

/// What a configuration is made of.
pub struct Input<'a> {
    /// The properties file: its name and its bytes.
    pub file: Option<(PathBuf, Vec<u8>)>,
    /// All variables of the environment.
    pub environment: Vec<(String, String)>,
    /// `key=value` texts of `--override`.
    pub overrides: Vec<String>,
    /// Whether what would be ignored is refused.
    pub strict: bool,
    /// How `${file:...}` and `${dir:...}` read.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
}

impl Default for Input<'_> {
    fn default() -> Self {
        let read = &|_: &Path| Err(io::ErrorKind::Unsupported.into());
        Self {
            file: None,
            environment: Vec::new(),
            overrides: Vec::new(),
            strict: false,
            read,
        }
    }
}

struct Entry {
    key: String,
    text: String,
    origin: Origin,
}

/// Reads all layers. The report is complete even when the configuration is refused.
pub fn load(input: &Input<'_>) -> (Report, Result<BrokerConfig, ConfigError>) {
    let mut report = Report::default();
    let mut settings = BTreeMap::new();
    for entry in entries(input, &mut report) {
        let (verdict, message) = match judge(&entry, input) {
            Ok((verdict, message, value)) => {
                if let Some(value) = value {
                    settings.insert(
                        entry.key.clone(),
                        Setting {
                            value,
                            origin: entry.origin.clone(),
                        },
                    );
                }
                (verdict, message)
            }
            Err(message) => (Verdict::Invalid, message),
        };
        report.findings.push(Finding {
            key: entry.key,
            origin: Some(entry.origin),
            verdict,
            message,
        });
    }
    // An unsafe key may have been set back to its default by a later layer: only the last word counts.
    let is_harmless = |finding: &Finding| {
        finding.verdict == Verdict::Unsafe
            && settings
                .get(&finding.key)
                .is_some_and(|setting| is_default(&finding.key, &setting.value))
    };
    report
        .findings
        .iter_mut()
        .filter(|finding| is_harmless(finding))
        .for_each(|finding| finding.verdict = Verdict::Applied);

    let whole = |verdict, message| Finding {
        key: String::new(),
        origin: None,
        verdict,
        message,
    };
    let config = BrokerConfig::from_settings(settings);
    match &config {
        Ok(config) => report.findings.extend(
            config
                .listeners
                .warnings()
                .into_iter()
                .map(|text| whole(Verdict::Warning, text)),
        ),
        Err(error) => report.findings.extend(
            error
                .0
                .iter()
                .map(|text| whole(Verdict::Invalid, text.clone())),
        ),
    }
    let fatal: Vec<_> = report
        .fatal(input.strict)
        .map(ToString::to_string)
        .collect();
    if fatal.is_empty() {
        (report, config)
    } else {
        (report, Err(ConfigError(fatal)))
    }
}

/// All entries in the order of the layers, so that the last one of a key wins.
fn entries(input: &Input<'_>, report: &mut Report) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut refuse = |key: &str, origin, message| {
        let finding = Finding {
            key: key.to_owned(),
            origin: Some(origin),
            verdict: Verdict::Invalid,
            message,
        };
        report.findings.push(finding);
    };
    if let Some((path, bytes)) = &input.file {
        match properties::parse(bytes) {
            Ok(properties) => entries.extend(properties.into_iter().map(|property| Entry {
                key: property.key,
                text: property.value,
                origin: Origin::File {
                    path: path.clone(),
                    line: property.line,
                },
            })),
            Err(error) => refuse(
                "",
                Origin::File {
                    path: path.clone(),
                    line: error.line,
                },
                error.to_string(),
            ),
        }
    }
    let variables = input
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    entries.extend(
        environment::properties(variables)
            .into_iter()
            .map(|property| Entry {
                key: property.key,
                text: property.value,
                origin: Origin::Environment(property.variable),
            }),
    );
    for text in &input.overrides {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                entries.push(Entry {
                    key: key.trim().to_owned(),
                    text: value.to_owned(),
                    origin: Origin::Override,
                });
            }
            _ => refuse(text, Origin::Override, "must be key=value".into()),
        }
    }
    entries
}

/// What becomes of an entry, with its value when there is one to keep.
fn judge(entry: &Entry, input: &Input<'_>) -> Result<(Verdict, String, Option<Value>), String> {
    let Some(key) = key(&entry.key) else {
        return Ok(judge_unknown(&entry.key));
    };
    let env = |name: &str| {
        input
            .environment
            .iter()
            .find(|(variable, _)| variable == name)
            .map(|(_, value)| value.clone())
    };
    let text = providers::resolve(
        &entry.text,
        &Lookup {
            env: &env,
            read: input.read,
        },
    )?;
    if key.kind != super::ConfigType::String && key.default.is_none() && text.trim().is_empty() {
        return Ok((
            Verdict::NoEffect,
            "an empty value counts as not set".into(),
            None,
        ));
    }
    let value = Value::parse(key, &text).map_err(|error| error.to_string())?;
    let (verdict, message) = match key.class {
        Class::Applied => (Verdict::Applied, String::new()),
        Class::NoEffect => (Verdict::NoEffect, String::new()),
        Class::Unsupported(_) | Class::Unsafe(_) if is_default(key.name, &value) => {
            (Verdict::NoEffect, String::new())
        }
        Class::Unsupported(hint) => (Verdict::Unsupported, hint.to_owned()),
        Class::Unsafe(hint) => (Verdict::Unsafe, format!("refused: {hint}")),
    };
    Ok((verdict, message, Some(value)))
}

fn is_default(name: &str, value: &Value) -> bool {
    key(name).is_some_and(|key| key.default.unwrap_or("") == value.to_string())
}

fn judge_unknown(name: &str) -> (Verdict, String, Option<Value>) {
    if let Some(hint) = removed(name) {
        return (Verdict::Removed, hint.to_owned(), None);
    }
    if OPEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return (Verdict::NoEffect, String::new(), None);
    }
    let message = did_you_mean(name).map_or(String::new(), |near| format!("did you mean {near}?"));
    (Verdict::Unknown, message, None)
}

/// Keys that belong to plug-ins, whose names nobody can know.
const OPEN_PREFIXES: [&str; 3] = ["config.providers.", "rsm.config.", "rlmm.config."];

/// The known key that is most like `name`, if one is like it at all.
pub fn did_you_mean(name: &str) -> Option<&'static str> {
    let likeness = |key: &&'static str| {
        strsim::normalized_damerau_levenshtein(&name.to_ascii_lowercase(), key)
    };
    let nearest = KEYS
        .iter()
        .map(|key| key.name)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&nearest) >= 0.75).then_some(nearest)
}

#[cfg(test)]
mod tests;
