//! A JSON writer for the hot paths: appends to one string, keeps no tree.

use serde_json::Value;

/// Appends `text` quoted and escaped.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    push_escaped(out, text);
    out.push('"');
}

/// Appends `text` escaped, without quotes.
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    if text
        .bytes()
        .all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
    {
        out.push_str(text);
        return;
    }
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if u32::from(control) < 0x20 => {
                out.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => out.push(other),
        }
    }
}

/// Appends a whole number.
pub(crate) fn push_number(out: &mut String, value: u64) {
    if value >= 10 {
        push_number(out, value / 10);
    }
    let digit = u32::try_from(value % 10).unwrap_or(0);
    out.push(char::from_digit(digit, 10).unwrap_or('0'));
}

/// Appends a tree.
pub(crate) fn push_value(out: &mut String, value: &Value) {
    out.push_str(&value.to_string());
}

/// An array of objects being written: brackets and commas.
#[derive(Debug)]
pub(crate) struct ArrayWriter {
    out: String,
}

impl ArrayWriter {
    /// An empty array, with room for `bytes`.
    pub(crate) fn with_room(bytes: usize) -> Self {
        let mut out = String::with_capacity(bytes);
        out.push('[');
        Self { out }
    }

    /// Where the next item is appended.
    pub(crate) fn item(&mut self) -> &mut String {
        if self.out.len() > 1 {
            self.out.push(',');
        }
        &mut self.out
    }

    /// The finished array.
    pub(crate) fn finish(mut self) -> String {
        self.out.push(']');
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::{push_number, push_string};

    #[test]
    fn strings_survive_a_parser() {
        for text in [
            "",
            "plain",
            "quo\"te",
            "back\\slash",
            "new\nline\ttab\u{1}",
            "Zoë 漢",
        ] {
            let mut out = String::new();
            push_string(&mut out, text);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
        let mut out = String::new();
        push_number(&mut out, 1_234_567_890);
        assert_eq!(out, "1234567890");
    }
}
