//! Whose quota holds for a client: the eight levels of user and client id (KIP-55, `ClientQuotaManager`).

use std::collections::HashMap;
use std::net::IpAddr;

use crate::metadata::image::{ClientQuotaEntity, ClientQuotasImage};

/// What a quota limits. Of equal throttle times the later one counts, as in Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum QuotaKind {
    /// `producer_byte_rate`: bytes of Produce requests a second.
    Produce,
    /// `consumer_byte_rate`: bytes of Fetch responses a second.
    Fetch,
    /// `controller_mutation_rate`: partitions created and deleted a second.
    ControllerMutation,
    /// `request_percentage`: time on the broker's threads, in hundredths of one thread.
    Request,
}

impl QuotaKind {
    /// All kinds, in the order of their discriminants.
    pub const ALL: [Self; 4] = [
        Self::Produce,
        Self::Fetch,
        Self::ControllerMutation,
        Self::Request,
    ];

    /// Its name as the metrics show it (`QuotaType`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Produce => "Produce",
            Self::Fetch => "Fetch",
            Self::ControllerMutation => "ControllerMutation",
            Self::Request => "Request",
        }
    }

    /// Its key in a quota record (`QuotaConfig`).
    pub fn key(self) -> &'static str {
        match self {
            Self::Produce => "producer_byte_rate",
            Self::Fetch => "consumer_byte_rate",
            Self::ControllerMutation => "controller_mutation_rate",
            Self::Request => "request_percentage",
        }
    }
}

/// Key of the quota on new connections from one address, in a quota record.
const CONNECTION_CREATION_RATE: &str = "connection_creation_rate";

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct QuotaClient<'a> {
    /// Name of the connection's principal.
    pub user: &'a str,
    /// `client.id`, empty when there is none.
    pub client_id: &'a str,
}

/// Those who share a quota, as the metrics name them: what the quota does not tell apart is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaEntity {
    /// The user; empty where quotas go by client id alone.
    pub user: Box<str>,
    /// The client id; empty where quotas go by user alone.
    pub client_id: Box<str>,
}

/// The quotas of one kind, by level.
#[derive(Debug, Default, PartialEq)]
pub struct Levels {
    users: HashMap<Box<str>, Level>,
    default_user: Level,
    clients: Level,
}

/// Quotas of one user, of the default user, or without regard of users.
#[derive(Debug, Default, PartialEq)]
struct Level {
    clients: HashMap<Box<str>, f64>,
    default_client: Option<f64>,
    /// Of all clients together; never there without a user.
    whole: Option<f64>,
}

impl Level {
    /// A client without an id is none that a quota by client id holds for.
    fn client(&self, client_id: &str) -> Option<f64> {
        if client_id.is_empty() {
            return None;
        }
        self.clients.get(client_id).copied().or(self.default_client)
    }

    fn set(&mut self, client_id: Option<Option<&str>>, value: f64) {
        match client_id {
            Some(Some(id)) => drop(self.clients.insert(id.into(), value)),
            Some(None) => self.default_client = Some(value),
            None => self.whole = Some(value),
        }
    }
}

impl Levels {
    /// The most specific quota for `client`, and who shares it. User goes before client id, and a name before the
    /// default.
    pub fn find(&self, client: &QuotaClient<'_>) -> Option<(QuotaEntity, f64)> {
        let QuotaClient { user, client_id } = *client;
        for level in [self.users.get(user), Some(&self.default_user)] {
            let Some(level) = level else { continue };
            if let Some(value) = level.client(client_id) {
                return Some((QuotaEntity::new(user, client_id), value));
            }
            if let Some(value) = level.whole {
                return Some((QuotaEntity::new(user, ""), value));
            }
        }
        let value = self.clients.client(client_id)?;
        Some((QuotaEntity::new("", client_id), value))
    }

    fn set(&mut self, user: Option<Option<&str>>, client_id: Option<Option<&str>>, value: f64) {
        let level = match user {
            Some(Some(name)) => self.users.entry(name.into()).or_default(),
            Some(None) => &mut self.default_user,
            None => &mut self.clients,
        };
        level.set(client_id, value);
    }
}

impl QuotaEntity {
    fn new(user: &str, client_id: &str) -> Self {
        Self {
            user: user.into(),
            client_id: client_id.into(),
        }
    }

    /// The same as one who asks, to find what holds for it now.
    pub fn client(&self) -> QuotaClient<'_> {
        QuotaClient {
            user: &self.user,
            client_id: &self.client_id,
        }
    }
}

/// All quotas of the cluster, ready to be looked up.
#[derive(Debug, Default, PartialEq)]
pub struct QuotaIndex {
    levels: [Option<Levels>; QuotaKind::ALL.len()],
    addresses: HashMap<IpAddr, f64>,
    default_address: Option<f64>,
}

impl QuotaIndex {
    /// The quotas that are set; entities and keys that nobody knows are passed over.
    pub fn new(image: &ClientQuotasImage) -> Self {
        let mut index = Self::default();
        for (entity, values) in image.entities() {
            for (key, value) in values {
                index.add(entity, key, *value);
            }
        }
        index
    }

    fn add(&mut self, entity: &ClientQuotaEntity, key: &str, value: f64) {
        if let Some(ip) = entity.part(ClientQuotaEntity::IP) {
            if key == CONNECTION_CREATION_RATE {
                self.add_address(ip, value);
            }
            return;
        }
        let user = entity.part(ClientQuotaEntity::USER);
        let client_id = entity.part(ClientQuotaEntity::CLIENT_ID);
        let kind = QuotaKind::ALL.into_iter().find(|kind| kind.key() == key);
        if let Some(kind) = kind
            && (user.is_some() || client_id.is_some())
        {
            let levels = self.levels[kind as usize].get_or_insert_default();
            levels.set(user, client_id, value);
        }
    }

    fn add_address(&mut self, ip: Option<&str>, rate: f64) {
        match ip.map(str::parse::<IpAddr>) {
            None => self.default_address = Some(rate),
            Some(Ok(ip)) => drop(self.addresses.insert(ip.to_canonical(), rate)),
            // AlterClientQuotas lets host names pass that stand for an address; only addresses can be met again here.
            Some(Err(_)) => {}
        }
    }

    /// Whether there is no quota at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The quotas of `kind`; `None` when there are none.
    pub fn levels(&self, kind: QuotaKind) -> Option<&Levels> {
        self.levels[kind as usize].as_ref()
    }

    /// Connections a second that `ip` may open; `None` when it may open any number.
    pub fn connection_rate(&self, ip: IpAddr) -> Option<f64> {
        let of_ip = self.addresses.get(&ip.to_canonical()).copied();
        of_ip.or(self.default_address)
    }
}

#[cfg(test)]
mod tests;
