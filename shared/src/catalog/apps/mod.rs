//! The apps, each with its events.
//!
//! A new event is a row in its app's file, where it sorts, with a type, an example and changes that
//! are it and are not. `docs/ADDING-AN-EVENT.md` says how, step by step.

pub mod admissions;
pub mod assessment;
pub mod assignments;
pub mod authenticate;
pub mod events;
pub mod feedback;
pub mod marketing;
pub mod mentorship;
pub mod payments;
pub mod registry;

#[cfg(test)]
use super::tests::ChangeCase;
use super::{CatalogEvent, Row, payload::PayloadType};

/// The rows by their apps, both in byte order.
const ROWS: [&[Row]; 10] = [
    admissions::ROWS,
    assessment::ROWS,
    assignments::ROWS,
    authenticate::ROWS,
    events::ROWS,
    feedback::ROWS,
    marketing::ROWS,
    mentorship::ROWS,
    payments::ROWS,
    registry::ROWS,
];

/// How many there are.
const COUNT: usize = {
    let mut count = 0;
    let mut app = 0;
    while app < ROWS.len() {
        count += ROWS[app].len();
        app += 1;
    }
    count
};

/// Every event.
pub(super) static EVENTS: [CatalogEvent; COUNT] = {
    let mut events = [const { ROWS[0][0].numbered(0) }; COUNT];
    let mut number = 0;
    while number < COUNT {
        events[number] = row(number).numbered(number);
        number += 1;
    }
    events
};

/// What the events' payloads are, by the events' numbers. It is apart from the events because the code that
/// reads payloads comes with it, a tenth of a function's binary, and only whoever publishes has use for that.
pub(super) static PAYLOADS: [PayloadType; COUNT] = {
    let mut payloads = [ROWS[0][0].payload; COUNT];
    let mut number = 0;
    while number < COUNT {
        payloads[number] = row(number).payload;
        number += 1;
    }
    payloads
};

/// The row of this number, through all apps.
const fn row(mut number: usize) -> &'static Row {
    let mut app = 0;
    while number >= ROWS[app].len() {
        number -= ROWS[app].len();
        app += 1;
    }
    &ROWS[app][number]
}

/// Changes of the apps' records, and the events that they are.
#[cfg(test)]
pub(super) static CHANGES: [&[ChangeCase]; 10] = [
    admissions::changes::CASES,
    assessment::changes::CASES,
    assignments::changes::CASES,
    authenticate::changes::CASES,
    events::changes::CASES,
    feedback::changes::CASES,
    marketing::changes::CASES,
    mentorship::changes::CASES,
    payments::changes::CASES,
    registry::changes::CASES,
];
