//! Whole-broker tests over loopback; one file per subject.

mod answer_size;
mod api_versions;
mod bad_input;
mod client_quotas;
mod compaction;
mod disks;
mod durability;
mod fetch_limits;
mod groups;
mod kill;
mod list_config_resources;
mod long_poll;
mod offsets;
mod produce_and_fetch;
mod quotas;
mod restart;
mod retention;
mod soak;
mod start;
mod topics;
mod transactions;
mod transfers;
