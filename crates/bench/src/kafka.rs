//! Apache Kafka from its jars: one node in combined mode, with the Java options of its own start script.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::affinity::Placement;
use crate::error::{BenchError, Doing, Result};
use crate::server::{Server, free_address};

/// What `kafka-server-start.sh` and `kafka-run-class.sh` tell Java.
const JAVA_OPTIONS: [&str; 9] = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
    // Where the jars hold the simple logger: what it starts with is not printed.
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
];
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
            return Ok(kafka);
        }
        let said = String::from_utf8_lossy(&formatted.stderr).into_owned();
        Err(BenchError::Usage(format!(
            "Apache Kafka's jars in {} cannot format a data directory: {said}",
            jars.display()
        )))
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
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
