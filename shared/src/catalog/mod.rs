//! The event catalogue: the one place that knows which events there are.
//!
//! An academy subscribes to an event by its name, the platform publishes under the same name, and
//! everything else that is said about an event (its label, its Django app, the signal behind it,
//! what a payload looks like) is read off the row that [`find`] returns. The table is closed and
//! static: a name that is not in it is no event, and a `&'static CatalogEvent` in hand is proof
//! that the name was checked, so nothing downstream checks again.
//!
//! A row is all there is to know of an event: its names, the type of its payload, an example, and
//! which changes of a record it is ([`Change`]). Each app's rows stand in a file of their own, with the
//! types that only they need; what several apps' payloads have in common is in `parts`. Rows derive as
//! much as they can: app and model come from the model's dotted name, the label from the action, the
//! signal path from app and signal, schemas from the types.
//! Always: [`events`] are sorted by app, then name, in byte order, and the filters keep that order.

pub mod apps;
mod change;
mod filter;
pub mod parts;
pub mod payload;
mod required;
#[cfg(any(test, feature = "schemas"))]
mod schema;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use self::payload::{Mistake, Payload, PayloadType};

pub use change::{AcademyIn, Change, ChangeError, Derived, Fill, Fires, models};
pub use filter::{CatalogFilter, events_of_apps, events_of_signals};
pub use required::Required;

/// One event that an academy can subscribe to.
///
/// Two of them are equal when their names are: the table holds each name once.
pub struct CatalogEvent<P = usize> {
    /// The name to subscribe and publish under, such as `cohort_user.added`; case matters.
    pub name: &'static str,
    /// The Django model whose change is the event, with its app: `admissions.CohortUser`.
    pub model: &'static str,
    /// The Django signal that reports the change; `created+` and `updated+` are those that every
    /// model sends.
    signal: &'static str,
    /// The last part of the event's action, where it is not simply the signal.
    action: Option<&'static str>,
    /// One sentence on when the event fires, "Triggered when …".
    pub description: &'static str,
    /// Which changes of a record of the model are the event.
    pub fires: Fires,
    /// Where such a record names its academy.
    pub academy: AcademyIn,
    /// What the payload must have; all else may be missing or null.
    pub required: &'static [Required],
    /// What the payload has and the record has elsewhere.
    pub fills: &'static [Fill],
    /// What its payload is, or, for an event in hand, where that stands.
    payload: P,
    /// A payload, as JSON text.
    example: &'static str,
}

/// An event as its app's file has it.
type Row = CatalogEvent<PayloadType>;

impl Row {
    /// The event, which has this number in the table.
    const fn numbered(&self, number: usize) -> CatalogEvent {
        CatalogEvent {
            name: self.name,
            model: self.model,
            signal: self.signal,
            action: self.action,
            description: self.description,
            fires: self.fires,
            academy: self.academy,
            required: self.required,
            fills: self.fills,
            payload: number,
            example: self.example,
        }
    }
}

impl CatalogEvent {
    /// The Django app that owns the event: the model's part before the dot.
    #[must_use]
    pub fn app(&self) -> &'static str {
        self.model
            .split_once('.')
            .map_or(self.model, |(app, _)| app)
    }

    /// The name for people: the action's words capitalised, "Assignment Created".
    ///
    /// The signals that every model sends say nothing about the model, so an event of theirs is
    /// called after its name instead: "Cohort User Added".
    #[must_use]
    pub fn label(&self) -> String {
        let action = self.action.unwrap_or(self.signal);
        let words = if action.ends_with('+') {
            self.name
        } else {
            action
        };
        words
            .split(['.', '_'])
            .map(capitalised)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The full path of the signal, `breathecode.assignments.signals.assignment_created`.
    #[must_use]
    pub fn signal_path(&self) -> String {
        format!("{}.signals.{}", self.source(), self.signal)
    }

    /// What an event bus knows the event's app by: `breathecode.assignments`, with which the signal's
    /// path begins.
    #[must_use]
    pub fn source(&self) -> String {
        format!("breathecode.{}", self.app())
    }

    /// A payload of this event as JSON text: an object, indented, without surrounding space.
    ///
    /// It is text because the numbers' spelling is part of the example (`299.00`), and a parsed
    /// number forgets it. Send it as it is.
    #[must_use]
    pub fn example(&self) -> &'static str {
        self.example.trim_ascii()
    }

    /// Holds a text to the type of the event's payload: what the type does not have is cut out.
    pub fn payload(&self, json: Arc<RawValue>) -> Result<Payload, Mistake> {
        let payload = self.payload_type().hold(json)?;
        for required in self.required {
            required.check(&payload.json)?;
        }
        Ok(payload)
    }

    /// What its payload is.
    fn payload_type(&self) -> PayloadType {
        apps::PAYLOADS[self.payload]
    }

    /// What the catalogue shows of the event.
    #[must_use]
    pub fn entry(&self) -> CatalogEntry {
        CatalogEntry {
            event: self.name,
            label: self.label(),
            description: self.description,
            app: self.app(),
            model: self.model,
        }
    }
}

impl PartialEq for CatalogEvent {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for CatalogEvent {}

impl Hash for CatalogEvent {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// Only the name: whoever logs a hook does not want its event's example payload as well.
impl fmt::Debug for CatalogEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CatalogEvent").field(&self.name).finish()
    }
}

/// An event as the catalogue answers it; the order of the fields is the order on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "event": "assignment.assignment_created",
    "label": "Assignment Created",
    "description": "Triggered when a new assignment is created for a student",
    "app": "assignments",
    "model": "assignments.Task"
}))]
pub struct CatalogEntry {
    /// The name to subscribe with.
    pub event: &'static str,
    /// The name for people.
    pub label: String,
    /// When the event fires.
    pub description: &'static str,
    /// The Django app that owns the event.
    pub app: &'static str,
    /// The Django model whose change is the event.
    pub model: &'static str,
}

/// Every event there is, by app and then by name, in byte order.
pub fn events() -> impl Iterator<Item = &'static CatalogEvent> {
    apps::EVENTS.iter()
}

/// The sources of the events, each once, in the order of the catalogue.
#[must_use]
pub fn sources() -> Vec<String> {
    let mut sources: Vec<_> = events().map(CatalogEvent::source).collect();
    sources.dedup();
    sources
}

/// The event of exactly this name, or `None` when there is none.
#[must_use]
pub fn find(name: &str) -> Option<&'static CatalogEvent> {
    events().find(|event| event.name == name)
}

/// The word with its first letter in upper case and the rest in lower case.
fn capitalised(word: &str) -> String {
    let mut word = word.to_ascii_lowercase();
    if let Some(first) = word.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    word
}
