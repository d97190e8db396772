//! Changes in, events out: which events the change of a record is.
//!
//! The platform saves a record and says what it was before and what it is now. What follows from that
//! stands in the catalogue's rows, beside each event: the model it watches, which changes of it count
//! ([`Fires`]), where the record names its academy ([`AcademyIn`]), and where it has what the payload
//! wants ([`Fill`]). This module only reads those.
//!
//! A record is read as a JSON object and its values are handed on as the text that they came in. Both
//! sides of a change are to be whole: a field that only one of them leaves out could have had any value
//! there, so a rule that depends on it answers with a mistake instead of a guess. One that both leave out
//! has not changed.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt, sync::Arc};

use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::{Value, value::RawValue};

use super::{
    CatalogEvent, events,
    payload::{self, Mistake, Path, Payload},
};
use crate::members::Members;
use crate::model::AcademyRef;
use crate::plain::Plain;

/// Which changes of a record are the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fires {
    /// The record is new.
    Created,
    /// The record was there and is saved again, changed or not.
    SavedAgain,
    /// The field has another value than before; a new record has changed nothing.
    Changed(&'static str),
    /// The record is new, or the field has another value than before.
    CreatedOrChanged(&'static str),
    /// The field has another value than before, and not null; a new record's is another than none.
    SetOrChanged(&'static str),
    /// The field was null before and is not now; a new record's was null.
    Set(&'static str),
    /// The field has another value than before, and it is one of these; a new record's is another
    /// than none.
    Became(&'static str, &'static [&'static str]),
}

/// The rule for people, in Markdown.
impl fmt::Display for Fires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("created"),
            Self::SavedAgain => f.write_str("saved again, changed or not"),
            Self::Changed(field) => write!(f, "`{field}` changed, not on creation"),
            Self::CreatedOrChanged(field) => write!(f, "created, or `{field}` changed"),
            Self::SetOrChanged(field) => write!(f, "`{field}` set or changed, not to null"),
            Self::Set(field) => write!(f, "`{field}` set, where it was null; also on creation"),
            Self::Became(field, [value]) => write!(f, "`{field}` became {value}"),
            Self::Became(field, values) => {
                write!(f, "`{field}` became one of {}", values.join(", "))
            }
        }
    }
}

/// Where a record names the academy that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcademyIn {
    /// The fields that lead to it.
    pub path: &'static [&'static str],
    /// Whether any of them may be null: the event is then one of no academy.
    pub optional: bool,
}

impl AcademyIn {
    /// It is there.
    pub(super) const fn required(path: &'static [&'static str]) -> Self {
        Self {
            path,
            optional: false,
        }
    }

    /// It is there, or null.
    pub(super) const fn optional(path: &'static [&'static str]) -> Self {
        Self {
            path,
            optional: true,
        }
    }
}

/// A payload's field that a record has under another name, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The payload's field.
    pub field: &'static str,
    /// The fields of the record that lead to its value; none: the record itself.
    pub from: &'static [&'static str],
    /// What it is, as JSON, when the record does not have it; none: then it is not sent.
    pub otherwise: Option<&'static str>,
}

/// A record that was saved.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The record's model: `assignments.Task`.
    pub model: &'a str,
    /// The record as it was; none: it is new.
    pub before: Option<&'a RawValue>,
    /// The record as it is; none: it was deleted.
    pub after: Option<&'a RawValue>,
}

/// An event that a change is.
#[derive(Clone, Debug)]
pub struct Derived {
    /// The event.
    pub event: &'static CatalogEvent,
    /// Where it happened; none: at no academy.
    pub academy: Option<AcademyRef>,
    /// What is delivered.
    pub payload: Arc<RawValue>,
}

/// Why nothing can be derived from a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// No event is of this model.
    #[error("no event is of the model {0:?}")]
    UnknownModel(String),
    /// A record is not what the events of its model need.
    #[error("{side}: {mistake}")]
    Record {
        /// `before` or `after`.
        side: &'static str,
        /// What is wrong in it.
        mistake: Mistake,
    },
}

const BEFORE: &str = "before";
const AFTER: &str = "after";

/// The models that have events, each once, sorted.
#[must_use]
pub fn models() -> BTreeSet<&'static str> {
    events().map(|event| event.model).collect()
}

impl Change<'_> {
    /// The events that the change is, in the order of the catalogue. There is none when a record is
    /// deleted.
    pub fn events(&self) -> Result<Vec<Derived>, ChangeError> {
        let mut of_model = events()
            .filter(|event| event.model == self.model)
            .peekable();
        if of_model.peek().is_none() {
            return Err(ChangeError::UnknownModel(self.model.to_owned()));
        }
        let before = self
            .before
            .map(|json| Record::read(json, BEFORE))
            .transpose()?;
        let Some(after) = self
            .after
            .map(|json| Record::read(json, AFTER))
            .transpose()?
        else {
            return Ok(Vec::new());
        };
        let mut derived = Vec::new();
        for event in of_model {
            if event.fires.on(before.as_ref(), &after)? {
                derived.push(Derived {
                    event,
                    academy: after.academy(event.academy)?,
                    payload: after.payload(event)?.json,
                });
            }
        }
        Ok(derived)
    }
}

impl Fires {
    fn on(self, before: Option<&Record<'_>>, after: &Record<'_>) -> Result<bool, ChangeError> {
        match self {
            Self::Created => Ok(before.is_none()),
            Self::SavedAgain => Ok(before.is_some()),
            Self::Changed(field) => match before {
                None => Ok(false),
                Some(_) => changed(field, before, after),
            },
            Self::CreatedOrChanged(field) => match before {
                None => Ok(true),
                Some(_) => changed(field, before, after),
            },
            Self::SetOrChanged(field) => {
                Ok(changed(field, before, after)? && after.value(field)? != Value::Null)
            }
            Self::Set(field) => {
                let was = before.map(|before| before.value(field)).transpose()?;
                let was_null = was.is_none_or(|was| was == Value::Null);
                Ok(changed(field, before, after)? && was_null)
            }
            Self::Became(field, values) => {
                let value = after.value(field)?;
                let is_one = value.as_str().is_some_and(|value| values.contains(&value));
                Ok(changed(field, before, after)? && is_one)
            }
        }
    }
}

/// Whether a field has another value than before. A new record's fields were null before.
fn changed(
    field: &'static str,
    before: Option<&Record<'_>>,
    after: &Record<'_>,
) -> Result<bool, ChangeError> {
    let Some(before) = before else {
        return Ok(after.value(field)? != Value::Null);
    };
    match (
        before.fields.contains_key(field),
        after.fields.contains_key(field),
    ) {
        (false, true) => Err(before.missing(field)),
        (true, false) => Err(after.missing(field)),
        _ => Ok(!same(&before.value(field)?, &after.value(field)?)),
    }
}

/// Whether two values are the same: a moment may be written in several ways.
fn same(a: &Value, b: &Value) -> bool {
    let moment = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    a == b || moment(a).is_some_and(|a| moment(b) == Some(a))
}

/// One side of a change.
struct Record<'a> {
    side: &'static str,
    json: &'a RawValue,
    fields: IndexMap<String, &'a RawValue>,
}

impl<'a> Record<'a> {
    fn read(json: &'a RawValue, side: &'static str) -> Result<Self, ChangeError> {
        let wrong = |path, message: &str| {
            let message = message.to_owned();
            let mistake = Mistake { path, message };
            ChangeError::Record { side, mistake }
        };
        let Members(members) = serde_json::from_str(json.get()).map_err(|error| {
            if error.is_data() {
                let message = "Expected a record, which is an object, or null.";
                return wrong(Path::default(), message);
            }
            // The text is JSON by its grammar, so this is a name that is no text.
            let mistake = payload::mistake(Path::default(), &error);
            ChangeError::Record { side, mistake }
        })?;
        let mut fields = IndexMap::with_capacity(members.len());
        for (name, value) in members {
            let path = Path::field(&name);
            if fields.insert(name, value).is_some() {
                return Err(wrong(path, "This field is given twice."));
            }
        }
        Ok(Self { side, json, fields })
    }

    /// A field's value; null when it is not there.
    fn value(&self, field: &str) -> Result<Value, ChangeError> {
        match self.fields.get(field) {
            None => Ok(Value::Null),
            Some(json) => self.read_value(json, Path::field(field)),
        }
    }

    fn read_value(&self, json: &RawValue, path: Path) -> Result<Value, ChangeError> {
        match serde_json::from_str(json.get()) {
            Ok(Plain(value)) => Ok(value),
            Err(error) => Err(ChangeError::Record {
                side: self.side,
                mistake: payload::mistake(path, &error),
            }),
        }
    }

    fn wrong(&self, path: Path, message: &str) -> ChangeError {
        let message = message.to_owned();
        ChangeError::Record {
            side: self.side,
            mistake: Mistake { path, message },
        }
    }

    fn missing(&self, field: &str) -> ChangeError {
        self.wrong(
            Path::field(field),
            "This field is required: the other side of the change has it.",
        )
    }

    /// The text of what these fields lead to; nothing when one of them is not there.
    fn find(&self, path: &[&str]) -> Option<&'a RawValue> {
        let (first, rest) = match path.split_first() {
            None => return Some(self.json),
            Some((first, rest)) => (self.fields.get(*first)?, rest),
        };
        rest.iter().try_fold(*first, |json, field| {
            let fields: IndexMap<String, &'a RawValue> = serde_json::from_str(json.get()).ok()?;
            fields.get(*field).copied()
        })
    }

    /// The academy of the record.
    fn academy(&self, academy: AcademyIn) -> Result<Option<AcademyRef>, ChangeError> {
        let mut path = Path::default();
        for (depth, field) in academy.path.iter().enumerate() {
            path = path.join(field);
            let Some(found) = self.find(&academy.path[..=depth]) else {
                let message = "This field is required: the record's academy is found by it.";
                return Err(self.wrong(path, message));
            };
            let found = self.read_value(found, path.clone())?;
            let is_last = depth + 1 == academy.path.len();
            match found {
                Value::Null if academy.optional => return Ok(None),
                Value::Null => {
                    return Err(self.wrong(path, "This field may not be null."));
                }
                Value::Object(_) if !is_last => {}
                found if is_last => return self.academy_ref(&found, path).map(Some),
                _ => {
                    let message = "Expected an object that leads to the record's academy.";
                    return Err(self.wrong(path, message));
                }
            }
        }
        Ok(None)
    }

    fn academy_ref(&self, value: &Value, path: Path) -> Result<AcademyRef, ChangeError> {
        let reference = match value {
            Value::Object(academy) => {
                let slug = academy.get("slug").and_then(Value::as_str);
                let id = academy.get("id").and_then(Value::as_u64);
                slug.map(|slug| AcademyRef::Slug(slug.to_owned()))
                    .or_else(|| id.map(AcademyRef::Id))
            }
            Value::String(slug) => Some(AcademyRef::Slug(slug.clone())),
            Value::Number(id) => id.as_u64().map(AcademyRef::Id),
            _ => None,
        };
        let message = "Expected an academy with its slug or id, or one of these alone.";
        reference.ok_or_else(|| self.wrong(path, message))
    }

    /// The payload that an event's type picks out of the record.
    fn payload(&self, event: &CatalogEvent) -> Result<Payload, ChangeError> {
        let json = if event.fills.is_empty() {
            self.json.to_owned()
        } else {
            self.filled(event.fills)
                .map_err(|_| self.wrong(Path::default(), "This is no valid JSON."))?
        };
        let payload = event.payload(json.into());
        payload.map_err(|mistake| ChangeError::Record {
            side: self.side,
            mistake,
        })
    }

    /// The record with the fields that a payload has and it has not.
    fn filled(&self, fills: &[Fill]) -> serde_json::Result<Box<RawValue>> {
        let mut fields = self.fields.clone();
        for fill in fills {
            if fields.contains_key(fill.field) {
                continue;
            }
            let otherwise = fill.otherwise.map(serde_json::from_str).transpose()?;
            if let Some(value) = self.find(fill.from).or(otherwise) {
                fields.insert(fill.field.to_owned(), value);
            }
        }
        serde_json::value::to_raw_value(&fields)
    }
}
