//! The command line: `ottla` alone is `ottla serve`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

mod config;
mod exit;
mod format;
mod healthcheck;
mod load;
mod log;
mod metadata;
mod serve;

pub use exit::Exit;

/// A Kafka broker in one file.
#[derive(Debug, Parser)]
#[command(name = "ottla", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ConfigArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker (the default)
    Serve(ConfigArgs),
    /// Make new data directories; `serve` does it by itself
    Format {
        #[command(flatten)]
        config: ConfigArgs,
        /// Id of the cluster, 22 characters of base64 in Apache Kafka; a new one by default
        #[arg(short = 't', long, value_name = "ID")]
        cluster_id: Option<String>,
        /// Leave directories that are formatted as they are
        #[arg(short = 'g', long)]
        ignore_formatted: bool,
        /// For scripts written for kafka-storage: a node always begins as the only controller
        #[arg(short = 's', long, hide = true)]
        standalone: bool,
    },
    /// Check, print or document the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look into metadata files
    #[command(subcommand)]
    Metadata(MetadataCommand),
    /// Look into the files of logs, check and mend them
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Ask a running broker whether it is ready; exit code 0 or 1
    Healthcheck(ConfigArgs),
    /// What this program is
    Version {
        /// Everything about the build, as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say what becomes of every key of a file; exit code 0, or 1 if a broker would not start with it
    Check {
        /// A properties file
        file: PathBuf,
        /// Refuse what would be ignored: unknown, removed and unsupported keys
        #[arg(long)]
        strict: bool,
    },
    /// Print every key with its value and where it was set, secrets hidden
    Print(ConfigArgs),
    /// Print the reference of all keys as Markdown
    Docs,
}

#[derive(Debug, Subcommand)]
enum MetadataCommand {
    /// Print the records of metadata log segments and snapshots as JSON lines; secrets are shown
    Dump {
        /// Files such as `__cluster_metadata-0/00000000000000000000.log`
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Where the configuration comes from.
#[derive(Args, Clone, Debug, Default)]
struct ConfigArgs {
    /// A properties file with Apache Kafka's names; without it ./server.properties, then /etc/ottla/server.properties, if there is one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one key, over file and KAFKA_* environment; repeatable
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Refuse to start with unknown, removed or unsupported keys
    #[arg(long)]
    strict: bool,
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let exit = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve::run(&args),
        Command::Format {
            config,
            cluster_id,
            ignore_formatted,
            standalone: _,
        } => format::run(&config, cluster_id.as_deref(), ignore_formatted),
        Command::Config(ConfigCommand::Check { file, strict }) => config::check(file, strict),
        Command::Config(ConfigCommand::Print(args)) => config::print(&args),
        Command::Config(ConfigCommand::Docs) => config::docs(),
        Command::Metadata(MetadataCommand::Dump { files }) => metadata::dump(&files),
        Command::Log(command) => log::run(command),
        Command::Healthcheck(args) => healthcheck::run(&args),
        Command::Version { json: true } => print(&crate::version::json()),
        Command::Version { json: false } => print(&format!("ottla {}\n", crate::version::VERSION)),
    };
    exit.into()
}

/// Writes to standard output; a reader that has gone away is no error.
fn print(text: &str) -> Exit {
    use std::io::{ErrorKind, Write};
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => Exit::Success,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Exit::Success,
        Err(error) => exit::fail(
            Exit::Failure,
            &format!("cannot write to standard output: {error}"),
        ),
    }
}
