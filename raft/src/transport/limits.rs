//! What bounds a transport's memory and patience.

use super::lane::PerLane;
use std::time::Duration;

/// From the first SYN to the acceptor's answer, and from an accept to the greeting's last byte.
/// Longer than a lost SYN's first retransmission (1 s).
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);
/// After this silence, with a request outstanding, the peer counts as hung. The peer's pulse comes
/// four times as often, so a slow handler is not taken for a hung process.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// The shortest wait after a failed dial.
pub const REDIAL_WAIT_MIN: Duration = Duration::from_millis(50);
/// The longest: a peer that returns without dialling us is found within a second.
pub const REDIAL_WAIT_MAX: Duration = Duration::from_secs(1);
/// Requests that wait for the socket, per connection: some hundred groups' votes and heartbeats.
pub const CONTROL_QUEUE_BYTES_MAX: usize = 1 << 20;
/// Requests that wait for the socket, per connection: a fraction of a second of a disk's bandwidth.
pub const DATA_QUEUE_BYTES_MAX: usize = 64 << 20;
/// Requests that wait for the socket, per connection: as for data, since produces are forwarded.
pub const CALL_QUEUE_BYTES_MAX: usize = 64 << 20;
/// Requests of one connection that are being served at once: two for each of 500 groups.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 1024;
/// Bodies being served at once, over all connections of the control lane.
pub const CONTROL_REQUEST_BYTES_MAX: usize = 4 << 20;
/// Bodies being served at once, over all connections of the data lane.
pub const DATA_REQUEST_BYTES_MAX: usize = 64 << 20;
/// Bodies being served at once, over all connections of the call lane.
pub const CALL_REQUEST_BYTES_MAX: usize = 64 << 20;
/// Replies of one connection that wait for the socket: a handful of full fetch pages.
pub const REPLY_QUEUE_BYTES_MAX: usize = 16 << 20;

/// The bounds of one transport. A bound in bytes yields to a single message that is larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long connecting and greeting may take.
    pub handshake_timeout: Duration,
    /// How long a peer that owes an answer may be silent, and a write may make no progress.
    pub idle_timeout: Duration,
    /// The shortest wait after a failed dial.
    pub redial_wait_min: Duration,
    /// The longest; the wait doubles up to here.
    pub redial_wait_max: Duration,
    /// Requests that wait for the socket, per connection.
    pub queue_bytes_max: PerLane<usize>,
    /// Requests of one connection that are being served at once.
    pub requests_in_flight_max: usize,
    /// Bodies being served at once, over all connections of a lane.
    pub request_bytes_max: PerLane<usize>,
    /// Replies of one connection that wait for the socket.
    pub reply_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: HANDSHAKE_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            redial_wait_min: REDIAL_WAIT_MIN,
            redial_wait_max: REDIAL_WAIT_MAX,
            queue_bytes_max: PerLane {
                control: CONTROL_QUEUE_BYTES_MAX,
                data: DATA_QUEUE_BYTES_MAX,
                call: CALL_QUEUE_BYTES_MAX,
            },
            requests_in_flight_max: REQUESTS_IN_FLIGHT_MAX,
            request_bytes_max: PerLane {
                control: CONTROL_REQUEST_BYTES_MAX,
                data: DATA_REQUEST_BYTES_MAX,
                call: CALL_REQUEST_BYTES_MAX,
            },
            reply_bytes_max: REPLY_QUEUE_BYTES_MAX,
        }
    }
}
