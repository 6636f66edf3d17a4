//! Text for people: aligned tables and cards, times, sizes and counts.

use std::collections::BTreeMap;

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};

use crate::output::{Output, OutputError};

/// Where a value is unknown or there is none.
pub(crate) const NONE: &str = "-";

/// An aligned table with a heading line.
#[derive(Debug)]
pub(crate) struct Listing {
    table: Table,
}

impl Listing {
    /// A table with these column headings; those that begin with `>` are aligned to the right.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let mut table = plain();
        table.set_header(
            headings
                .iter()
                .map(|heading| heading.trim_start_matches('>')),
        );
        for (index, heading) in headings.iter().enumerate() {
            if let Some(column) = table.column_mut(index).filter(|_| heading.starts_with('>')) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { table }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.table
            .add_row(cells.iter().map(|cell| Cell::new(printable(cell))));
    }

    /// Prints the table, or `none` where it has no rows.
    pub(crate) fn print(self, output: &mut Output, none: &str) -> Result<(), OutputError> {
        if self.table.is_empty() {
            output.line(none)
        } else {
            print(&self.table, output)
        }
    }
}

/// Labels and values, one pair a line.
#[derive(Debug)]
pub(crate) struct Card {
    table: Table,
}

impl Card {
    /// A card without lines.
    pub(crate) fn new() -> Self {
        Self { table: plain() }
    }

    /// Adds a line.
    pub(crate) fn field(&mut self, label: &str, value: impl AsRef<str>) -> &mut Self {
        self.table
            .add_row([label.to_owned(), printable(value.as_ref())]);
        self
    }

    /// Adds a line where there is a value.
    pub(crate) fn field_if(&mut self, label: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.field(label, value);
        }
        self
    }

    /// Prints the card.
    pub(crate) fn print(mut self, output: &mut Output) -> Result<(), OutputError> {
        if let Some(labels) = self.table.column_mut(0) {
            labels.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(16)));
        }
        print(&self.table, output)
    }
}

fn plain() -> Table {
    let mut table = Table::new();
    // Never wrapped: a line of the table stays a line for `grep` and for the eye.
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.force_no_tty();
    table
}

fn print(table: &Table, output: &mut Output) -> Result<(), OutputError> {
    for line in table.lines() {
        // The table's own padding: one blank before each cell, some after the last.
        let line = line.trim_end();
        output.line(line.strip_prefix(' ').unwrap_or(line))?;
    }
    Ok(())
}

/// A moment as people read it: `2026-01-31 12:00:00Z`.
pub(crate) fn moment(text: &str) -> String {
    let bytes = text.as_bytes();
    match (text.get(..10), text.get(11..19), bytes.get(10)) {
        (Some(date), Some(time), Some(b'T')) if text.ends_with('Z') => format!("{date} {time}Z"),
        _ => text.to_owned(),
    }
}

/// As [`moment`], where there may be none.
pub(crate) fn moment_or_none(text: Option<&str>) -> String {
    text.map_or_else(|| NONE.to_owned(), moment)
}

/// A number of bytes in a unit that suits it: `71.3 MB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let (mut tenths, mut unit) = (count / 100, "kB");
    for larger in UNITS.into_iter().skip(1) {
        if tenths < 10_000 {
            break;
        }
        tenths /= 1000;
        unit = larger;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// A number with its digits in groups of three: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2 group, 1 user` in the order of the names.
pub(crate) fn counts(by_name: &BTreeMap<String, u64>) -> String {
    let parts: Vec<_> = by_name
        .iter()
        .map(|(name, number)| format!("{name} {}", count(*number)))
        .collect();
    if parts.is_empty() {
        NONE.to_owned()
    } else {
        parts.join(", ")
    }
}

/// The text with what would control a terminal taken out: names come from outside.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// JSON text indented by two blanks a level; every token stays as it is.
pub(crate) fn indented(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    let mut tokens = json.chars().filter(|c| !c.is_control()).peekable();
    while let Some(c) = tokens.next() {
        if in_string {
            text.push(c);
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '{' | '[' if tokens.peek().is_some_and(|next| matches!(next, '}' | ']')) => {
                text.push(c);
                text.extend(tokens.next());
            }
            '{' | '[' => {
                depth += 1;
                text.push(c);
                new_line(&mut text, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            ' ' => {}
            _ => {
                in_string = c == '"';
                text.push(c);
            }
        }
    }
    text
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_down_to_a_tenth_of_their_unit() {
        for (number, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_999, "999.9 kB"),
            (1_000_000, "1.0 MB"),
            (71_345_000, "71.3 MB"),
            (9_000_000_000_000_000, "9000.0 TB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn counts_are_grouped_by_three_digits() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
    }

    #[test]
    fn moments_lose_their_milliseconds_only() {
        assert_eq!(moment("2026-01-31T12:00:01.234Z"), "2026-01-31 12:00:01Z");
        assert_eq!(moment("soon"), "soon");
    }

    #[test]
    fn names_from_outside_cannot_control_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[31mb\r\n\u{9b}c"),
            "a\u{fffd}[31mb\u{fffd}\u{fffd}\u{fffd}c"
        );
    }

    #[test]
    fn indenting_keeps_every_token() {
        let json = r#"{"a":[1.0,{"b":"x,{:\"\\"}],"c":{},"d":[]}"#;
        let text = indented(json);
        assert_eq!(
            text,
            "{\n  \"a\": [\n    1.0,\n    {\n      \"b\": \"x,{:\\\"\\\\\"\n    }\n  ],\n  \
             \"c\": {},\n  \"d\": []\n}"
        );
    }
}
