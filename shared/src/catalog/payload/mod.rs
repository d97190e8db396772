//! Payloads held to their types.
//!
//! An event's payload has a Rust type: it says which fields there are, and what each of them is. A payload is read as its type when it is published, and what the type does not
//! have is cut out of its text. The text itself is never rewritten: what stays keeps its order and
//! its spelling, so that a payload with nothing to cut is delivered byte for byte as it was published.

mod objects;
mod path;
mod prune;
mod scalars;
pub(crate) mod vocabulary;

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use utoipa::ToSchema;
#[cfg(any(test, feature = "schemas"))]
use utoipa::openapi::{RefOr, schema::Schema};

use crate::plain;

pub use path::Path;
#[cfg(test)]
pub(crate) use path::Step;
pub use scalars::{Decimal, Degrees, Free, Id, Key, Name, Related, Schemas, Time};

pub(crate) use scalars::{either, related, with_parts};
pub(crate) use vocabulary::vocabulary;

/// The most fields that are named as left out. A list of 100 events, each with as many of the longest
/// names, escaped, is answered in less than the 6 MB that a Lambda function may answer with.
const MAX_NAMED: usize = 50;

/// The most memory that the paths to what is left out take, in bytes. Each path has the names of all
/// that it leads through, so that thousands of fields below one long name would be many gigabytes. No
/// payload of an honest publisher comes near it: 262,144 bytes of nothing but unknown fields, six levels
/// down, take less than half of it.
const MAX_IGNORED_BYTES: usize = 16 << 20;

/// What is wrong in a JSON text that is to be of some type, and where. The message repeats nothing of
/// the text: it may be logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mistake {
    /// Where: below the root of the text.
    pub path: Path,
    /// What, as a sentence.
    pub message: String,
}

/// The message, after the path if there is one: of the root it is empty.
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.steps().is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// A payload that is one of its event.
#[derive(Clone, Debug)]
pub struct Payload {
    /// What is delivered.
    pub json: Arc<RawValue>,
    /// The paths of what was left out because the event does not have it, each once, `plans[].token`
    /// for all elements of a list: the first 50 in their order.
    pub dropped: Vec<String>,
}

/// What an event knows of its payload's type.
#[derive(Clone, Copy)]
pub(super) struct PayloadType {
    /// Reads a text and returns the paths of what the type does not have.
    read: fn(&str) -> Result<Vec<Path>, Mistake>,
    #[cfg(any(test, feature = "schemas"))]
    described: Described,
}

/// What says what a payload's type is, for documents and tests. The functions serve what was made of it.
#[cfg(any(test, feature = "schemas"))]
#[derive(Clone, Copy)]
struct Described {
    name: fn() -> String,
    schema: fn() -> RefOr<Schema>,
    parts: fn(&mut Schemas),
}

impl PayloadType {
    /// That its payload is a `T`.
    pub(super) const fn of<T: DeserializeOwned + ToSchema>() -> Self {
        Self {
            read: read::<T>,
            #[cfg(any(test, feature = "schemas"))]
            described: Described {
                name: || T::name().into_owned(),
                schema: T::schema,
                parts: T::schemas,
            },
        }
    }

    /// Holds a text to the type.
    pub(super) fn hold(self, json: Arc<RawValue>) -> Result<Payload, Mistake> {
        let ignored = (self.read)(json.get())?;
        if ignored.is_empty() {
            return Ok(Payload {
                json,
                dropped: Vec::new(),
            });
        }
        let kept =
            prune::without(&json, &ignored).map_err(|error| mistake(Path::default(), &error))?;
        Ok(Payload {
            json: kept.into(),
            dropped: names(&ignored),
        })
    }
}

#[cfg(any(test, feature = "schemas"))]
impl PayloadType {
    /// The type's name.
    pub(super) fn name(self) -> String {
        (self.described.name)()
    }

    /// The type's schema, with references to [`PayloadType::parts`].
    pub(super) fn schema(self) -> RefOr<Schema> {
        (self.described.schema)()
    }

    /// The schemas that the type's refers to, directly or not, by name. Each is there once, unless two
    /// types have the same name, which the tests forbid.
    pub(super) fn parts(self) -> Schemas {
        let mut parts = Schemas::new();
        (self.described.parts)(&mut parts);
        parts.sort_by(|(a, _), (b, _)| a.cmp(b));
        parts.dedup();
        parts
    }
}

fn read<T: DeserializeOwned>(json: &str) -> Result<Vec<Path>, Mistake> {
    let mut ignored = Ignored::default();
    let mut track = serde_path_to_error::Track::new();
    let mut json = serde_json::Deserializer::from_str(json);
    let objects = objects::Objects(&mut json);
    let tracked = serde_path_to_error::Deserializer::new(objects, &mut track);
    let mut ignore = |path: serde_ignored::Path<'_>| ignored.add(&path);
    let read = T::deserialize(serde_ignored::Deserializer::new(tracked, &mut ignore));
    match read {
        Ok(_) => ignored.paths(),
        Err(error) => Err(mistake(Path::from(&track.path()), &error)),
    }
}

/// The paths to what is left out, as long as they are not too much to hold.
#[derive(Default)]
struct Ignored {
    paths: Vec<Path>,
    bytes: usize,
}

impl Ignored {
    /// Takes one more path. Nothing once there is too much: a reader cannot be stopped from here.
    fn add(&mut self, path: &serde_ignored::Path<'_>) {
        if self.bytes <= MAX_IGNORED_BYTES {
            let path = Path::from(path);
            self.bytes += path.bytes();
            self.paths.push(path);
        }
    }

    /// All paths, or that they were too much.
    fn paths(mut self) -> Result<Vec<Path>, Mistake> {
        if self.bytes <= MAX_IGNORED_BYTES {
            return Ok(self.paths);
        }
        let path = self.paths.pop().unwrap_or_default();
        let message = "From here on, more is to be left out than one payload may have.".to_owned();
        Err(Mistake { path, message })
    }
}

/// Puts serde's words into ours, and leaves out the values that serde repeats.
pub(super) fn mistake(path: Path, error: &serde_json::Error) -> Mistake {
    let text = error.to_string();
    let field = |rest: &str| rest.split('`').next().map(|field| path.clone().join(field));
    if let Some(path) = text.strip_prefix("missing field `").and_then(field) {
        let message = "This field is required.".to_owned();
        return Mistake { path, message };
    }
    if let Some(path) = text.strip_prefix("duplicate field `").and_then(field) {
        let message = "This field is given twice.".to_owned();
        return Mistake { path, message };
    }
    let message = if error.is_data() {
        let found = ["invalid type: ", "invalid value: "]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix));
        let expected = text.rsplit_once(", expected ").map(|(_, rest)| rest);
        match (found, expected) {
            (Some(found), Some(expected)) => {
                format!("Expected {}, got {}.", wanted(expected), kind(found))
            }
            _ => "This value is not valid.".to_owned(),
        }
    } else if text.starts_with("recursion limit exceeded") {
        "This is nested too deeply.".to_owned()
    } else if plain::said_of(error).starts_with(plain::LONE_SURROGATE) {
        "This text has half of a surrogate pair, such as \\ud83d alone, which is no character."
            .to_owned()
    } else if text.starts_with("number out of range") {
        "This number is too large.".to_owned()
    } else {
        "This is no valid JSON.".to_owned()
    };
    Mistake { path, message }
}

/// What was expected, in JSON's words: serde names Rust's types, and says at which line.
fn wanted(expected: &str) -> &str {
    let expected = expected
        .rsplit_once(" at line ")
        .map_or(expected, |(expected, _)| expected);
    match expected {
        "i64" | "u64" | "u32" | "i32" => "an integer",
        "a sequence" => "a list",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}

/// What was found instead.
fn kind(found: &str) -> &'static str {
    const KINDS: [(&str, &str); 7] = [
        ("string", "a string"),
        ("integer", "an integer"),
        ("floating point", "a decimal number"),
        ("boolean", "a boolean"),
        ("null", "null"),
        ("sequence", "a list"),
        ("map", "an object"),
    ];
    KINDS
        .iter()
        .find(|(prefix, _)| found.starts_with(prefix))
        .map_or("something else", |(_, kind)| kind)
}

/// The names of fields that are left out, each once.
fn names(ignored: &[Path]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    ignored
        .iter()
        .map(Path::of_all_elements)
        .filter(|name| seen.insert(name.clone()))
        .take(MAX_NAMED)
        .collect()
}
