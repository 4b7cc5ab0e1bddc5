//! How a stream that does not end is written: as lines of JSON, or as server-sent events (the HTML
//! standard, section 9.2).
//!
//! | | `application/x-ndjson` | `text/event-stream` |
//! |---|---|---|
//! | begins | | `retry: 1000`, and an `id:` of where it begins |
//! | a record | a line | `id: …`, `data: {…}` |
//! | it lives | an empty line | `: hb` |
//! | it goes wrong | a line `{"error_code": …}` | `event: error`, `data: {"error_code": …}` |
//! | beside them | | `event: …`, `data: {…}` |
//! | it ends | | `event: end`, `data: {"reason": …}` |
//!
//! An event's id names what was seen up to and with it, so that a reader who says it in `Last-Event-ID`
//! gets what comes next.

use crate::error::Error;
use crate::http::media::Media;
use crate::http::reply::{ErrorBody, typed};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures::Stream;
use std::convert::Infallible;
use std::fmt;
use std::io::Write;

/// A reader whose connection broke comes back after so many milliseconds.
const RETRY_MS: u32 = 1000;

/// How a stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Lines of JSON.
    Lines,
    /// Server-sent events.
    Events,
}

/// Why a stream ends that did not go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It gave as many records as were asked for.
    Full,
    /// The node is shutting down; another one goes on.
    ShuttingDown,
}

impl Ending {
    const fn name(self) -> &'static str {
        match self {
            Self::Full => "max_records",
            Self::ShuttingDown => "shutting_down",
        }
    }
}

impl Framing {
    /// That of a media type; none of one that has an end.
    pub(super) const fn of(media: Media) -> Option<Self> {
        match media {
            Media::Ndjson => Some(Self::Lines),
            Media::EventStream => Some(Self::Events),
            Media::Json
            | Media::Octets
            | Media::Batches
            | Media::V2Json
            | Media::V2Binary
            | Media::V2 => None,
        }
    }

    /// The answer that streams.
    pub(super) fn answer(
        self,
        chunks: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static,
    ) -> Response {
        let media = match self {
            Self::Lines => Media::Ndjson,
            Self::Events => Media::EventStream,
        };
        let mut response = typed(media.name(), Body::from_stream(chunks));
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Proxies that collect an answer before they pass it on are asked not to.
        let buffering = HeaderName::from_static("x-accel-buffering");
        headers.insert(buffering, HeaderValue::from_static("no"));
        response
    }

    /// What it begins with: a reader whose connection breaks before the first record goes on from there.
    pub(super) fn begin(self, id: impl fmt::Display) -> Bytes {
        match self {
            Self::Lines => Bytes::new(),
            Self::Events => format!("retry: {RETRY_MS}\nid: {id}\n\n").into(),
        }
    }

    /// A record: its id and its JSON, which has no line breaks.
    pub(super) fn record(
        self,
        to: &mut BytesMut,
        id: impl fmt::Display,
        json: impl FnOnce(&mut BytesMut),
    ) {
        match self {
            Self::Lines => {
                json(to);
                to.put_u8(b'\n');
            }
            Self::Events => {
                write!(to.writer(), "id: {id}\ndata: ").expect("a buffer takes all bytes");
                json(to);
                to.put_slice(b"\n\n");
            }
        }
    }

    /// Something beside the records, where there is room for it.
    pub(super) fn aside(self, event: &str, json: &str) -> Option<Bytes> {
        match self {
            Self::Lines => None,
            Self::Events => Some(format!("event: {event}\ndata: {json}\n\n").into()),
        }
    }

    /// A sign of life.
    pub(super) const fn alive(self) -> Bytes {
        match self {
            Self::Lines => Bytes::from_static(b"\n"),
            Self::Events => Bytes::from_static(b": hb\n\n"),
        }
    }

    /// The last word of a stream that went wrong.
    pub(super) fn failed(self, error: &Error) -> Bytes {
        let row = error.row();
        let body = ErrorBody {
            error_code: row.code,
            message: &error.message,
            retriable: row.retriable,
            outcome: None,
            kafka_error: row.kafka,
            request_id: "",
            log_start_offset: error.range.map(|(start, _)| start),
            high_watermark: error.range.map(|(_, end)| end),
            expected_seq: None,
            producer_epoch: None,
        };
        let json = serde_json::to_string(&body).expect("plain data");
        self.aside("error", &json).unwrap_or_else(|| format!("{json}\n").into())
    }

    /// The last word of a stream that did not, if there is one.
    pub(super) fn ended(self, ending: Ending) -> Option<Bytes> {
        self.aside("end", &format!("{{\"reason\":\"{}\"}}", ending.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn record(framing: Framing) -> String {
        let mut to = BytesMut::new();
        framing.record(&mut to, "0:7", |to| to.put_slice(b"{}"));
        text(&to)
    }

    #[test]
    fn lines_are_json_or_empty() {
        let lines = Framing::Lines;
        assert_eq!(record(lines), "{}\n");
        assert_eq!(text(&lines.begin("0:6")), "");
        assert_eq!(text(&lines.alive()), "\n");
        assert_eq!(lines.ended(Ending::Full), None);
        let failed = lines.failed(&Error::new(ErrorKind::NoLeader, "t-0 has no leader"));
        let failed: serde_json::Value = serde_json::from_slice(&failed).unwrap();
        assert_eq!(failed["error_code"], ErrorKind::NoLeader.row().code);
    }

    #[test]
    fn events_have_ids_and_say_how_they_end() {
        let events = Framing::Events;
        assert_eq!(record(events), "id: 0:7\ndata: {}\n\n");
        assert_eq!(text(&events.begin("0:6")), "retry: 1000\nid: 0:6\n\n");
        assert_eq!(text(&events.alive()), ": hb\n\n");
        assert_eq!(
            text(&events.ended(Ending::ShuttingDown).unwrap()),
            "event: end\ndata: {\"reason\":\"shutting_down\"}\n\n"
        );
        let error = Error::new(ErrorKind::OffsetOutOfRange, "offset 1: 2..5").with_range(2, 5);
        let failed = text(&events.failed(&error));
        let json = failed.strip_prefix("event: error\ndata: ").unwrap();
        let failed: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(
            (&failed["log_start_offset"], &failed["high_watermark"]),
            (&2.into(), &5.into())
        );
    }
}
