//! Start-up: from exec on an empty data directory to the first answer, and memory when idle.

use std::path::Path as FilePath;
use std::time::Duration;

use crate::affinity::Placement;
use crate::case::{Case, Path};
use crate::clock::now;
use crate::error::{Doing, Result};
use crate::sample::{Metric, Sample, Target};
use crate::server::Server;

/// Time after the first answer until memory is read: start-up's own buffers have gone by then.
const SETTLE: Duration = Duration::from_millis(300);

/// The broker's start against that of a bare server.
pub(crate) fn cases<'a>(
    program: &'a FilePath,
    placement: &'a Placement,
    scratch: &'a FilePath,
) -> Vec<Case<'a>> {
    let raw = move || {
        let start = now();
        let server = Server::raw(placement)?;
        settled(&server, now() - start)
    };
    let broker = move || {
        let dir = tempfile::tempdir_in(scratch).doing("creating a data directory")?;
        let start = now();
        let server = Server::broker(program, &dir.path().join("data"), placement)?;
        settled(&server, now() - start)
    };
    vec![Case {
        path: Path::Startup,
        label: "empty start to first answer, then idle".into(),
        sides: vec![("raw server", Box::new(raw)), ("ottla", Box::new(broker))],
        targets: vec![
            Target::AtMost(Metric::Millis, 30.0),
            Target::AtMost(Metric::Rss, 15.0),
        ],
    }]
}

fn settled(server: &Server, wall: Duration) -> Result<Sample> {
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
