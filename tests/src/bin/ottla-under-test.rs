//! The `ottla` command, built beside the tests so that they find it.

fn main() -> std::process::ExitCode {
    ottla_broker::cli::run()
}
