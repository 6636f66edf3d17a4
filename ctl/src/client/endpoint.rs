//! Addresses under the API's version prefix.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a path segment or a query value may hold as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A path below `/v1` with its query, percent-encoded throughout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    text: String,
    has_query: bool,
}

impl Endpoint {
    /// The address made of these segments; whatever they hold, each stays one segment.
    pub(crate) fn new(segments: &[&str]) -> Self {
        let mut text = "/v1".to_owned();
        for segment in segments {
            text.push('/');
            // A segment of dots alone would be taken for a step in the tree.
            if matches!(*segment, "." | "..") {
                text.push_str(&segment.replace('.', "%2E"));
            } else {
                text.extend(utf8_percent_encode(segment, PLAIN));
            }
        }
        Self {
            text,
            has_query: false,
        }
    }

    /// The same address with one more query parameter.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.text.extend(utf8_percent_encode(name, PLAIN));
        self.text.push('=');
        self.text.extend(utf8_percent_encode(value, PLAIN));
        self.has_query = true;
        self
    }

    /// The same address, with the parameter where there is a value.
    pub(crate) fn with_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The text as it is sent.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_and_values_are_encoded_throughout() {
        let endpoint = Endpoint::new(&["snapshots", "ab", "objects", "group_member", "00g1/00u2"])
            .with("match", "a b&c")
            .with_some("type", None)
            .with_some("at", Some("@2026-01-01T00:00:00Z"));
        assert_eq!(
            endpoint.as_str(),
            "/v1/snapshots/ab/objects/group_member/00g1%2F00u2\
             ?match=a%20b%26c&at=%402026%2D01%2D01T00%3A00%3A00Z"
                .replace("%2D", "-")
        );
    }

    #[test]
    fn any_text_makes_an_address_that_can_be_sent() {
        for text in ["..", ".", "", "a b", "ü\u{7f}\n", "%2F", "?x=#", "//"] {
            let endpoint = Endpoint::new(&["domains", text]).with("q", text);
            assert!(endpoint.as_str().parse::<http::Uri>().is_ok(), "{text:?}");
        }
    }
}
