//! A JSON document as a request's body, for admin requests: small, whole, refused by the name of what is
//! wrong in it.

use super::body;
use super::door::Door;
use super::media::Media;
use crate::error::{Error, ErrorKind};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::de::DeserializeOwned;

/// The body, read. No body at all is an empty document.
pub(super) struct Document<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Door> for Document<T> {
    type Rejection = Error;

    async fn from_request(request: Request, door: &Door) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let typed = parts.headers.contains_key(header::CONTENT_TYPE);
        let received = body::receive(door, &parts.headers, body).await?;
        let empty = received.bytes.trim_ascii().is_empty();
        if typed || !empty {
            Media::of_body(&parts.headers, &[Media::Json, Media::V2])?;
        }
        let text = if empty { b"{}" } else { &received.bytes[..] };
        let document = serde_json::from_slice(text)
            .map_err(|error| Error::new(ErrorKind::MalformedJson, format!("the body: {error}")))?;
        Ok(Self(document))
    }
}
