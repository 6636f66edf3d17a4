//! Server-sent events, read from a body as it arrives.

use std::collections::VecDeque;

use crate::client::{Body, ClientError};

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// What to name when the stream is taken up again.
    pub(crate) id: Option<String>,
    /// What kind of event it is; empty where none was given.
    pub(crate) name: String,
    /// Its document.
    pub(crate) data: String,
}

/// The events of one answer.
#[derive(Debug)]
pub(crate) struct Events<'a> {
    body: Body<'a>,
    decoder: Decoder,
}

impl<'a> Events<'a> {
    /// Reads events from `body`.
    pub(crate) fn new(body: Body<'a>) -> Self {
        Self {
            body,
            decoder: Decoder::default(),
        }
    }

    /// The next event; `None` when the daemon ended the stream.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.decoder.ready.pop_front() {
                return Ok(Some(event));
            }
            match self.body.chunk()? {
                Some(chunk) => self.decoder.feed(&chunk),
                None => return Ok(None),
            }
        }
    }
}

/// Turns bytes into events, wherever they are cut.
#[derive(Debug, Default)]
struct Decoder {
    line: Vec<u8>,
    event: Event,
    ready: VecDeque<Event>,
}

impl Decoder {
    fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.take_line(String::from_utf8_lossy(&line).trim_end_matches('\r'));
            } else {
                self.line.push(byte);
            }
        }
    }

    fn take_line(&mut self, line: &str) {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if !event.data.is_empty() {
                self.ready.push_back(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // A comment (`: keep-alive`) or something newer than this client.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\n\nid: 7\nevent: job\ndata: {\"a\":\r\ndata: 1}\n\n\
                          retry: 5\ndata:x\n\nid: 9\n\ndata: cut";

    fn events(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<Event> {
        let mut decoder = Decoder::default();
        pieces.for_each(|piece| decoder.feed(&piece));
        decoder.ready.into()
    }

    #[test]
    fn events_are_the_same_wherever_the_bytes_are_cut() {
        let whole = events(std::iter::once(STREAM.as_bytes().to_vec()));
        assert_eq!(
            whole,
            [
                Event {
                    id: Some("7".to_owned()),
                    name: "job".to_owned(),
                    data: "{\"a\":\n1}".to_owned()
                },
                Event {
                    id: None,
                    name: String::new(),
                    data: "x".to_owned()
                },
            ]
        );
        for size in 1..STREAM.len() {
            assert_eq!(
                events(STREAM.as_bytes().chunks(size).map(<[u8]>::to_vec)),
                whole
            );
        }
    }
}
