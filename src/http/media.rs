//! Media types: what a body is, and which of the types we have a caller likes best (RFC 9110 §12.5.1).

use crate::error::{Error, ErrorKind};
use axum::http::{HeaderMap, header};
use std::fmt;

/// The types that records travel as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Media {
    /// A JSON document.
    Json,
    /// One JSON document a line.
    Ndjson,
    /// Server-sent events, which do not end.
    EventStream,
    /// One record: the body is its value.
    Octets,
    /// Record batches as they are stored.
    Batches,
    /// REST Proxy v2, keys and values as JSON.
    V2Json,
    /// REST Proxy v2, keys and values as base64.
    V2Binary,
    /// REST Proxy v2, answers without records.
    V2,
}

impl Media {
    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::EventStream => "text/event-stream",
            Self::Octets => "application/octet-stream",
            Self::Batches => "application/vnd.kafka.recordbatch.v2",
            Self::V2Json => "application/vnd.kafka.json.v2+json",
            Self::V2Binary => "application/vnd.kafka.binary.v2+json",
            Self::V2 => "application/vnd.kafka.v2+json",
        }
    }

    /// The type a request's body has, of those taken here. Parameters (`charset`) are passed over.
    pub(super) fn of_body(headers: &HeaderMap, taken: &[Self]) -> Result<Self, Error> {
        let names = || list(taken);
        let Some(value) = headers.get(header::CONTENT_TYPE) else {
            let message = format!("no Content-Type; taken here: {}", names());
            return Err(Error::new(ErrorKind::UnsupportedType, message));
        };
        let text = value.to_str().unwrap_or("");
        let name = text.split(';').next().unwrap_or("").trim();
        taken.iter().copied().find(|media| media.is(name)).ok_or_else(|| {
            let message = format!("Content-Type {text:?} is not taken here; taken: {}", names());
            Error::new(ErrorKind::UnsupportedType, message)
        })
    }

    /// The type a caller likes best of those offered, the first of equals; the first of all without a
    /// wish.
    pub(super) fn accepted(headers: &HeaderMap, offered: &[Self]) -> Result<Self, Error> {
        let wishes: Vec<Wish<'_>> = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(Wish::read)
            .collect();
        let mut best: Option<(Self, u16)> = None;
        for media in offered {
            let weight = weight_of(&wishes, media.name());
            if weight > best.map_or(0, |(_, weight)| weight) {
                best = Some((*media, weight));
            }
        }
        best.map(|(media, _)| media).ok_or_else(|| {
            let message =
                format!("none of the types accepted is there; there are: {}", list(offered));
            Error::new(ErrorKind::NotAcceptable, message)
        })
    }

    fn is(self, name: &str) -> bool {
        let ndjson = self == Self::Ndjson && name.eq_ignore_ascii_case("application/ndjson");
        ndjson || name.eq_ignore_ascii_case(self.name())
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a caller names this very type among those it accepts.
pub(super) fn asks_for(headers: &HeaderMap, name: &str) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(Wish::read)
        .any(|wish| wish.weight > 0 && wish.range.eq_ignore_ascii_case(name))
}

fn list(types: &[Media]) -> String {
    types.iter().map(|media| media.name()).collect::<Vec<_>>().join(", ")
}

/// One element of `Accept`: a range and its weight in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish<'a> {
    range: &'a str,
    weight: u16,
}

impl<'a> Wish<'a> {
    fn read(element: &'a str) -> Option<Self> {
        let mut parts = element.split(';').map(str::trim);
        let range = parts.next().filter(|range| !range.is_empty())?;
        let mut weight = 1000;
        for parameter in parts {
            if let Some((name, value)) = parameter.split_once('=')
                && name.trim().eq_ignore_ascii_case("q")
            {
                weight = thousandths(value.trim())?;
            }
        }
        Some(Self { range, weight })
    }

    /// How closely the range names the type: not at all, anything, its family, itself.
    fn closeness(&self, name: &str) -> u8 {
        if self.range.eq_ignore_ascii_case(name) {
            return 3;
        }
        match self.range.split_once('/') {
            Some(("*", "*")) => 1,
            Some((family, "*")) => {
                let ours = name.split('/').next().unwrap_or("");
                if family.eq_ignore_ascii_case(ours) { 2 } else { 0 }
            }
            _ => 0,
        }
    }
}

/// The weight of the closest wish; 1000 without any wish at all.
fn weight_of(wishes: &[Wish<'_>], name: &str) -> u16 {
    if wishes.is_empty() {
        return 1000;
    }
    wishes
        .iter()
        .map(|wish| (wish.closeness(name), wish.weight))
        .filter(|(closeness, _)| *closeness > 0)
        .max()
        .map_or(0, |(_, weight)| weight)
}

/// `0.85` as 850; what is not a weight is none.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: u16 = whole.parse().ok().filter(|whole| *whole <= 1)?;
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    Some((whole * 1000 + part).min(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT, (*value).parse().unwrap());
        }
        headers
    }

    const OFFERED: &[Media] = &[Media::Json, Media::Ndjson, Media::Octets];

    #[test]
    fn the_best_of_what_is_offered_is_taken() {
        let rows: &[(&[&'static str], Option<Media>)] = &[
            (&[], Some(Media::Json)),
            (&["*/*"], Some(Media::Json)),
            (&["application/*"], Some(Media::Json)),
            (&["text/*"], None),
            (&["application/x-ndjson"], Some(Media::Ndjson)),
            (&["APPLICATION/X-NDJSON"], Some(Media::Ndjson)),
            (&["application/json;q=0.5, application/x-ndjson"], Some(Media::Ndjson)),
            (&["application/json;q=0.5", "application/x-ndjson;q=0.6"], Some(Media::Ndjson)),
            (&["application/json;q=0, */*;q=0.1"], Some(Media::Ndjson)),
            (&["application/*;q=0.2, application/octet-stream;q=0.3"], Some(Media::Octets)),
            (&["text/event-stream"], None),
            (&["text/html, */*;q=0.8"], Some(Media::Json)),
            (&["application/json;q=nonsense"], Some(Media::Json)),
            (&["application/x-ndjson; charset=utf-8"], Some(Media::Ndjson)),
        ];
        for (values, expected) in rows {
            let found = Media::accepted(&accept(values), OFFERED);
            assert_eq!(found.as_ref().ok(), expected.as_ref(), "{values:?}");
            if let Err(error) = found {
                assert_eq!(error.kind, ErrorKind::NotAcceptable);
                assert!(error.message.contains("application/x-ndjson"), "{error}");
            }
        }
    }

    #[test]
    fn a_body_is_known_by_its_type_without_parameters() {
        let mut headers = HeaderMap::new();
        let error = Media::of_body(&headers, OFFERED).unwrap_err();
        assert_eq!(error.kind, ErrorKind::UnsupportedType);
        headers.insert(header::CONTENT_TYPE, "Application/JSON; charset=utf-8".parse().unwrap());
        assert_eq!(Media::of_body(&headers, OFFERED), Ok(Media::Json));
        headers.insert(header::CONTENT_TYPE, "application/ndjson".parse().unwrap());
        assert_eq!(Media::of_body(&headers, OFFERED), Ok(Media::Ndjson));
        headers.insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
        let error = Media::of_body(&headers, OFFERED).unwrap_err();
        assert!(error.message.contains("text/plain"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn no_accept_header_panics(value in "[ -~]{0,80}") {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, value.parse().unwrap());
            let _either = Media::accepted(&headers, OFFERED);
        }
    }
}
