//! Errors as answers. A handler returns an [`Error`]; the guard, which knows the request, renders it:
//! the v2 shape with what we add to it, or `application/problem+json` where that is asked for.

use super::media;
use crate::error::{Due, Error, ErrorKind, Row, WriteOutcome};
use axum::body::Body;
use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header,
};
use axum::response::IntoResponse;
use serde::Serialize;
use std::time::Duration;
use storage::planted;
use utoipa::ToSchema;

/// The first offset that can be read.
pub(super) const LOG_START_OFFSET: HeaderName = HeaderName::from_static("log-start-offset");
/// The offset after the last committed record.
pub(super) const HIGH_WATERMARK: HeaderName = HeaderName::from_static("high-watermark");
/// The sequence number that is due of an idempotent producer.
const PRODUCER_EXPECTED_SEQ: HeaderName = HeaderName::from_static("producer-expected-seq");
/// The epoch that fenced an idempotent producer.
const PRODUCER_EPOCH: HeaderName = HeaderName::from_static("producer-epoch");
/// Names a request.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
/// When to come again after an error that a retry can mend, and that says nothing of its own.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An error, as its caller sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorBody<'a> {
    /// As REST Proxy v2 has it: the HTTP status, with two digits more where that says too little.
    #[schema(example = 40401)]
    pub(super) error_code: u32,
    /// What is wrong, in a sentence that names the thing and the limit.
    #[schema(example = "topic orders does not exist")]
    pub(super) message: &'a str,
    /// Whether the same request can succeed later.
    pub(super) retriable: bool,
    /// What became of a write: certainly not in the log, or unknown. Not there for reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<WriteOutcome>,
    /// Kafka's name of the error.
    #[schema(example = "UNKNOWN_TOPIC_OR_PARTITION")]
    pub(super) kafka_error: &'a str,
    /// As in the header `Request-Id`.
    pub(super) request_id: &'a str,
    /// With `offset out of range`: the first offset that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log_start_offset: Option<u64>,
    /// With `offset out of range` and a failed condition: the offset after the last record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) high_watermark: Option<u64>,
    /// With a sequence out of order, as in the header `Producer-Expected-Seq`: the one that is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expected_seq: Option<i32>,
    /// With a fenced producer, as in the header `Producer-Epoch`: the epoch that has written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) producer_epoch: Option<i16>,
}

/// Why one record of several was not appended.
#[derive(Debug, Serialize)]
pub(super) struct RecordError<'a> {
    partition: u32,
    offset: Option<u64>,
    error_code: u32,
    message: &'a str,
    retriable: bool,
    outcome: WriteOutcome,
}

impl<'a> RecordError<'a> {
    /// The error of a record for a partition.
    pub(super) fn of(partition: u32, error: &'a Error) -> Self {
        let Row { code: error_code, retriable, outcome, .. } = error.row();
        Self { partition, offset: None, error_code, message: &error.message, retriable, outcome }
    }
}

/// The same by RFC 9457.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    body: ErrorBody<'a>,
}

impl IntoResponse for Error {
    fn into_response(self) -> axum::response::Response {
        let status = StatusCode::from_u16(self.row().status).expect("the table has real statuses");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response.extensions_mut().insert(self);
        response
    }
}

/// What of a request its error's answer depends on.
pub(super) struct Asked {
    method: Method,
    version: Version,
    error_type: &'static str,
    /// The id that it brought or was given.
    pub(super) id: HeaderValue,
}

impl Asked {
    /// Takes it from a request.
    pub(super) fn of(method: &Method, version: Version, headers: &HeaderMap) -> Self {
        Self {
            method: method.clone(),
            version,
            error_type: if media::asks_for(headers, PROBLEM) { PROBLEM } else { JSON },
            id: request_id(headers),
        }
    }

    /// Gives the answer its id, and its body if it is an error.
    pub(super) fn render(&self, response: &mut axum::response::Response) {
        response.headers_mut().insert(REQUEST_ID, self.id.clone());
        if let Some(error) = response.extensions_mut().remove::<Error>() {
            self.render_error(&error, response);
        }
    }

    fn render_error(&self, error: &Error, response: &mut axum::response::Response) {
        let row = error.row();
        let (expected_seq, producer_epoch) = match error.due {
            Some(Due::Sequence(sequence)) => (Some(sequence), None),
            Some(Due::Epoch(epoch)) => (None, Some(epoch)),
            None => (None, None),
        };
        let body = ErrorBody {
            error_code: row.code,
            message: &error.message,
            retriable: row.retriable,
            outcome: (!self.method.is_safe()).then_some(if planted!(UnknownAsFailed) {
                WriteOutcome::NotAppended
            } else {
                row.outcome
            }),
            kafka_error: row.kafka,
            request_id: self.id.to_str().unwrap_or_default(),
            log_start_offset: error.range.map(|(start, _)| start),
            high_watermark: error.range.map(|(_, end)| end),
            expected_seq,
            producer_epoch,
        };
        let rendered = if self.error_type == PROBLEM {
            let title = StatusCode::from_u16(row.status).ok();
            let title = title.and_then(|status| status.canonical_reason()).unwrap_or("Error");
            let (detail, status) = (body.message, row.status);
            let problem = Problem { r#type: "about:blank", title, status, detail, body };
            serde_json::to_vec(&problem)
        } else {
            serde_json::to_vec(&body)
        };
        let rendered = rendered.expect("an error is plain data");
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.error_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((start, end)) = error.range {
            headers.insert(LOG_START_OFFSET, start.into());
            headers.insert(HIGH_WATERMARK, end.into());
        }
        if let Some(sequence) = expected_seq {
            headers.insert(PRODUCER_EXPECTED_SEQ, sequence.into());
        }
        if let Some(epoch) = producer_epoch {
            headers.insert(PRODUCER_EPOCH, epoch.into());
        }
        if row.retriable {
            let after = error.retry_after.unwrap_or(RETRY_AFTER);
            headers.insert(header::RETRY_AFTER, after.as_secs().max(1).into());
        }
        if self.version <= Version::HTTP_11 && stops_reading(error.kind) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        *response.body_mut() = Body::from(rendered);
    }
}

/// Whether the rest of the body is left on the connection, which then cannot be used again.
const fn stops_reading(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::BodyTooLarge
            | ErrorKind::InflatedTooLarge
            | ErrorKind::SlowRequest
            | ErrorKind::HeadersTooLarge
    )
}

/// The caller's own id if it is one (1 to 128 visible characters), else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    const LONGEST: usize = 128;
    let own = headers.get(REQUEST_ID).or_else(|| headers.get("x-request-id")).filter(|id| {
        (1..=LONGEST).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    own.cloned().unwrap_or_else(|| {
        let id = uuid::Uuid::new_v4().to_string();
        HeaderValue::from_str(&id).expect("a UUID is visible ASCII")
    })
}

/// JSON that was written by hand.
pub(super) fn json(body: impl Into<Body>) -> axum::response::Response {
    typed(JSON, body)
}

/// A body of a type.
pub(super) fn typed(media: &'static str, body: impl Into<Body>) -> axum::response::Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    async fn rendered(method: Method, accept: &'static str, error: Error) -> (HeaderMap, String) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        headers.insert(REQUEST_ID, HeaderValue::from_static("r1"));
        let mut response = error.into_response();
        Asked::of(&method, Version::HTTP_11, &headers).render(&mut response);
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 10_000).await.unwrap();
        (parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_write_learns_its_outcome_and_a_read_its_range() {
        let error = Error::new(ErrorKind::OutcomeUnknown, "leader lost");
        let (headers, body) = rendered(Method::POST, "*/*", error).await;
        assert_eq!(
            body,
            r#"{"error_code":50401,"message":"leader lost","retriable":true,"outcome":"unknown","kafka_error":"REQUEST_TIMED_OUT","request_id":"r1"}"#
        );
        assert_eq!(headers[header::RETRY_AFTER], "1");
        assert_eq!(headers[REQUEST_ID], "r1");

        let error = Error::new(ErrorKind::OffsetOutOfRange, "offset 9: 2..5").with_range(2, 5);
        let (headers, body) = rendered(Method::GET, "*/*", error).await;
        assert_eq!(
            body,
            r#"{"error_code":41601,"message":"offset 9: 2..5","retriable":false,"kafka_error":"OFFSET_OUT_OF_RANGE","request_id":"r1","log_start_offset":2,"high_watermark":5}"#
        );
        assert_eq!(
            (&headers[LOG_START_OFFSET], &headers[HIGH_WATERMARK]),
            (&HeaderValue::from(2), &HeaderValue::from(5))
        );
    }

    #[tokio::test]
    async fn a_problem_is_told_to_those_who_ask_for_one() {
        let error = Error::new(ErrorKind::BodyTooLarge, "70 bytes");
        let (headers, body) = rendered(Method::POST, "application/problem+json", error).await;
        assert_eq!(headers[header::CONTENT_TYPE], PROBLEM);
        assert_eq!(headers[header::CONNECTION], "close");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["title"], "Payload Too Large");
        assert_eq!((&body["status"], &body["error_code"]), (&413.into(), &41301.into()));
    }

    #[test]
    fn only_a_sane_request_id_is_echoed() {
        let mut headers = HeaderMap::new();
        assert_eq!(request_id(&headers).len(), 36);
        headers.insert("x-request-id", HeaderValue::from_static("abc"));
        assert_eq!(request_id(&headers), "abc");
        headers.insert(REQUEST_ID, HeaderValue::from_static("with a blank"));
        assert_eq!(request_id(&headers).len(), 36);
    }
}
