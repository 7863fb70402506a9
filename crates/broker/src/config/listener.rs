//! Listeners: `listeners`, `advertised.listeners` and `listener.security.protocol.map` as typed values.
//!
//! The rules and messages are those of Kafka's `SocketServerConfigs.listenerListToEndPoints` and `KafkaConfig`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::{NetworkSettings, QuorumSettings};

/// How the bytes of a listener are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum SecurityProtocol {
    /// Neither encryption nor authentication.
    Plaintext = 0,
    /// TLS.
    Ssl = 1,
    /// SASL without encryption.
    SaslPlaintext = 2,
    /// SASL over TLS.
    SaslSsl = 3,
}

impl SecurityProtocol {
    fn parse(name: &str) -> Result<Self, String> {
        match name.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => Ok(Self::Plaintext),
            "SSL" => Ok(Self::Ssl),
            "SASL_PLAINTEXT" => Ok(Self::SaslPlaintext),
            "SASL_SSL" => Ok(Self::SaslSsl),
            _ => Err(format!(
                "Security protocol {name} is invalid; there are PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL"
            )),
        }
    }
}

impl fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        })
    }
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Name or address, IPv6 without brackets; empty is all addresses.
    pub host: String,
    /// Port; 0 takes a free one.
    pub port: u16,
}

impl Endpoint {
    /// Reads `host:port`; IPv6 addresses stand in brackets.
    pub fn parse(text: &str) -> Result<Self, String> {
        let unreadable = || format!("Unable to parse {text} as host:port");
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(unreadable)?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        if bare.unwrap_or(host).contains(['[', ']', '/', ',', ' '])
            || (bare.is_none() && host.contains(':'))
        {
            return Err(unreadable());
        }
        let port = port
            .parse()
            .map_err(|_| format!("{text}: a port is a number from 0 to 65535"))?;
        Ok(Self {
            host: bare.unwrap_or(host).to_owned(),
            port,
        })
    }

    /// Whether no other machine, and not even this one, can connect to the host as it is written.
    pub fn is_wildcard(&self) -> bool {
        self.host.is_empty()
            || self
                .host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_unspecified())
    }

    /// Whether only this machine can connect to it.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.parse::<Ipv6Addr>().is_ok() {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// An address the broker listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name, in upper case.
    pub name: String,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// How its bytes are protected.
    pub protocol: SecurityProtocol,
    /// What clients are told to connect to. `None`: the local address of the client's own connection, which it can
    /// reach by definition. A port of 0 stands for the port that was bound.
    pub advertised: Option<Endpoint>,
    /// Whether it belongs to the controller (`controller.listener.names`) and not to clients.
    pub is_controller: bool,
}

/// All listeners of a broker, checked against each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listeners {
    /// In the order of `listeners`.
    pub all: Vec<Listener>,
}

impl Listeners {
    /// Reads the listener keys; the error is one line for the user.
    pub fn parse(network: &NetworkSettings, quorum: &QuorumSettings) -> Result<Self, String> {
        let controllers = names(
            quorum
                .controller_listener_names
                .as_deref()
                .unwrap_or_default(),
        );
        let protocols = protocols(&network.listener_security_protocol_map)?;
        let advertised = endpoints(network.advertised_listeners.as_deref().unwrap_or_default())?;
        let bound = endpoints(&network.listeners)?;
        check_listeners(&network.listeners.join(","), &bound)?;
        check_advertised(&advertised, &bound)?;
        let all = bound.into_iter().map(|(name, endpoint)| {
            let is_controller = controllers.contains(&name);
            let protocol = match protocols.iter().find(|(mapped, _)| *mapped == name) {
                Some((_, protocol)) => *protocol,
                None if is_controller => SecurityProtocol::Plaintext,
                None => return Err(format!("No security protocol defined for listener {name}; add it to listener.security.protocol.map")),
            };
            let fixed = advertised.iter().find(|(of, _)| *of == name).map(|(_, endpoint)| endpoint.clone());
            let advertised = fixed.or_else(|| is_host_name(&endpoint.host).then(|| endpoint.clone()));
            Ok(Listener { name, endpoint, protocol, advertised, is_controller })
        });
        let listeners = Self {
            all: all.collect::<Result<_, _>>()?,
        };
        listeners.check_protocols()?;
        Ok(listeners)
    }

    /// Those that clients use.
    pub fn for_clients(&self) -> impl Iterator<Item = &Listener> {
        self.all.iter().filter(|listener| !listener.is_controller)
    }

    /// A listener that asks for protection is never opened without it.
    fn check_protocols(&self) -> Result<(), String> {
        if self.for_clients().next().is_none() {
            return Err("listeners has no listener for clients".into());
        }
        match self
            .for_clients()
            .find(|listener| listener.protocol != SecurityProtocol::Plaintext)
        {
            None => Ok(()),
            Some(Listener {
                name,
                endpoint,
                protocol,
                ..
            }) => Err(format!(
                "listener {name}://{endpoint} asks for {protocol}, which this version does not speak yet: \
                 use a PLAINTEXT listener on a trusted network, or put a TLS proxy in front"
            )),
        }
    }

    /// What is legal and yet seldom meant, one line each.
    pub fn warnings(&self) -> Vec<String> {
        let wide = |listener: &&Listener| !listener.endpoint.is_loopback();
        let unreachable = |listener: &&Listener| {
            listener
                .advertised
                .as_ref()
                .is_some_and(Endpoint::is_loopback)
        };
        self.for_clients()
            .filter(wide)
            .filter(unreachable)
            .filter_map(|listener| {
                let advertised = listener.advertised.as_ref()?;
                Some(format!(
                    "listener {} is open to other machines and tells them to connect to {advertised}: they will reach themselves. \
                     Advertise a name they can resolve, or nothing",
                    listener.name
                ))
            })
            .collect()
    }
}

fn names(list: &[String]) -> Vec<String> {
    list.iter()
        .filter(|name| !name.is_empty())
        .map(|name| name.to_ascii_uppercase())
        .collect()
}

fn is_host_name(host: &str) -> bool {
    !host.is_empty() && host != "localhost" && host.parse::<IpAddr>().is_err()
}

fn protocols(map: &str) -> Result<Vec<(String, SecurityProtocol)>, String> {
    let entries = map
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (name, protocol) = entry.rsplit_once(':').ok_or_else(|| {
                format!("listener.security.protocol.map: {entry} is not NAME:PROTOCOL")
            })?;
            Ok((
                name.trim().to_ascii_uppercase(),
                SecurityProtocol::parse(protocol.trim())?,
            ))
        })
        .collect()
}

/// Reads a list of `NAME://host:port`.
fn endpoints(list: &[String]) -> Result<Vec<(String, Endpoint)>, String> {
    let entries = list
        .iter()
        .map(String::as_str)
        .filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let unreadable = || {
                format!("Unable to parse {entry} to a broker endpoint; it must be NAME://host:port")
            };
            let (name, address) = entry.split_once("://").ok_or_else(unreadable)?;
            if name.is_empty() {
                return Err(unreadable());
            }
            let endpoint =
                Endpoint::parse(address).map_err(|reason| format!("{}: {reason}", unreadable()))?;
            Ok((name.to_ascii_uppercase(), endpoint))
        })
        .collect()
}

fn check_listeners(text: &str, bound: &[(String, Endpoint)]) -> Result<(), String> {
    if bound.is_empty() {
        return Err("listeners must name at least one listener".into());
    }
    for (index, (name, endpoint)) in bound.iter().enumerate() {
        for (other_name, other) in &bound[index + 1..] {
            if name == other_name {
                return Err(format!(
                    "Each listener must have a different name, listeners: {text}"
                ));
            }
            if endpoint.port == other.port
                && endpoint.port != 0
                && !differ_in_family(endpoint, other)
            {
                return Err(format!(
                    "Each listener must have a different port, listeners: {text}"
                ));
            }
        }
    }
    Ok(())
}

/// KIP-797: the same port may be used once for IPv4 and once for IPv6.
fn differ_in_family(a: &Endpoint, b: &Endpoint) -> bool {
    match (a.host.parse::<IpAddr>(), b.host.parse::<IpAddr>()) {
        (Ok(a), Ok(b)) => a.is_ipv4() != b.is_ipv4(),
        _ => false,
    }
}

fn check_advertised(
    advertised: &[(String, Endpoint)],
    bound: &[(String, Endpoint)],
) -> Result<(), String> {
    for (index, (name, endpoint)) in advertised.iter().enumerate() {
        if advertised[index + 1..]
            .iter()
            .any(|(other, _)| other == name)
        {
            return Err(format!("advertised.listeners names {name} twice"));
        }
        if !bound.iter().any(|(other, _)| other == name) {
            let valid: Vec<_> = bound.iter().map(|(name, _)| name.as_str()).collect();
            return Err(format!(
                "advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. \
                 Found {name}. The valid options based on the current configuration are {}",
                valid.join(",")
            ));
        }
        if endpoint.is_wildcard() {
            let host = if endpoint.host.is_empty() {
                "an empty host"
            } else {
                &endpoint.host
            };
            return Err(format!(
                "advertised.listeners cannot use the nonroutable meta-address {host}. Use a routable IP address \
                 or name, or leave the listener out: clients are then told the address they reached"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
