//! Figures: parts of a distribution, the median of some runs, and tables of them as Markdown.

use std::{fmt, time::Duration};

/// Times, from the shortest on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl FromIterator<Duration> for Times {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut sorted: Vec<_> = times.into_iter().collect();
        sorted.sort_unstable();
        Self(sorted)
    }
}

impl Times {
    /// The time that this part of them does not exceed, in milliseconds.
    pub(crate) fn quantile_ms(&self, part: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a position among some thousand"
        )]
        let position = (self.0.len() as f64 * part).ceil() as usize;
        let time = self.0.get(position.saturating_sub(1));
        time.copied().unwrap_or_default().as_secs_f64() * 1e3
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The middle one of some values; of an even number of them the lower.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or(f64::NAN)
}

/// A count as a number that can be divided by.
#[expect(clippy::cast_precision_loss, reason = "counts of some million")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}

/// A measured value with as many digits as it is worth.
pub(crate) fn shown(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    match value {
        99.95.. => grouped(&format!("{value:.0}")),
        9.995.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A count.
pub(crate) fn counted(count: usize) -> String {
    grouped(&count.to_string())
}

/// Digits with separators between thousands.
fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one with these columns.
    pub(crate) fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Self {
        let columns = columns.into_iter().map(str::to_owned);
        Self {
            rows: vec![columns.collect()],
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    /// As Markdown whose columns stand below each other in a terminal, too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (position, row) in self.rows.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Names to the left, figures to the right.
                if column == 0 {
                    write!(f, "| {cell:width$} ")?;
                } else {
                    write!(f, "| {cell:>width$} ")?;
                }
            }
            writeln!(f, "|")?;
            if position == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let (dashes, end) =
                        ("-".repeat(width + 1), if column == 0 { "-" } else { ":" });
                    write!(f, "|{dashes}{end}")?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// Fails a test whose figure is not the one that it is to be, but for rounding.
#[cfg(test)]
pub(crate) fn assert_close(value: f64, wanted: f64) {
    assert!((value - wanted).abs() < 1e-9, "{value} instead of {wanted}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_time_that_was_measured() {
        let times: Times = (1..=100).rev().map(Duration::from_millis).collect();
        assert_close(times.quantile_ms(0.5), 50.0);
        assert_close(times.quantile_ms(0.99), 99.0);
        assert_close(times.quantile_ms(1.0), 100.0);
        assert_close(Times::default().quantile_ms(0.5), 0.0);
    }

    #[test]
    fn values_have_the_digits_that_they_are_worth() {
        let texts = [1_234_567.8, 999.6, 99.96, 42.34, 9.996, 0.126].map(shown);
        assert_eq!(texts, ["1,234,568", "1,000", "100", "42.3", "10.0", "0.13"]);
        assert_eq!(shown(f64::NAN), "–");
        assert_eq!([7, 1_000, 100_000].map(counted), ["7", "1,000", "100,000"]);
    }

    #[test]
    fn the_median_is_one_of_the_values() {
        assert_close(median([3.0, 1.0, 2.0]), 2.0);
        assert_close(median([2.0, 1.0]), 1.0);
        assert!(median([]).is_nan());
    }

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(["what", "ms"]);
        table.row(["p50".to_owned(), "12.5".to_owned()]);
        let text = "| what |   ms |\n|------|-----:|\n| p50  | 12.5 |\n";
        assert_eq!(table.to_string(), text);
    }
}
