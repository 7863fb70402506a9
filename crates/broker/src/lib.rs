//! Everything that has a socket, a clock or a policy.
