//! What was measured of one row, and how it is printed.

use std::time::Duration;

use serde::Serialize;

use crate::measured::{Cost, Ended};

pub(super) const MB: f64 = 1_000_000.0;
pub(super) const MIB: f64 = 1_048_576.0;

/// The columns, in the order in which [`Figures::row`] gives them.
pub(super) const HEADER: &str = "| | encrypted | first CPU s | wall s | day CPU s (median) | wall s | peak MiB | MB after day 1 | MB after day {days} | MB a day (median) | one object CPU s | wall s | full check CPU s | wall s | export or restore CPU s | wall s | remarks | version |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|---|";

/// A row.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Figures {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) encrypted: bool,
    pub(super) first: Option<Cost>,
    /// Each later day's backup.
    pub(super) days: Vec<Cost>,
    /// What was done besides, each time.
    pub(super) upkeep: Vec<Cost>,
    /// The bytes kept after each day.
    pub(super) bytes: Vec<u64>,
    pub(super) read: Vec<Cost>,
    pub(super) check: Option<Cost>,
    pub(super) export: Option<Cost>,
    pub(super) remarks: Vec<String>,
}

impl Figures {
    /// Takes the result of a step; what did not end well becomes a remark.
    pub(super) fn take(&mut self, step: &str, ended: Ended, budget: Duration) -> Option<Cost> {
        match ended {
            Ended::Done(cost) => Some(cost),
            Ended::TooLong => {
                let seconds = budget.as_secs();
                self.remarks
                    .push(format!("{step}: not finished within {seconds} s"));
                None
            }
            Ended::Failed(how) => {
                let how = how.replace('|', "/");
                self.remarks.push(format!("{step}: failed ({how})"));
                None
            }
        }
    }

    /// The median of the later days.
    pub(super) fn day(&self) -> Option<Cost> {
        median_cost(&self.days)
    }

    /// What a later day adds, the median, in bytes; of a store that is tidied up now and then, the mean.
    pub(super) fn bytes_a_day(&self) -> Option<f64> {
        let (first, last) = (self.bytes.first()?, self.bytes.last()?);
        if !self.upkeep.is_empty() {
            let days = self.bytes.len().checked_sub(1).filter(|days| *days > 0)?;
            return Some((float(*last) - float(*first)) / float(days as u64));
        }
        let steps = self.bytes.iter().zip(self.bytes.iter().skip(1));
        median(steps.map(|(from, to)| float(*to) - float(*from)).collect())
    }

    /// The row of the table. Of a row that ended before the last of so many `days` the bytes are those of its own last day.
    pub(super) fn row(&self, days: u32) -> String {
        let day = self.day();
        let read = median_cost(&self.read);
        let costs = self.days.iter().chain(&self.upkeep).chain(&self.first);
        let peak = costs.map(|cost| cost.peak_bytes).max();
        let mut remarks = self.remarks.clone();
        if let Some(upkeep) = median_cost(&self.upkeep) {
            remarks.insert(
                0,
                format!(
                    "besides {} × {:.1} CPU s",
                    self.upkeep.len(),
                    upkeep.cpu_seconds
                ),
            );
        }
        let bytes = |bytes: Option<&u64>| text(bytes.map(|bytes| float(*bytes) / MB), 2);
        [
            self.name.clone(),
            if self.encrypted { "yes" } else { "no" }.to_owned(),
            text(self.first.map(|cost| cost.cpu_seconds), 2),
            text(self.first.map(|cost| cost.wall_seconds), 2),
            text(day.map(|cost| cost.cpu_seconds), 2),
            text(day.map(|cost| cost.wall_seconds), 2),
            text(peak.map(|peak| float(peak) / MIB), 0),
            bytes(self.bytes.first()),
            match self.bytes.len() {
                own if own == 0 || own >= days as usize => bytes(self.bytes.last()),
                own => format!("{} (day {own})", bytes(self.bytes.last())),
            },
            text(self.bytes_a_day().map(|bytes| bytes / MB), 3),
            text(read.map(|cost| cost.cpu_seconds), 4),
            text(read.map(|cost| cost.wall_seconds), 4),
            text(self.check.map(|cost| cost.cpu_seconds), 2),
            text(self.check.map(|cost| cost.wall_seconds), 2),
            text(self.export.map(|cost| cost.cpu_seconds), 2),
            text(self.export.map(|cost| cost.wall_seconds), 2),
            remarks.join("; "),
            self.version.clone(),
        ]
        .iter()
        .map(|cell| format!("| {cell} "))
        .collect::<String>()
            + "|"
    }
}

/// A target of the project, and what was measured.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Target {
    pub(super) what: String,
    pub(super) at_most: f64,
    pub(super) measured: Option<f64>,
    pub(super) unit: &'static str,
}

impl Target {
    /// The row of the table.
    pub(super) fn row(&self) -> String {
        let verdict = match self.measured {
            None => "not measured",
            Some(measured) if measured <= self.at_most => "met",
            Some(_) => "**missed**",
        };
        format!(
            "| {} | {} {unit} | {} {unit} | {verdict} |",
            self.what,
            number(self.at_most),
            self.measured.map_or("–".to_owned(), number),
            unit = self.unit,
        )
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn text(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.digits$}"))
}

/// For people, and ratios.
#[expect(clippy::cast_precision_loss, reason = "rounded for people")]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}

/// The one in the middle; of an even number, the mean of the two.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// The median of each figure by itself; of the peaks the highest.
pub(super) fn median_cost(costs: &[Cost]) -> Option<Cost> {
    let of = |figure: fn(&Cost) -> f64| median(costs.iter().map(figure).collect());
    Some(Cost {
        cpu_seconds: of(|cost| cost.cpu_seconds)?,
        wall_seconds: of(|cost| cost.wall_seconds)?,
        peak_bytes: costs.iter().map(|cost| cost.peak_bytes).max()?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Figures, median};

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn an_empty_row_has_as_many_cells_as_the_header() {
        let cells = |line: &str| line.matches('|').count();
        let header = super::HEADER.lines().next().map(cells);
        assert_eq!(header, Some(cells(&Figures::default().row(31))));
    }
}
