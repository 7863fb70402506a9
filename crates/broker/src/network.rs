//! Sockets: accept, read frames, write responses in order.

pub mod request;
