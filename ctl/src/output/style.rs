//! Colour, where there is a terminal that wants it.

use owo_colors::OwoColorize;

/// Colours text, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    colour: bool,
}

impl Style {
    /// A style that colours, or not.
    pub(crate) const fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// What went well, or was added.
    pub(crate) fn good(self, text: &str) -> String {
        if self.colour {
            text.green().to_string()
        } else {
            text.to_owned()
        }
    }

    /// What needs attention, or changed.
    pub(crate) fn notable(self, text: &str) -> String {
        if self.colour {
            text.yellow().to_string()
        } else {
            text.to_owned()
        }
    }

    /// What went wrong, or was removed.
    pub(crate) fn bad(self, text: &str) -> String {
        if self.colour {
            text.red().to_string()
        } else {
            text.to_owned()
        }
    }

    /// A heading.
    pub(crate) fn heading(self, text: &str) -> String {
        if self.colour {
            text.bold().to_string()
        } else {
            text.to_owned()
        }
    }
}
