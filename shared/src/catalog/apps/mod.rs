//! The apps, each with its events.
//!
//! A new event is a row in its app's file, where it sorts, with a type, an example and changes that
//! are it and are not. `docs/EVENTS.md` says how, step by step.

pub mod admissions;

use super::CatalogEvent;

/// Every event by its app, both in byte order.
pub(super) static APPS: [&[CatalogEvent]; 1] = [&admissions::EVENTS];
