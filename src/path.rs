//! Paths of URLs: any text as one segment of one (RFC 3986, 3.3).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

/// All but the unreserved characters.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Text as one segment of a path: what has a meaning there is escaped.
pub fn segment(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, ESCAPED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_of_a_path_holds_any_text() {
        assert_eq!(segment("a-1.b_~").to_string(), "a-1.b_~");
        assert_eq!(segment("a/b ü?").to_string(), "a%2Fb%20%C3%BC%3F");
    }
}
