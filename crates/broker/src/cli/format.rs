//! `ottla format`: makes new data directories, as `kafka-storage format --standalone` does. `serve` does it by itself;
//! this is for those who want to choose the cluster id, or see an error before the broker starts.

use std::sync::Arc;

use ottla_storage::fs::OsFs;
use ottla_storage::meta_properties;

use super::exit::{Exit, fail};
use super::{ConfigArgs, load, print, serve};
use crate::broker::format_data_dirs;
use crate::clock::{Clock, SystemClock};

pub(super) fn run(args: &ConfigArgs, cluster_id: Option<&str>, ignore_formatted: bool) -> Exit {
    let mut args = args.clone();
    args.overrides
        .extend(cluster_id.map(|id| format!("ottla.cluster.id={id}")));
    let config = match load::from_args(&args)
        .and_then(|loaded| loaded.config.map_err(|error| error.to_string()))
    {
        Ok(config) => config,
        Err(error) => return fail(Exit::Config, &error),
    };
    let dirs = config.log_dirs();
    let formatted = dirs
        .iter()
        .find(|dir| dir.join(meta_properties::FILE_NAME).exists());
    if let Some(dir) = formatted.filter(|_| !ignore_formatted) {
        let dir = dir.display();
        return fail(
            Exit::Failure,
            &format!(
                "{dir} is already formatted; --ignore-formatted leaves it as it is and formats the others"
            ),
        );
    }
    match format_data_dirs(Arc::new(OsFs), &config, SystemClock.now()) {
        Ok(cluster_id) => {
            let lines = dirs.iter().map(|dir| {
                format!(
                    "{}: node {}, cluster {cluster_id}\n",
                    dir.display(),
                    config.node_id()
                )
            });
            print(&lines.collect::<String>())
        }
        Err(error) => fail(serve::exit_code_of_dir(&error), &error.to_string()),
    }
}
