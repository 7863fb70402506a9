//! Partition logs on disk in Apache Kafka's own layout. Synchronous and runtime-free; time is an argument.
