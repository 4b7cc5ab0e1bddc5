//! How the caller reached us: the scheme and the host of the URL it used, also through a proxy that says
//! so. Answers that hold links are written with it.

use crate::error::Error;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

/// `http://host:port`, as the caller sees us.
pub(super) struct Origin(pub(super) String);

impl Origin {
    fn of(parts: &Parts) -> Self {
        // Of several proxies the first spoke to the caller.
        let text = |name: &str| {
            let value = parts.headers.get(name)?.to_str().ok()?;
            Some(value.split(',').next()?.trim().to_owned())
        };
        let host = text("x-forwarded-host")
            .or_else(|| text(header::HOST.as_str()))
            .or_else(|| parts.uri.authority().map(ToString::to_string))
            .unwrap_or_else(|| "localhost".to_owned());
        let scheme = text("x-forwarded-proto").filter(|scheme| scheme == "https");
        let scheme = scheme.as_deref().unwrap_or("http");
        Self(format!("{scheme}://{host}"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        Ok(Self::of(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn seen(headers: &[(&str, &str)]) -> String {
        let mut request = Request::builder().uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Origin::of(&request.body(()).unwrap().into_parts().0).0
    }

    #[test]
    fn a_proxy_says_how_it_was_reached() {
        let rows: &[(&[(&str, &str)], &str)] = &[
            (&[], "http://localhost"),
            (&[("host", "a:8080")], "http://a:8080"),
            (&[("host", "a"), ("x-forwarded-host", "b, c")], "http://b"),
            (&[("host", "a"), ("x-forwarded-proto", "https")], "https://a"),
            (&[("host", "a"), ("x-forwarded-proto", "gopher")], "http://a"),
        ];
        for (headers, expected) in rows {
            assert_eq!(seen(headers), *expected, "{headers:?}");
        }
    }
}
