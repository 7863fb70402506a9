//! A bound address and the loop that accepts its connections, within the limits on their number.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::broker::Broker;
use crate::network::connection::Connection;

/// Pause after a failed accept. The usual cause is a lack of descriptors, which only other connections' ends mend.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An address that clients connect to.
#[derive(Debug)]
pub struct Listener {
    name: Arc<str>,
    socket: TcpListener,
}

impl Listener {
    /// Bind `address`, port 0 for any free port.
    ///
    /// # Errors
    /// What the operating system says, such as that the port is taken.
    pub fn bind(name: &str, address: SocketAddr, backlog: i32) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            // `[::]` takes IPv4 clients as well, whatever the machine's default, as the JVM's sockets do.
            socket.set_only_v6(false)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(backlog)?;
        Ok(Self {
            name: name.into(),
            socket: TcpListener::from_std(socket.into())?,
        })
    }

    /// Name of the listener, as in `listeners`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The bound address, with the port that port 0 became.
    ///
    /// # Errors
    /// When the socket is dead.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accept until the broker shuts down. Connections end by themselves then.
    pub async fn run(self, broker: Arc<Broker>, slots: Arc<ConnectionSlots>) {
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = broker.shutdown().requested() => return,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(&broker, &slots, stream, peer),
                Err(error) => {
                    tracing::warn!(listener = %self.name, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(
        &self,
        broker: &Arc<Broker>,
        slots: &Arc<ConnectionSlots>,
        stream: TcpStream,
        peer: SocketAddr,
    ) {
        let Some(slot) = slots.take(peer.ip()) else {
            tracing::info!(%peer, listener = %self.name, "connection refused: max.connections or max.connections.per.ip reached");
            return;
        };
        if let Some(delay) = broker.quotas().connection_opened(peer.ip()) {
            tracing::debug!(%peer, listener = %self.name, ?delay, "connection refused: connection_creation_rate exceeded");
            let shutdown = broker.shutdown().clone();
            tokio::spawn(async move {
                // Nothing is read of it. Closed at once it would be opened again at once.
                drop(tokio::time::timeout(delay, shutdown.requested()).await);
                drop((stream, slot));
            });
            return;
        }
        match Connection::new(Arc::clone(broker), stream, Arc::clone(&self.name), peer) {
            Ok(connection) => {
                let busy = broker.shutdown().busy();
                tokio::spawn(async move {
                    connection.run().await;
                    drop((slot, busy));
                });
            }
            Err(error) => tracing::debug!(%peer, %error, "connection lost"),
        }
    }
}

/// Counts connections against their limits.
#[derive(Debug)]
pub struct ConnectionSlots {
    max: usize,
    max_per_ip: usize,
    max_of_ip: HashMap<IpAddr, usize>,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

impl ConnectionSlots {
    /// Slots for `max` connections, `max_per_ip` of them from one address, or as many as `max_of_ip` says of it.
    pub fn new(max: usize, max_per_ip: usize, max_of_ip: HashMap<IpAddr, usize>) -> Arc<Self> {
        Arc::new(Self {
            max,
            max_per_ip,
            max_of_ip,
            taken: Mutex::default(),
        })
    }

    fn take(self: &Arc<Self>, ip: IpAddr) -> Option<Slot> {
        // A listener for both families sees IPv4 clients as mapped addresses.
        let ip = ip.to_canonical();
        let limit = self.max_of_ip.get(&ip).copied().unwrap_or(self.max_per_ip);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_ip = taken.get(&ip).copied().unwrap_or(0);
        if of_ip >= limit || taken.values().sum::<usize>() >= self.max {
            return None;
        }
        taken.insert(ip, of_ip + 1);
        Some(Slot {
            slots: Arc::clone(self),
            ip,
        })
    }
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
struct Slot {
    slots: Arc<ConnectionSlots>,
    ip: IpAddr,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self
            .slots
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_limit_of_its_own() {
        let [special, plain]: [IpAddr; 2] = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap());
        let slots = ConnectionSlots::new(9, 1, HashMap::from([(special, 2)]));
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        let held = [slots.take(special), slots.take(mapped), slots.take(plain)];
        assert!(held.iter().all(Option::is_some));
        assert!(slots.take(special).is_none() && slots.take(plain).is_none());
    }

    #[test]
    fn slots_are_limited_in_all_and_per_address_and_come_back() {
        let slots = ConnectionSlots::new(3, 2, HashMap::new());
        let [one, two]: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        let first = slots.take(one).unwrap();
        let _second = slots.take(one).unwrap();
        assert!(slots.take(one).is_none(), "two from one address");
        let _third = slots.take(two).unwrap();
        assert!(slots.take(two).is_none(), "three in all");
        drop(first);
        assert!(slots.take(one).is_some());
    }
}
