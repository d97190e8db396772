//! The cost of X-Ray (`Tracing=Active`).
//!
//! Lambda samples per function, at a rate that cannot be set: the first invocation of each second, and 5 % of the
//! rest. An invocation with messages of a queue starts its own trace. X-Ray links it to the traces of the senders,
//! and charges for each.

use super::prices;
use crate::figures::{Table, counted, number, shown};

/// The sampled part of the invocations after the first of a second.
const SAMPLED: f64 = 0.05;

/// The rates that are shown, in deliveries a second, with the messages in a batch at each.
const RATES: [(f64, usize); 5] = [(0.1, 1), (1.0, 1), (10.0, 1), (100.0, 10), (1000.0, 10)];

/// Traces a second of a function with so many invocations a second, evenly spaced.
fn traced(per_s: f64) -> f64 {
    let first = per_s.min(1.0);
    first + SAMPLED * (per_s - first)
}

/// Traces of one delivery, of a single event for one hook, at this rate and in batches of so many messages.
fn traces(deliveries_per_s: f64, batch: usize) -> f64 {
    let ingest = traced(deliveries_per_s);
    let deliver = traced(deliveries_per_s / number(batch));
    (ingest + deliver) / deliveries_per_s
}

/// What tracing adds to the bill.
pub(super) fn table() -> Table {
    let mut table = Table::new([
        "deliveries a second",
        "messages in a batch",
        "traces of a million deliveries",
        "dollars a million deliveries",
        "dollars a month",
    ]);
    for (per_s, batch) in RATES {
        let traces = super::MILLION * traces(per_s, batch);
        let dollars = traces * prices::TRACE.dollars;
        let millions = per_s * super::month::SECONDS / super::MILLION;
        table.row([
            per_s.to_string(),
            counted(batch),
            shown(traces),
            shown(dollars),
            shown(dollars * millions),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::assert_close;

    #[test]
    fn first_of_a_second_and_five_percent_of_the_rest_are_traced() {
        for (per_s, wanted) in [
            (0.0, 0.0),
            (0.5, 0.5),
            (1.0, 1.0),
            (2.0, 1.05),
            (21.0, 2.0),
            (1001.0, 51.0),
        ] {
            assert_close(traced(per_s), wanted);
        }
    }

    #[test]
    fn every_invocation_is_traced_at_one_a_second_or_less() {
        assert_close(traces(0.1, 1), 2.0);
        assert_close(traces(1.0, 1), 2.0);
    }

    #[test]
    fn batches_are_sampled_at_their_own_rate() {
        // 5.95 of a hundred requests, 1.45 of ten batches.
        assert_close(traces(100.0, 10), 0.074);
    }
}
