//! What this program is: `ottla --version`, `ottla version --json` and `/version`.

use serde_json::json;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The newest Apache Kafka whose protocol the message codec knows.
pub const PROTOCOL: &str = "4.3";

/// The commit it was built from, when the build was told (`OTTLA_GIT_REV`).
pub const REVISION: Option<&str> = option_env!("OTTLA_GIT_REV");

/// Everything about this build as JSON.
pub fn json() -> String {
    let value = json!({
        "name": "ottla",
        "version": VERSION,
        "revision": REVISION,
        "protocol": PROTOCOL,
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "debug": cfg!(debug_assertions),
        "allocator": if cfg!(feature = "mimalloc") { "mimalloc" } else { "system" },
        "sendfile": cfg!(target_os = "linux"),
        "ktls": false,
    });
    format!("{value:#}\n")
}
