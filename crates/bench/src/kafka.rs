//! Apache Kafka from its jars: one node in combined mode, with the Java options of its own start script.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::affinity::Placement;
use crate::error::{BenchError, Doing, Result};
use crate::server::{Server, free_address};

/// What `kafka-server-start.sh` and `kafka-run-class.sh` tell Java.
pub(crate) const JAVA_OPTIONS: [&str; 8] = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];
/// Beside the data directory: what the formatting left of it.
const FORMATTED: &str = "formatted";
/// Where the jars hold the simple logger: what it starts with is not printed.
const QUIET: &str = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn";
/// The version that the compat tests fetch and judge by, from the file that pins it.
const POM: &str = include_str!("../../../compat-tests/apache-kafka/pom.xml");
/// Any id: the cluster lives as long as the run.
const CLUSTER_ID: &str = "b3R0bGEtYmVuY2gtMDAwMA";

/// A formatted data directory of Apache Kafka, to be started as often as needed.
pub(crate) struct Kafka {
    jars: PathBuf,
    dir: PathBuf,
    address: SocketAddr,
}

impl Kafka {
    /// Formats `dir` with the jars in the directory `jars`.
    pub(crate) fn format(jars: &Path, dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).doing(format!("creating {}", dir.display()))?;
        let kafka = Self {
            jars: jars.into(),
            dir: dir.into(),
            address: free_address()?,
        };
        let properties = kafka.properties(free_address()?);
        let file = kafka.properties_file();
        std::fs::write(&file, properties).doing(format!("writing {}", file.display()))?;
        let mut command = kafka.java("kafka.tools.StorageTool");
        command.args(["format", "--standalone", "-t", CLUSTER_ID, "-c"]);
        let formatted = command.arg(&file).output();
        let formatted = formatted.doing("starting java, which Apache Kafka needs")?;
        if formatted.status.success() {
            copy(&kafka.data(), &kafka.dir.join(FORMATTED))?;
            return Ok(kafka);
        }
        let said = String::from_utf8_lossy(&formatted.stderr).into_owned();
        Err(BenchError::Usage(format!(
            "Apache Kafka's jars in {} cannot format a data directory: {said}",
            jars.display()
        )))
    }

    /// The version of the jars in a directory, from the name of the broker's.
    pub(crate) fn version(jars: &Path) -> Result<String> {
        let names =
            std::fs::read_dir(jars).doing(format!("looking for jars in {}", jars.display()))?;
        let names = names.flatten().map(|entry| entry.file_name());
        let version = names.filter_map(|name| {
            let name = name.to_str()?.strip_prefix("kafka-server-")?;
            let version = name.strip_suffix(".jar")?;
            version
                .starts_with(|first: char| first.is_ascii_digit())
                .then(|| version.to_owned())
        });
        let none = || {
            let what = format!(
                "{} has no jars of Apache Kafka's broker; compat-tests/jars fetches them",
                jars.display()
            );
            BenchError::Usage(what)
        };
        version.max().ok_or_else(none)
    }

    /// The version that the compat tests pin.
    pub(crate) fn pinned_version() -> &'static str {
        let behind = POM
            .split_once("<kafka.version>")
            .map_or("", |split| split.1);
        behind.split_once("</").map_or("unknown", |split| split.0)
    }

    /// Java's version, in its own words; empty when it does not tell.
    pub(crate) fn java_version() -> String {
        let said = Command::new("java").arg("-version").output();
        let said = said.map_or(Vec::new(), |said| said.stderr);
        let said = String::from_utf8_lossy(&said);
        let version = said.split('"').nth(1).unwrap_or_default();
        version.to_owned()
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Brings the data directory back to what the formatting left.
    pub(crate) fn renew(&self) -> Result<()> {
        let data = self.data();
        std::fs::remove_dir_all(&data).doing(format!("removing {}", data.display()))?;
        copy(&self.dir.join(FORMATTED), &data)
    }

    /// Starts it, until its first answer.
    pub(crate) fn start(&self, placement: &Placement) -> Result<Server> {
        let mut command = self.java("kafka.Kafka");
        command.arg(self.properties_file());
        Server::spawn(command, self.address, &self.dir.join("output"), placement)
    }

    fn properties_file(&self) -> PathBuf {
        self.dir.join("server.properties")
    }

    fn java(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        let classes = self.jars.join("*");
        command
            .args(JAVA_OPTIONS)
            .arg(QUIET)
            .arg("-cp")
            .arg(classes)
            .arg(class);
        command
    }

    /// Apache Kafka's own defaults, and topics that are deleted at once as on the other side.
    fn properties(&self, controller: SocketAddr) -> String {
        let (address, data) = (self.address, self.data());
        format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             listeners=PLAINTEXT://{address},CONTROLLER://{controller}\n\
             advertised.listeners=PLAINTEXT://{address}\n\
             controller.listener.names=CONTROLLER\n\
             controller.quorum.bootstrap.servers={controller}\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             log.dirs={}\n\
             log.segment.delete.delay.ms=0\n",
            data.display()
        )
    }
}

/// Copies the files of a directory, and those below it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let doing = || format!("copying {}", from.display());
    std::fs::create_dir_all(to).doing(doing())?;
    for entry in std::fs::read_dir(from).doing(doing())? {
        let entry = entry.doing(doing())?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            std::fs::copy(&from, &to).doing(doing())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_name_of_a_jar() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Kafka::version(dir.path()).is_err());
        for name in [
            "kafka-server-common-4.1.2.jar",
            "kafka-server-4.1.2.jar",
            "lz4-java-1.jar",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(Kafka::version(dir.path()).unwrap(), "4.1.2");
    }

    #[test]
    fn the_pinned_version_is_one() {
        let parts = Kafka::pinned_version().split('.').map(str::parse::<u32>);
        assert_eq!(
            parts.filter(|part| part.is_ok()).count(),
            3,
            "{}",
            Kafka::pinned_version()
        );
    }
}
