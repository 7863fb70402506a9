//! Which value of a key holds while the broker runs: topic > this broker > cluster default > file > default (KIP-226).
//!
//! Pure functions over the layers; the dynamic ones come from `ConfigRecord`s in the metadata image.

use std::collections::{BTreeMap, HashMap};

use super::key::Key;
use super::topic::TopicConfig;
use super::value::Value;
use super::{BrokerConfig, KEYS, TOPIC_KEYS};

/// One layer of dynamic configs, by key.
pub trait Overrides {
    /// The text that was set for `name`.
    fn text(&self, name: &str) -> Option<&str>;
}

impl Overrides for BTreeMap<String, String> {
    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

impl Overrides for HashMap<String, String> {
    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

/// A layer in which nothing is set.
impl Overrides for () {
    fn text(&self, _: &str) -> Option<&str> {
        None
    }
}

/// Where a value that holds comes from, with the ids of DescribeConfigs (`ConfigSource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigSource {
    /// Set on the topic.
    DynamicTopic = 1,
    /// Set on this broker.
    DynamicBroker = 2,
    /// Set as the default of all brokers.
    DynamicDefaultBroker = 3,
    /// Set by file, environment or command line.
    StaticBroker = 4,
    /// Not set.
    Default = 5,
    /// Set on the group.
    Group = 8,
}

/// The layers that hold for a broker, or for a topic on it.
#[derive(Clone, Copy)]
pub struct Layers<'a> {
    /// Configs of the topic, or of the group; `&()` when a broker is looked at.
    pub topic: &'a dyn Overrides,
    /// Dynamic configs of this broker.
    pub broker: &'a dyn Overrides,
    /// Dynamic configs of all brokers.
    pub cluster: &'a dyn Overrides,
    /// File, environment and command line.
    pub fixed: &'a BrokerConfig,
}

impl<'a> Layers<'a> {
    /// No dynamic configs.
    pub fn of(fixed: &'a BrokerConfig) -> Self {
        Self {
            topic: &(),
            broker: &(),
            cluster: &(),
            fixed,
        }
    }
}

/// A value under the name and from the layer it was set in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The key that was set.
    pub name: &'static str,
    /// Its value in its own unit; `None` when it must not be shown.
    pub value: Option<String>,
    /// The layer.
    pub source: ConfigSource,
}

/// One entry of DescribeConfigs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The key, for type, doc and flags.
    pub name: &'static str,
    /// The value that holds; `None` when there is none or it must not be shown.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// Everything that was set for it or a synonym, the value that holds first.
    pub synonyms: Vec<ConfigSynonym>,
}

/// The values that hold for a topic.
pub fn topic_config(layers: &Layers<'_>) -> TopicConfig {
    let mut config = TopicConfig::default();
    for key in TOPIC_KEYS.iter() {
        if let Some(value) =
            effective_text(key, layers).and_then(|text| Value::parse(key, &text).ok())
        {
            config.assign(key.name, Some(&value));
        }
    }
    config
}

/// The typed settings of a broker with its dynamic configs applied.
pub fn broker_config(layers: &Layers<'_>) -> BrokerConfig {
    let mut config = layers.fixed.clone();
    for key in KEYS.iter().filter(|key| !key.is_read_only()) {
        let text = [layers.broker, layers.cluster]
            .iter()
            .find_map(|layer| layer.text(key.name));
        if let Some(value) = text.and_then(|text| Value::parse(key, text).ok()) {
            config.assign(key.name, &value);
        }
    }
    config
}

/// What DescribeConfigs says about a topic config.
pub fn describe_topic(key: &'static Key, layers: &Layers<'_>) -> ConfigEntry {
    let mut synonyms: Vec<_> = layers
        .topic
        .text(key.name)
        .into_iter()
        .map(|text| synonym(key, key.name, text, ConfigSource::DynamicTopic))
        .collect();
    synonyms.extend(broker_synonyms(
        key,
        key.synonyms.iter().map(|synonym| synonym.name),
        layers,
    ));
    entry(key, effective_text(key, layers), synonyms)
}

/// What DescribeConfigs says about a broker config.
pub fn describe_broker(key: &'static Key, layers: &Layers<'_>) -> ConfigEntry {
    let names = std::iter::once(key.name).chain(key.synonyms.iter().map(|synonym| synonym.name));
    entry(
        key,
        broker_text(key, layers),
        broker_synonyms(key, names, layers),
    )
}

/// What DescribeConfigs says about a group config: of the broker it takes the value only
/// (`ConfigHelper.createGroupConfigEntry`).
pub fn describe_group(key: &'static Key, layers: &Layers<'_>) -> ConfigEntry {
    let source = match layers.topic.text(key.name) {
        Some(_) => ConfigSource::Group,
        None => ConfigSource::Default,
    };
    let text = effective_text(key, layers);
    let synonyms = text.iter().map(|text| synonym(key, key.name, text, source));
    entry(key, text.clone(), synonyms.collect())
}

fn entry(key: &'static Key, text: Option<String>, synonyms: Vec<ConfigSynonym>) -> ConfigEntry {
    let source = synonyms
        .first()
        .map_or(ConfigSource::Default, |first| first.source);
    let shown = text.map(|text| Value::parse(key, &text).map_or(text, |value| value.to_string()));
    ConfigEntry {
        name: key.name,
        value: shown.filter(|_| !key.is_sensitive()),
        source,
        synonyms,
    }
}

/// The text that holds for the key of a topic or group, in its own unit.
pub(super) fn effective_text(key: &Key, layers: &Layers<'_>) -> Option<String> {
    let own = layers.topic.text(key.name).map(str::to_owned);
    own.or_else(|| inherited(key, key.synonyms, layers))
        .or_else(|| key.default.map(str::to_owned))
}

/// The text that holds for a broker key, in its own unit.
fn broker_text(key: &Key, layers: &Layers<'_>) -> Option<String> {
    let own = [super::Synonym::same(key.name)];
    let chain: Vec<_> = own.iter().chain(key.synonyms).copied().collect();
    inherited(key, &chain, layers).or_else(|| key.default.map(str::to_owned))
}

/// The first value set for one of `chain`, layer by layer. Of a dynamic value that does not pass the check, which
/// a broker of another version may have let in, nothing is taken.
fn inherited(key: &Key, chain: &[super::Synonym], layers: &Layers<'_>) -> Option<String> {
    let dynamic = [layers.broker, layers.cluster]
        .into_iter()
        .find_map(|layer| {
            chain.iter().find_map(|synonym| {
                layer
                    .text(synonym.name)
                    .map(|text| synonym.convert(text))
                    .filter(|text| Value::parse(key, text).is_ok())
            })
        });
    let fixed = || {
        chain.iter().find_map(|synonym| {
            layers
                .fixed
                .setting(synonym.name)
                .map(|setting| synonym.convert(&setting.value.to_string()))
        })
    };
    dynamic.or_else(fixed)
}

/// Everything set for `names` and their defaults, in order of precedence.
fn broker_synonyms(
    key: &Key,
    names: impl Iterator<Item = &'static str> + Clone,
    layers: &Layers<'_>,
) -> Vec<ConfigSynonym> {
    let dynamic = |layer: &dyn Overrides, source| {
        let set = names.clone().filter_map(|name| {
            layer
                .text(name)
                .map(|text| synonym(key, name, text, source))
        });
        set.collect::<Vec<_>>()
    };
    let mut all = dynamic(layers.broker, ConfigSource::DynamicBroker);
    all.extend(dynamic(layers.cluster, ConfigSource::DynamicDefaultBroker));
    all.extend(names.clone().filter_map(|name| {
        let setting = layers.fixed.setting(name)?;
        Some(synonym(
            key,
            name,
            &setting.value.to_string(),
            ConfigSource::StaticBroker,
        ))
    }));
    all.extend(names.clone().filter_map(|name| {
        Some(synonym(
            key,
            name,
            super::key(name)?.default?,
            ConfigSource::Default,
        ))
    }));
    all
}

fn synonym(key: &Key, name: &'static str, text: &str, source: ConfigSource) -> ConfigSynonym {
    ConfigSynonym {
        name,
        value: (!key.is_sensitive()).then(|| text.to_owned()),
        source,
    }
}

/// Checks a dynamic broker config as AlterConfigs must; the message is for `INVALID_CONFIG` or `INVALID_REQUEST`.
/// `cluster_default`: it is set for all brokers and not for one.
pub fn validate_broker_value(name: &str, text: &str, cluster_default: bool) -> Result<(), String> {
    use super::{Class, UpdateMode};
    let key = super::key(name).ok_or_else(|| {
        let near = super::load::did_you_mean(name)
            .map_or(String::new(), |near| format!(" (did you mean {near}?)"));
        format!("Unknown broker config name: {name}{near}")
    })?;
    match (key.update, key.class) {
        (UpdateMode::ReadOnly, _) => Err(format!(
            "Cannot update these configs dynamically: Set({name})"
        )),
        (UpdateMode::PerBroker, _) if cluster_default => Err(format!(
            "Cannot update these configs at default cluster level, broker id must be specified: Set({name})"
        )),
        (_, Class::Unsupported(hint) | Class::Unsafe(hint)) => {
            Err(format!("{name} is not supported: {hint}"))
        }
        _ => Value::parse(key, text)
            .map(|_| ())
            .map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests;
