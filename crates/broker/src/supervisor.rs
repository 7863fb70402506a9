//! Tells systemd, or whoever started this process in its manner, that it is ready or stopping (`sd_notify`).

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Recovery is over and the listeners are bound.
    Ready,
    /// A stop has begun.
    Stopping,
}

/// Tells it to the socket named by `NOTIFY_SOCKET`; without one, does nothing.
pub fn notify(state: State) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
        return;
    };
    if let Err(error) = send(&socket, state) {
        tracing::warn!(%error, "cannot notify the supervisor at NOTIFY_SOCKET");
    }
}

fn send(socket: &OsStr, state: State) -> io::Result<()> {
    let message: &[u8] = match state {
        State::Ready => b"READY=1",
        State::Stopping => b"STOPPING=1",
    };
    UnixDatagram::unbound()?
        .send_to_addr(message, &address(socket)?)
        .map(|_| ())
}

/// A path, or a name in the abstract namespace after an `@`.
fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes().strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name),
        _ => SocketAddr::from_pathname(socket),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_reaches_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        for (state, message) in [
            (State::Ready, &b"READY=1"[..]),
            (State::Stopping, b"STOPPING=1"),
        ] {
            send(path.as_os_str(), state).unwrap();
            let mut buffer = [0; 64];
            let length = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], message);
        }
        assert!(send(dir.path().join("nobody").as_os_str(), State::Ready).is_err());
    }
}
