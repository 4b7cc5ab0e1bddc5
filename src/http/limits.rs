//! What the doors take at most. Each limit has a name, a default and a clear answer when it is met.

use std::time::Duration;

/// The limits of the HTTP interface, with the answer that each gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request body as it arrives: 413.
    pub body_bytes_max: usize,
    /// Bytes a body, or a compressed batch, inflates to: 413.
    pub inflated_bytes_max: usize,
    /// Bytes of all bodies being read or worked on: 429.
    pub bodies_bytes_max: usize,
    /// How deep a JSON value of a record is nested: 400.
    pub json_depth_max: usize,
    /// Header fields of a request: 431.
    pub headers_max: usize,
    /// Bytes of their names and values: 431.
    pub header_bytes_max: usize,
    /// How long a connection may be idle or take to send a request's head; it is closed then.
    pub head_time_max: Duration,
    /// How long a body may pause: 408.
    pub body_pause_max: Duration,
    /// How long a body may take in all: 408.
    pub body_time_max: Duration,
    /// How long a caller may take nothing of its answer; the connection is closed then.
    pub answer_pause_max: Duration,
    /// Connections; further ones wait in the kernel's queue until one closes.
    pub connections_max: usize,
    /// Requests being answered: 429.
    pub requests_max: usize,
    /// Requests being answered on one connection (HTTP/2): 429.
    pub requests_per_connection_max: usize,
    /// Streams that follow a log: 429.
    pub follows_max: usize,
    /// How long a fetch may wait for records: 400.
    pub wait_max: Duration,
    /// Bytes of batches that one fetch may ask for: 400.
    pub fetch_bytes_max: usize,
    /// Bytes after which an answer takes no further record: the page ends there.
    pub page_bytes_max: usize,
    /// How long a produce or an admin request may ask to take: 400.
    pub timeout_max: Duration,
    /// How often a stream that follows a log says that it lives.
    pub heartbeat: Duration,
    /// How long requests may go on once the node is shutting down.
    pub shutdown_grace: Duration,
}

const MIB: usize = 1024 * 1024;

impl Limits {
    /// The limits of a node that was not told otherwise.
    pub const DEFAULT: Self = Self {
        body_bytes_max: 64 * MIB,
        inflated_bytes_max: 128 * MIB,
        bodies_bytes_max: 512 * MIB,
        json_depth_max: 128,
        headers_max: 100,
        header_bytes_max: 32 * 1024,
        head_time_max: Duration::from_mins(1),
        body_pause_max: Duration::from_secs(15),
        body_time_max: Duration::from_mins(5),
        answer_pause_max: Duration::from_secs(30),
        connections_max: 8192,
        requests_max: 4096,
        requests_per_connection_max: 128,
        follows_max: 1024,
        wait_max: Duration::from_secs(30),
        fetch_bytes_max: 64 * MIB,
        page_bytes_max: 64 * MIB,
        timeout_max: Duration::from_mins(2),
        heartbeat: Duration::from_secs(10),
        shutdown_grace: Duration::from_secs(10),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
