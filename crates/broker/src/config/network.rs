//! Listeners, sockets, connection limits and the limits of a request.

use super::key::config_keys;

config_keys! {
    /// Listeners, sockets, connection limits and the limits of a request.
    pub struct NetworkSettings, keys KEYS {
        /// Addresses to listen on, as `NAME://host:port`, separated by commas; port 0 takes a free one.
        listeners: Vec<String>, "listeners" = "PLAINTEXT://127.0.0.1:9092", PerBroker, Any, Applied;
        /// Addresses clients are told to connect to; without it each client is told the address it reached.
        advertised_listeners: Option<Vec<String>>, "advertised.listeners" = null, ReadOnly, Any, Applied;
        /// Security protocol of each listener name, as `NAME:PROTOCOL`, separated by commas.
        listener_security_protocol_map: String, "listener.security.protocol.map" = "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", PerBroker, Any, Applied;
        /// Listener over which brokers talk to each other.
        inter_broker_listener_name: Option<String>, "inter.broker.listener.name" = null, ReadOnly, Any, NoEffect;
        /// SO_SNDBUF of client connections, bytes; -1 leaves it to the system.
        socket_send_buffer_bytes: i32, "socket.send.buffer.bytes" = 102400, ReadOnly, Any, Applied;
        /// SO_RCVBUF of client connections, bytes; -1 leaves it to the system.
        socket_receive_buffer_bytes: i32, "socket.receive.buffer.bytes" = 102400, ReadOnly, Any, Applied;
        /// Largest request accepted, bytes.
        socket_request_max_bytes: i32, "socket.request.max.bytes" = 104857600, ReadOnly, AtLeast(1), Applied;
        /// Length of the queue of connections that wait to be accepted.
        socket_listen_backlog_size: i32, "socket.listen.backlog.size" = 50, ReadOnly, AtLeast(1), Applied;
        /// A connection without traffic for this long is closed, ms.
        connections_max_idle_ms: i64, "connections.max.idle.ms" = 600000, ReadOnly, Any, Applied;
        /// Connections this broker keeps open at once.
        max_connections: i32, "max.connections" = 2147483647, ClusterWide, AtLeast(0), Applied;
        /// Connections kept open from one IP address.
        max_connections_per_ip: i32, "max.connections.per.ip" = 2147483647, ClusterWide, AtLeast(0), Applied;
        /// Exceptions to max.connections.per.ip, as `host:count`, separated by commas.
        max_connections_per_ip_overrides: String, "max.connections.per.ip.overrides" = "", ClusterWide, Any, Applied;
        /// New connections accepted in a second.
        max_connection_creation_rate: i32, "max.connection.creation.rate" = 2147483647, ClusterWide, AtLeast(0), NoEffect;
        /// How long a broker waits for another broker's answer, ms.
        request_timeout_ms: i32, "request.timeout.ms" = 30000, ReadOnly, Any, NoEffect;
        /// Largest Fetch response, bytes; the first batch is sent whole even when larger.
        fetch_max_bytes: i32, "fetch.max.bytes" = 57671680, ReadOnly, AtLeast(1_024), Applied;
        /// Incremental fetch sessions kept (KIP-227).
        max_incremental_fetch_session_cache_slots: i32, "max.incremental.fetch.session.cache.slots" = 1000, ReadOnly, AtLeast(0), NoEffect;
        /// Partitions that one DescribeTopicPartitions answer may carry.
        max_request_partition_size_limit: i32, "max.request.partition.size.limit" = 2000, ReadOnly, AtLeast(1), Applied;
    }
    without_field {
        /// Listeners that open before recovery is over; all open at the same time.
        List "early.start.listeners" = null, ReadOnly, Any, NoEffect;
        /// Requests waiting for a handler thread; a connection's requests wait in its socket.
        Int "queued.max.requests" = 500, ReadOnly, AtLeast(1), NoEffect;
        /// Bytes of requests waiting for a handler thread.
        Long "queued.max.request.bytes" = "-1", ReadOnly, Any, NoEffect;
        /// How long a connection to another broker may take to open, ms.
        Long "socket.connection.setup.timeout.ms" = 10000, ReadOnly, Any, NoEffect;
        /// Upper bound of the growing connection set-up timeout, ms.
        Long "socket.connection.setup.timeout.max.ms" = 30000, ReadOnly, Any, NoEffect;
        /// How often finished waiting fetches are cleaned up; done at once here.
        Int "fetch.purgatory.purge.interval.requests" = 1000, ReadOnly, Any, NoEffect;
        /// How often finished waiting produces are cleaned up; done at once here.
        Int "producer.purgatory.purge.interval.requests" = 1000, ReadOnly, Any, NoEffect;
        /// How often finished waiting DeleteRecords are cleaned up; done at once here.
        Int "delete.records.purgatory.purge.interval.requests" = 1, ReadOnly, Any, NoEffect;
        /// How often finished waiting share fetches are cleaned up; done at once here.
        Int "share.fetch.purgatory.purge.interval.requests" = 1000, ReadOnly, Any, NoEffect;
    }
}
