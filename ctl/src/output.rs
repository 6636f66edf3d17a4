//! The one way to stdout.
//!
//! Results go to stdout and nothing else does. With `--json`, documents are printed as received, one
//! a line. A reader that goes away (`… | head`) is no error: what follows is dropped.

pub(crate) mod layout;
pub(crate) mod style;

use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

use anstream::{AutoStream, ColorChoice};

use crate::client::document::Document;
use crate::output::style::Style;

/// Stdout cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the output could not be written")]
pub(crate) struct OutputError {
    #[from]
    source: io::Error,
}

/// Where results go, and how they look.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    style: Style,
    closed: bool,
    stdout: BufWriter<Stdout>,
}

impl Output {
    /// Output as documents or, with colour only on a terminal, for people.
    pub(crate) fn new(json: bool) -> Self {
        let stdout = io::stdout();
        let choice = AutoStream::choice(&stdout);
        let colour = !json && matches!(choice, ColorChoice::Always | ColorChoice::AlwaysAnsi);
        Self {
            json,
            style: Style::new(colour),
            closed: false,
            stdout: BufWriter::new(stdout),
        }
    }

    /// Whether documents are wanted, not text for people.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// How text for people is coloured.
    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// Whether the reader went away, so that producing more is in vain.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Prints a document as received, as one line.
    pub(crate) fn document(&mut self, document: &Document) -> Result<(), OutputError> {
        self.line(document.as_str())
    }

    /// Prints one line.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), OutputError> {
        self.attempt(|stdout| writeln!(stdout, "{text}"))
    }

    /// Prints text as it is.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.attempt(|stdout| stdout.write_all(bytes))
    }

    /// Hands on what was printed so far.
    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        self.attempt(Write::flush)
    }

    fn attempt(
        &mut self,
        write: impl FnOnce(&mut BufWriter<Stdout>) -> io::Result<()>,
    ) -> Result<(), OutputError> {
        if self.closed {
            return Ok(());
        }
        match write(&mut self.stdout) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            outcome => Ok(outcome?),
        }
    }
}
