//! `KAFKA_*` variables as properties, by the rules of the official container image (`KafkaDockerWrapper`).
//!
//! `KAFKA_LOG_RETENTION_HOURS` is `log.retention.hours`: the prefix goes, the rest becomes lower case, `___` becomes
//! `-`, `__` becomes `_` and `_` becomes `.`. `CLUSTER_ID`, which has no prefix there either, is `ottla.cluster.id`.

/// A variable and the property it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromEnvironment {
    /// Name of the variable.
    pub variable: String,
    /// The property.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// The properties among `variables`, ordered by variable.
///
/// Left out: variables for the JVM and for Kafka's scripts, and those that Kubernetes adds for a Service called
/// `kafka` (`KAFKA_PORT=tcp://...`, `KAFKA_SERVICE_HOST`). As the image does, `listeners` is derived from
/// `KAFKA_ADVERTISED_LISTENERS` when only that is set.
pub fn properties<'a>(
    variables: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<FromEnvironment> {
    let mut found: Vec<_> = variables
        .into_iter()
        .filter_map(|(name, value)| property(name, value))
        .collect();
    found.sort_by(|a, b| a.variable.cmp(&b.variable));
    if let Some(listeners) = derived_listeners(&found) {
        found.push(listeners);
    }
    found
}

fn property(variable: &str, value: &str) -> Option<FromEnvironment> {
    if variable == "CLUSTER_ID" {
        return Some(FromEnvironment {
            variable: variable.to_owned(),
            key: "ottla.cluster.id".to_owned(),
            value: value.to_owned(),
        });
    }
    let rest = variable
        .strip_prefix("KAFKA_")
        .filter(|rest| !rest.is_empty())?;
    let is_kubernetes = value.starts_with("tcp://")
        || value.starts_with("udp://")
        || ["SERVICE_", "PORT_"]
            .iter()
            .any(|prefix| rest.starts_with(prefix))
        || rest == "PORT";
    let is_for_scripts =
        NOT_PROPERTIES.contains(&rest) || rest.starts_with("JMX_") || rest.starts_with("LOG4J_");
    if is_kubernetes || is_for_scripts {
        return None;
    }
    let key = rest
        .to_ascii_lowercase()
        .replace('_', ".")
        .replace("...", "-")
        .replace("..", "_");
    Some(FromEnvironment {
        variable: variable.to_owned(),
        key,
        value: value.to_owned(),
    })
}

const NOT_PROPERTIES: [&str; 13] = [
    "VERSION",
    "HEAP_OPTS",
    "OPTS",
    "JVM_PERFORMANCE_OPTS",
    "GC_LOG_OPTS",
    "TOOLS_LOG4J_LOGLEVEL",
    "HOME",
    "CONF_DIR",
    "DEBUG",
    "DAEMON_MODE",
    "CLASSPATH",
    "SSL_KEYSTORE_FILENAME",
    "SSL_TRUSTSTORE_FILENAME",
];

/// `NAME://host:port` of every advertised listener with the host replaced by all addresses.
fn derived_listeners(found: &[FromEnvironment]) -> Option<FromEnvironment> {
    let of = |key: &str| found.iter().find(|property| property.key == key);
    let advertised = of("advertised.listeners").filter(|_| of("listeners").is_none())?;
    let listen = |entry: &str| {
        let (name, address) = entry.trim().split_once("://")?;
        let (_, port) = address.rsplit_once(':')?;
        Some(format!("{name}://0.0.0.0:{port}"))
    };
    let value = advertised
        .value
        .split(',')
        .map(listen)
        .collect::<Option<Vec<_>>>()?
        .join(",");
    Some(FromEnvironment {
        variable: advertised.variable.clone(),
        key: "listeners".into(),
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_mapped_as_in_the_official_image() {
        let table = [
            ("KAFKA_LOG_RETENTION_HOURS", Some("log.retention.hours")),
            (
                "KAFKA_LISTENER_NAME_EXTERNAL_SSL_KEYSTORE_TYPE",
                Some("listener.name.external.ssl.keystore.type"),
            ),
            ("KAFKA_A__B", Some("a_b")),
            ("KAFKA_A___B", Some("a-b")),
            ("KAFKA_OTTLA_HTTP_LISTENER", Some("ottla.http.listener")),
            ("KAFKA_", None),
            ("KAFKA_HEAP_OPTS", None),
            ("KAFKA_JMX_PORT", None),
            ("KAFKA_LOG4J_LOGGERS", None),
            ("KAFKA_SERVICE_HOST", None),
            ("KAFKA_PORT_9092_TCP_ADDR", None),
            ("CLUSTER_ID", Some("ottla.cluster.id")),
            ("PATH", None),
            ("kafka_node_id", None),
        ];
        for (variable, key) in table {
            assert_eq!(
                property(variable, "1")
                    .map(|property| property.key)
                    .as_deref(),
                key,
                "{variable}"
            );
        }
        assert_eq!(property("KAFKA_BROKER", "tcp://10.0.0.1:9092"), None);
    }

    #[test]
    fn listeners_follow_the_advertised_ones_when_unset() {
        let derive = |variables: &[(&'static str, &'static str)]| {
            let all = properties(variables.iter().copied());
            all.into_iter()
                .find(|property| property.key == "listeners")
                .map(|property| property.value)
        };
        let advertised = (
            "KAFKA_ADVERTISED_LISTENERS",
            "PLAINTEXT://localhost:9092,EXT://[::1]:9093",
        );
        assert_eq!(
            derive(&[advertised]).as_deref(),
            Some("PLAINTEXT://0.0.0.0:9092,EXT://0.0.0.0:9093")
        );
        assert_eq!(
            derive(&[advertised, ("KAFKA_LISTENERS", "X://:1")]).as_deref(),
            Some("X://:1")
        );
        assert_eq!(derive(&[]), None);
    }
}
