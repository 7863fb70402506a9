//! Consumer groups at scale: how long a large group takes to rebalance, and what ten thousand members cost.
//!
//! Every member is a connection of its own that speaks the protocol itself, so that nothing but the broker is measured:
//! members rejoin the moment they are told to, which in real clients takes up to a heartbeat interval.

use std::path::Path as FilePath;
use std::time::Duration;

use crate::affinity::Placement;
use crate::case::{Case, Measure, Path};
use crate::client::Client;
use crate::clock::now;
use crate::error::{Doing, Result};
use crate::sample::{Metric, Sample, Target};
use crate::server::Server;

mod classic;
mod consumer;

/// Groups of the case about memory, and members of each.
const MANY: (usize, usize) = (1000, 10);
/// Members of the group that rebalances, and partitions that they share.
const LARGE: usize = 500;
const PARTITIONS: usize = 1000;
const TOPIC: &str = "bench-groups";

/// A new broker for every sample.
pub(crate) fn cases<'a>(
    program: &'a FilePath,
    placement: &'a Placement,
    scratch: &'a FilePath,
) -> Vec<Case<'a>> {
    let case = |label, partitions, work: Work, targets| Case {
        path: Path::Groups,
        label,
        sides: vec![(
            "ottla",
            measure(program, placement, scratch, partitions, work),
        )],
        targets,
    };
    let at_most_5_s = vec![Target::AtMost(Metric::Millis, 5000.0)];
    vec![
        case(
            format!("member {LARGE} joins, classic"),
            PARTITIONS,
            classic::rebalance,
            at_most_5_s.clone(),
        ),
        case(
            format!("member {LARGE} joins, KIP-848"),
            PARTITIONS,
            consumer::rebalance,
            at_most_5_s,
        ),
        case(
            format!("{} groups of {} members, classic", MANY.0, MANY.1),
            MANY.1,
            classic::many,
            vec![Target::AtMost(Metric::Rss, 200.0)],
        ),
    ]
}

/// What is done to a broker: keeps the members' connections, and gives the time it took.
type Work = fn(&Server) -> Result<(Vec<Client>, Duration)>;

fn measure<'a>(
    program: &'a FilePath,
    placement: &'a Placement,
    scratch: &'a FilePath,
    partitions: usize,
    work: Work,
) -> Measure<'a> {
    Box::new(move || {
        let dir = tempfile::tempdir_in(scratch).doing("creating a data directory")?;
        let server = Server::broker(program, &dir.path().join("data"), placement)?;
        Client::connect(server.address)?.create_topic(TOPIC, partitions)?;
        let before = server.clock.read()?;
        let (_members, wall) = work(&server)?;
        let (rss, rss_anonymous) = server.resident()?;
        Ok(Sample {
            cpu: server.clock.read()? - before,
            wall,
            requests: 1,
            rss,
            rss_anonymous,
            ..Sample::default()
        })
    })
}

/// Error codes that a client answers by asking again: the coordinator's log is being created or read.
fn is_starting(code: i16) -> bool {
    matches!(code, 14..=16)
}

/// Asks until the coordinator of `group` is there.
fn await_coordinator(client: &mut Client, group: &str) -> Result<()> {
    use ottla_protocol::kafka_protocol::protocol::StrBytes;
    use ottla_protocol::messages::FindCoordinatorRequest;
    let request =
        FindCoordinatorRequest::default().with_key(StrBytes::from_string(group.to_owned()));
    let start = now();
    loop {
        let code = client.call(3, &request)?.error_code;
        if !is_starting(code) || now() - start > Duration::from_secs(20) {
            return crate::client::refused("FindCoordinator", code);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
