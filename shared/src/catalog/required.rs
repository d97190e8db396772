//! What a payload must have: what identifies the record, and what the event is about.
//!
//! It stands in the event's row and not in the payload's type. Events that share a type differ in what
//! they report of it, and what is a record of its own in one payload is a part of another, where only
//! some of it may be known.

use std::borrow::Cow;

use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::payload::{Mistake, Path};

/// The fields that lead to a value which must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Required {
    /// It must not be null.
    Present(&'static [&'static str]),
    /// Null is a value of it.
    MayBeNull(&'static [&'static str]),
}

impl Required {
    /// The number of the record.
    pub(super) const ID: Self = Self::Present(&["id"]);

    /// The fields that lead to it, and whether it may be null.
    pub(super) fn parts(self) -> (&'static [&'static str], bool) {
        match self {
            Self::Present(path) => (path, false),
            Self::MayBeNull(path) => (path, true),
        }
    }

    /// Looks for it in a payload.
    pub(super) fn check(self, payload: &RawValue) -> Result<(), Mistake> {
        let (fields, may_be_null) = self.parts();
        let mut path = Path::default();
        let mut json = payload;
        for field in fields {
            path = path.join(field);
            let found: Result<IndexMap<Cow<'_, str>, &RawValue>, _> =
                serde_json::from_str(json.get());
            let Some(value) = found.ok().and_then(|found| found.get(*field).copied()) else {
                let message = "This field is required.".to_owned();
                return Err(Mistake { path, message });
            };
            json = value;
        }
        if json.get() == "null" && !may_be_null {
            let message = "This field may not be null.".to_owned();
            return Err(Mistake { path, message });
        }
        Ok(())
    }
}
