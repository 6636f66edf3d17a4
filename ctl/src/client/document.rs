//! One JSON document, kept as the daemon wrote it.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::client::ClientError;

/// A JSON document, byte for byte as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Document(Box<RawValue>);

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    /// The items, in order.
    pub(crate) items: Vec<Document>,
    /// Where the next page begins; `None` on the last.
    pub(crate) next: Option<String>,
}

#[derive(Deserialize)]
struct RawPage {
    items: Vec<Box<RawValue>>,
    next: Option<String>,
}

impl Document {
    /// Takes bytes that must be one JSON value.
    pub(crate) fn parse(bytes: Bytes) -> Result<Self, ClientError> {
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|source| ClientError::Malformed { source })
    }

    /// Reads what the document holds.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_str(self.0.get()).map_err(|source| ClientError::Malformed { source })
    }

    /// Reads the document as a page of a list.
    pub(crate) fn into_page(self) -> Result<Page, ClientError> {
        let page: RawPage = self.read()?;
        Ok(Page {
            items: page.items.into_iter().map(Document).collect(),
            next: page.next,
        })
    }

    /// The text as received.
    pub(crate) fn as_str(&self) -> &str {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_keep_numbers_and_order_as_received() {
        let text = r#"{"b":12345678901234567890.10,"a":1e2}"#;
        let document = Document::parse(Bytes::from_static(text.as_bytes())).unwrap();
        assert_eq!(document.as_str(), text);
    }

    #[test]
    fn pages_split_into_documents_as_received() {
        let text = br#"{"items":[{"b":1,"a":2},{"c":3.0}],"next":"x"}"#;
        let page = Document::parse(Bytes::from_static(text))
            .unwrap()
            .into_page()
            .unwrap();
        let items: Vec<_> = page.items.iter().map(Document::as_str).collect();
        assert_eq!(items, [r#"{"b":1,"a":2}"#, r#"{"c":3.0}"#]);
        assert_eq!(page.next.as_deref(), Some("x"));
    }
}
