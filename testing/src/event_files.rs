//! The event files of `events/`, and what `events/outcomes.json` says becomes of them.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// An event file of a function.
#[derive(Clone, Debug)]
pub struct EventFile {
    /// Its name, without folder and suffix.
    pub name: String,
    /// The event in it.
    pub event: Value,
    outcome: Outcome,
}

/// What has to become of an event.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcome {
    /// The file, from the folder on.
    event: String,
    /// The status of the answer to a request.
    status: Option<u16>,
    /// What the body of that answer has, beside other things.
    body: Option<Value>,
    /// The messages that SQS is to redeliver.
    again: Option<BTreeSet<String>>,
}

fn folder(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../events", name]
        .iter()
        .collect()
}

/// The event files of a function, in the order in which they can be handled one after the other: a hook is
/// looked at before it is deleted. None is missing, and none is there that nothing is said of.
pub fn event_files(function: &str) -> Vec<EventFile> {
    let listed = fs::read(folder("outcomes.json")).unwrap();
    let listed: Vec<Outcome> = serde_json::from_slice(&listed).unwrap();
    let files = listed.into_iter().filter_map(|outcome| {
        let name = outcome.event.strip_prefix(function)?.strip_prefix('/')?;
        let path = folder(function).join(format!("{name}.json"));
        Some(EventFile {
            name: name.to_owned(),
            event: serde_json::from_slice(&fs::read(path).unwrap()).unwrap(),
            outcome,
        })
    });
    let files: Vec<EventFile> = files.collect();
    let found = fs::read_dir(folder(function)).unwrap();
    let found: BTreeSet<_> = found.map(|file| file.unwrap().file_name()).collect();
    let names = files
        .iter()
        .map(|file| format!("{}.json", file.name).into());
    assert_eq!(found, names.collect());
    files
}

impl EventFile {
    /// Holds that this answer is what has to become of it.
    pub fn assert_answered(&self, answer: &Value) {
        let Outcome {
            status,
            body,
            again,
            ..
        } = &self.outcome;
        let answered = answer["statusCode"].as_u64();
        assert_eq!(answered, status.map(u64::from), "{}: {answer}", self.name);
        let failures = answer["batchItemFailures"].as_array();
        let failures = failures.map(|failures| {
            let ids = failures.iter().map(|item| &item["itemIdentifier"]);
            ids.map(|id| id.as_str().unwrap().to_owned())
                .collect::<BTreeSet<_>>()
        });
        assert_eq!(failures.as_ref(), again.as_ref(), "{}: {answer}", self.name);
        if let Some(wanted) = body {
            let text = answer["body"].as_str().unwrap();
            let found: Value = serde_json::from_str(text).unwrap();
            assert!(has(&found, wanted), "{}: {found}", self.name);
        }
    }
}

/// Whether a value has all that another has.
fn has(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| found.get(name).is_some_and(|found| has(found, wanted))),
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(f, w)| has(f, w))
        }
        _ => found == wanted,
    }
}
