//! One request to whichever broker answers, and its answer.

use super::Error;
use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, IF_MATCH};
use reqwest::{Method, Request, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A request; cheap to send again.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    /// Path and query.
    target: String,
    content_type: Option<&'static str>,
    accept: &'static str,
    body: Bytes,
    /// Whether asking twice does no more than asking once.
    repeatable: bool,
    /// The offset of the last record, else the write is refused.
    if_last: Option<i64>,
    /// The broker to ask first.
    first: Option<String>,
}

impl Call {
    /// A read of JSON.
    pub fn get(target: impl Into<String>) -> Self {
        Self::new(Method::GET, target)
    }

    /// Any method without a body.
    pub fn new(method: Method, target: impl Into<String>) -> Self {
        Self {
            repeatable: method.is_safe(),
            method,
            target: target.into(),
            content_type: None,
            accept: "application/json",
            body: Bytes::new(),
            if_last: None,
            first: None,
        }
    }

    /// With a JSON body.
    pub fn json(self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("keys are strings, so it can be written");
        self.body("application/json", Bytes::from(body))
    }

    /// With a body of any type.
    pub fn body(mut self, content_type: &'static str, body: Bytes) -> Self {
        self.content_type = Some(content_type);
        self.body = body;
        self
    }

    /// With another type of answer than JSON.
    pub fn accept(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    /// A call that does no harm if it is made twice, though it is no read.
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Only if the partition's last record has this offset.
    pub fn only_if_last(mut self, offset: Option<i64>) -> Self {
        self.if_last = offset;
        self
    }

    /// Asks this broker before any other.
    pub fn ask_first(mut self, broker: Option<String>) -> Self {
        self.first = broker;
        self
    }

    pub(super) fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }

    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// Whether asking twice does no more than asking once.
    pub(super) fn is_repeatable(&self) -> bool {
        self.repeatable
    }

    pub(super) fn request(&self, url: Url) -> Request {
        let mut request = Request::new(self.method.clone(), url);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(self.accept));
        if let Some(offset) = self.if_last {
            let tag = HeaderValue::from_str(&format!("\"{offset}\""));
            headers.insert(IF_MATCH, tag.expect("a quoted number"));
        }
        if let Some(content_type) = self.content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            *request.body_mut() = Some(self.body.clone().into());
        }
        request
    }
}

/// What a broker answered.
#[derive(Debug, Clone)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub(super) fn new(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self { status, headers, body }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether something was made.
    pub fn is_created(&self) -> bool {
        self.status == StatusCode::CREATED
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body, read as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let start: String = String::from_utf8_lossy(&self.body).chars().take(80).collect();
            Error::Unreadable(format!("{error}: {start:?}"))
        })
    }

    /// A header that is a number.
    pub fn number(&self, name: &'static str) -> Result<u64, Error> {
        let number = self.headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
        number.ok_or_else(|| Error::Unreadable(format!("no header {name} with a number")))
    }

    /// Where the partition's leader is, if the answer tells: `Leader: 2; url="http://…"`.
    pub fn leader(&self) -> Option<String> {
        let (_, url) = self.headers.get("leader")?.to_str().ok()?.split_once("url=\"http://")?;
        let end = url.find(['"', '/'])?;
        url.get(..end).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_is_read_from_its_header() {
        let mut headers = HeaderMap::new();
        headers.insert("leader", HeaderValue::from_static("2; url=\"http://127.0.0.1:9080\""));
        let answer = Answer::new(StatusCode::OK, headers, Bytes::new());
        assert_eq!(answer.leader().as_deref(), Some("127.0.0.1:9080"));
        let answer = Answer::new(StatusCode::OK, HeaderMap::new(), Bytes::new());
        assert_eq!(answer.leader(), None);
    }
}
