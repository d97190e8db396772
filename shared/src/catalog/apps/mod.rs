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

use super::CatalogEvent;
#[cfg(test)]
use super::tests::ChangeCase;

/// Every event by its app, both in byte order.
pub(super) static APPS: [&[CatalogEvent]; 10] = [
    admissions::EVENTS,
    assessment::EVENTS,
    assignments::EVENTS,
    authenticate::EVENTS,
    events::EVENTS,
    feedback::EVENTS,
    marketing::EVENTS,
    mentorship::EVENTS,
    payments::EVENTS,
    registry::EVENTS,
];

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
