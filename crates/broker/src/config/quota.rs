//! Quota windows, and the Java metrics keys that have no meaning here.

use super::key::config_keys;

config_keys! {
    /// Quota windows, and the Java metrics keys that have no meaning here.
    pub struct QuotaSettings, keys KEYS {
        /// Windows kept to measure a client's rate.
        quota_window_num: i32, "quota.window.num" = 11, ReadOnly, AtLeast(1), Applied;
        /// Length of a client quota window, seconds.
        quota_window_size_seconds: i32, "quota.window.size.seconds" = 1, ReadOnly, AtLeast(1), Applied;
        /// Windows kept to measure a client's topic mutations.
        controller_quota_window_num: i32, "controller.quota.window.num" = 11, ReadOnly, AtLeast(1), Applied;
        /// Length of a topic mutation quota window, seconds.
        controller_quota_window_size_seconds: i32, "controller.quota.window.size.seconds" = 1, ReadOnly, AtLeast(1), Applied;
    }
    without_field {
        /// Windows kept to measure replication.
        Int "replication.quota.window.num" = 11, ReadOnly, AtLeast(1), NoEffect;
        /// Length of a replication quota window, seconds.
        Int "replication.quota.window.size.seconds" = 1, ReadOnly, AtLeast(1), NoEffect;
        /// Windows kept to measure moves between data directories.
        Int "alter.log.dirs.replication.quota.window.num" = 11, ReadOnly, AtLeast(1), NoEffect;
        /// Length of a window for moves between data directories, seconds.
        Int "alter.log.dirs.replication.quota.window.size.seconds" = 1, ReadOnly, AtLeast(1), NoEffect;
        /// Java class that computes quotas.
        Class "client.quota.callback.class" = null, ReadOnly, Any, Unsupported("quotas are set per user, client id and IP with kafka-configs");
        /// Java classes that report metrics.
        List "metric.reporters" = "", ClusterWide, Any, Unsupported("scrape /metrics on ottla.http.listener instead");
        /// Java classes that report metrics.
        List "kafka.metrics.reporters" = "", ReadOnly, Any, Unsupported("scrape /metrics on ottla.http.listener instead");
        /// Polling interval of Java metric reporters, seconds.
        Int "kafka.metrics.polling.interval.secs" = 10, ReadOnly, AtLeast(1), NoEffect;
        /// Samples kept by Java metrics.
        Int "metrics.num.samples" = 2, ReadOnly, AtLeast(1), NoEffect;
        /// Level of detail of Java metrics.
        String "metrics.recording.level" = "INFO", ReadOnly, Any, NoEffect;
        /// Sample window of Java metrics, ms.
        Long "metrics.sample.window.ms" = 30000, ReadOnly, AtLeast(1), NoEffect;
        /// Largest client metrics push (KIP-714), bytes.
        Int "telemetry.max.bytes" = 1048576, ReadOnly, AtLeast(1), NoEffect;
    }
}
