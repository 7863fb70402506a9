use super::*;

#[test]
fn every_default_passes_its_own_check() {
    for key in KEYS.iter() {
        assert!(!key.doc().is_empty(), "{} has no doc", key.name);
        if let Some(default) = key.default {
            let value = Value::parse(key, default).unwrap_or_else(|error| panic!("{error}"));
            if !key.is_sensitive() {
                assert_eq!(value.to_string(), default, "{}", key.name);
            }
        }
        for synonym in key.synonyms {
            assert!(
                super::key(synonym.name).is_some(),
                "{} <- {}",
                key.name,
                synonym.name
            );
        }
    }
    for synonym in TOPIC_KEYS.iter().flat_map(|key| key.synonyms) {
        assert!(super::key(synonym.name).is_some(), "{}", synonym.name);
    }
}

#[test]
fn no_key_stands_in_the_table_twice() {
    let mut names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    names.dedup();
    assert_eq!(names.len(), KEYS.len());
}

#[test]
fn a_topic_default_is_the_default_of_its_broker_key() {
    for topic in TOPIC_KEYS.iter() {
        let Some(first) = topic.synonyms.first() else {
            continue;
        };
        let with_default = topic
            .synonyms
            .iter()
            .find_map(|s| Some(s.convert(key(s.name)?.default?)));
        assert_eq!(with_default.as_deref(), topic.default, "{}", topic.name);
        let broker = key(first.name).unwrap();
        assert_eq!(broker.kind, topic.kind, "{}", topic.name);
        assert_eq!(
            broker.class, topic.class,
            "{}: the broker key does what the topic key does",
            topic.name
        );
    }
}

#[test]
fn a_broker_starts_with_the_defaults() {
    let config = BrokerConfig::default();
    assert_eq!(config.log_dirs(), [PathBuf::from("./ottla-data")]);
    assert_eq!(config.metadata_log_dir(), PathBuf::from("./ottla-data"));
    assert_eq!(config.node_id(), BrokerId(1));
    assert_eq!(
        config.http_listener(),
        Some(Endpoint {
            host: "127.0.0.1".into(),
            port: 9404
        })
    );
    assert_eq!(config.network.socket_request_max_bytes, 104_857_600);
    assert_eq!(config.topic_defaults(), TopicConfig::default());
    let [listener] = config.listeners.all.as_slice() else {
        panic!()
    };
    assert_eq!(
        (listener.endpoint.to_string().as_str(), &listener.advertised),
        ("127.0.0.1:9092", &None)
    );
}

#[test]
fn listener_prefixed_keys_are_known_by_their_inner_key() {
    for (name, inner) in [
        (
            "listener.name.external.ssl.keystore.password",
            Some("ssl.keystore.password"),
        ),
        (
            "listener.name.external.plain.sasl.jaas.config",
            Some("sasl.jaas.config"),
        ),
        (
            "listener.name.external.max.connections",
            Some("max.connections"),
        ),
        ("listener.name.external.nonsense", None),
        ("listener.name.", None),
    ] {
        assert_eq!(key(name).map(|key| key.name), inner, "{name}");
    }
}

#[test]
fn contradictions_are_named_together() {
    let refused = |overrides: &[(&str, &str)]| {
        BrokerConfig::with_overrides(overrides.iter().copied())
            .unwrap_err()
            .to_string()
    };
    assert!(
        refused(&[("process.roles", "broker")]).contains("process.roles must be broker,controller")
    );
    assert!(
        refused(&[("controller.quorum.voters", "1@a:9093,2@b:9093")])
            .contains("a quorum of several nodes")
    );
    assert!(refused(&[("broker.id", "2"), ("node.id", "1")]).contains("You must set `node.id`"));
    assert!(refused(&[("ottla.cluster.id", "a b")]).contains("cannot be a cluster id"));
    assert!(refused(&[("log.dirs", " , ")]).contains("at least one directory"));
    assert!(refused(&[("ottla.http.listener", "9404")]).contains("not host:port"));
    let both = refused(&[("process.roles", "broker"), ("listeners", "SSL://:9093")]);
    assert_eq!(both.lines().count(), 2, "{both}");
    let quickstart = [
        ("broker.id", "7"),
        ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
        ("controller.listener.names", "CONTROLLER"),
        ("controller.quorum.voters", "7@localhost:9093"),
    ];
    // With only broker.id set, node.id follows it.
    assert_eq!(
        BrokerConfig::with_overrides(quickstart).unwrap().node_id(),
        BrokerId(7)
    );
}

#[test]
fn a_secret_is_in_no_output() {
    let config = BrokerConfig::with_overrides([("ssl.keystore.password", "s3cret")]).unwrap();
    assert_eq!(
        config.get("ssl.keystore.password").as_deref(),
        Some("[hidden]")
    );
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn the_documentation_names_every_key() {
    let text = docs::markdown();
    for key in KEYS.iter().chain(TOPIC_KEYS.iter()) {
        assert!(
            text.contains(&format!("| `{}` |", key.name)),
            "{}",
            key.name
        );
    }
}

/// All source text that reads settings: what is not a table of keys.
fn readers() -> String {
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            let is_table = path
                .parent()
                .is_some_and(|parent| parent.ends_with("config"))
                && !path.ends_with("listener.rs");
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_table {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}

#[test]
fn a_key_that_is_called_applied_is_read_somewhere() {
    let text = readers();
    let words: std::collections::HashSet<&str> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .collect();
    let is_topic_default = |name: &str| {
        TOPIC_KEYS
            .iter()
            .any(|key| key.synonyms.iter().any(|s| s.name == name))
    };
    // `dynamic_group.rs` reads these by name.
    let is_group_default =
        |name: &str| name.starts_with("group.consumer.") && name.ends_with(".ms");
    let broker_keys = KEYS.iter().filter(|key| {
        !is_topic_default(key.name) && !is_group_default(key.name) && key.name != "broker.id"
    });
    for key in broker_keys
        .chain(TOPIC_KEYS.iter())
        .filter(|key| key.class == Class::Applied)
    {
        let field = key.name.replace('.', "_");
        assert!(
            words.contains(field.as_str()),
            "{}: nobody reads {field}; is its class NoEffect?",
            key.name
        );
    }
}
