//! `ottla healthcheck`: asks `/readyz` of the broker that this configuration describes. For containers without a shell.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::exit::{Exit, fail};
use super::{ConfigArgs, load, print};
use crate::config::Endpoint;

const TIMEOUT: Duration = Duration::from_secs(5);
/// More than any answer of `/readyz`, bytes.
const MAX_ANSWER: u64 = 64 * 1024;

pub(super) fn run(args: &ConfigArgs) -> Exit {
    let config = match load::from_args(args)
        .and_then(|loaded| loaded.config.map_err(|error| error.to_string()))
    {
        Ok(config) => config,
        Err(error) => return fail(Exit::Config, &error),
    };
    let Some(endpoint) = config.http_listener() else {
        return fail(
            Exit::Config,
            "ottla.http.listener is empty: there is nothing to ask",
        );
    };
    match ask(&endpoint) {
        Ok((true, body)) => print(&body),
        Ok((false, body)) => fail(Exit::Failure, body.trim_end()),
        Err(error) => fail(Exit::Failure, &format!("cannot ask {endpoint}: {error}")),
    }
}

/// Whether it is ready, and what it says.
fn ask(endpoint: &Endpoint) -> std::io::Result<(bool, String)> {
    let host = if endpoint.is_wildcard() {
        "localhost"
    } else {
        &endpoint.host
    };
    let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
    for address in (host, endpoint.port).to_socket_addrs()? {
        let mut stream = match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => stream,
            Err(error) => {
                last = error;
                continue;
            }
        };
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(
            b"GET /readyz?verbose HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        )?;
        let mut answer = String::new();
        stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        return Ok((head.starts_with("HTTP/1.1 200 "), body.to_owned()));
    }
    Err(last)
}
