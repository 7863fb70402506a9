//! Start-up and memory: from exec on an empty data directory to the first answer; resident size when idle, with idle
//! connections, and with connections that announce large requests and do not send them.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path as FilePath;
use std::time::Duration;

use crate::affinity::Placement;
use crate::case::{Case, Measure, Path};
use crate::client::{Client, connect};
use crate::clock::now;
use crate::error::{Doing, Result};
use crate::sample::{Metric, Sample, Target};
use crate::server::Server;

/// The name of the case with a raw side.
pub(crate) const EMPTY_START: &str = "empty start to first answer, then idle";
/// Time until memory is read: what start-up or the connections took only for a moment has gone by then.
const SETTLE: Duration = Duration::from_millis(300);
/// Connections that have asked once and then do nothing; below the usual limit of 1024 descriptors.
const IDLE_CONNECTIONS: usize = 500;
/// Connections that stop within a request.
const HALF_SENT: usize = 64;
/// The length their requests announce: the largest that brokers take (`socket.request.max.bytes`).
const ANNOUNCED: u32 = 100 << 20;
/// The bytes they send of it.
const SENT: usize = 64 << 10;

/// A new process for every sample.
pub(crate) fn cases<'a>(
    program: &'a FilePath,
    placement: &'a Placement,
    scratch: &'a FilePath,
) -> Vec<Case<'a>> {
    let broker = move |load: Load| -> Measure<'a> {
        Box::new(move || {
            let dir = tempfile::tempdir_in(scratch).doing("creating a data directory")?;
            let data = dir.path().join("data");
            let start = now();
            let server = Server::broker(program, &data, placement)?;
            let wall = now() - start;
            let _held = load.apply(&server)?;
            settled(&server, wall)
        })
    };
    let raw: Measure<'a> = Box::new(move || {
        let start = now();
        let server = Server::raw(placement)?;
        settled(&server, now() - start)
    });
    let case = |label: String, sides, targets| Case {
        path: Path::Startup,
        label,
        sides,
        targets,
    };
    vec![
        case(
            EMPTY_START.into(),
            vec![("raw server", raw), ("ottla", broker(Load::None))],
            vec![
                Target::AtMost(Metric::Millis, 30.0),
                Target::AtMost(Metric::Rss, 15.0),
            ],
        ),
        case(
            format!("with {IDLE_CONNECTIONS} idle connections"),
            vec![("ottla", broker(Load::Idle))],
            Vec::new(),
        ),
        case(
            format!(
                "with {HALF_SENT} requests of {} MiB, {} KiB of each sent",
                ANNOUNCED >> 20,
                SENT >> 10
            ),
            vec![("ottla", broker(Load::HalfSent))],
            Vec::new(),
        ),
    ]
}

/// What a server holds when its memory is read.
#[derive(Clone, Copy)]
enum Load {
    None,
    Idle,
    HalfSent,
}

impl Load {
    /// Puts the load on; it lasts as long as the connections are held.
    fn apply(self, server: &Server) -> Result<Vec<TcpStream>> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::Idle => (0..IDLE_CONNECTIONS)
                .map(|_| {
                    let mut client = Client::connect(server.address)?;
                    client.api_versions()?;
                    Ok(client.into_socket())
                })
                .collect(),
            Self::HalfSent => (0..HALF_SENT)
                .map(|_| {
                    let mut socket = connect(server.address)?;
                    socket.write_all(&half_sent()).doing("sending a request")?;
                    Ok(socket)
                })
                .collect(),
        }
    }
}

/// The start of a Produce request of version 9.
fn half_sent() -> Vec<u8> {
    let mut start = ANNOUNCED.to_be_bytes().to_vec();
    start.extend([0, 0, 0, 9, 0, 0, 0, 1]);
    start.resize(SENT, 0);
    start
}

/// A sample of a server that has just started, once its memory has settled.
pub(crate) fn settled(server: &Server, wall: Duration) -> Result<Sample> {
    std::thread::sleep(SETTLE);
    let (rss, rss_anonymous) = server.resident()?;
    Ok(Sample {
        cpu: server.clock.read()?,
        wall,
        requests: 1,
        rss,
        rss_anonymous,
        ..Sample::default()
    })
}
