//! `publish` and `change`: what a publisher has to tell, from files to the API.
//!
//! What the files hold is checked to be JSON, so that a mistake is named with its place before
//! anything is sent, and goes out as the text that it is: a number keeps its spelling.

use std::{
    fs::File,
    io::{self, Read},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use shared::{plain, terminal::one_line};

use crate::{
    api::Api,
    args::{AcademyRef, ApiArgs, ChangeArgs, Input, PublishArgs},
};

/// The largest payload, in bytes, as the API has it.
const PAYLOAD_LIMIT: usize = 256 * 1024;

/// The largest record: two of them are as much as a request to the API may have.
const RECORD_LIMIT: usize = 2 * 1024 * 1024;

/// The largest file: space around the JSON does not count, but is not read for ever either.
const FILE_LIMIT: usize = 2 * RECORD_LIMIT;

/// The body of `POST event`.
#[derive(Serialize)]
struct EventBody<'a> {
    event: &'a str,
    academy: Option<AcademyRef>,
    payload: &'a RawValue,
    id: &'a str,
}

/// The body of `POST change`.
#[derive(Serialize)]
struct ChangeBody<'a> {
    model: &'a str,
    before: Option<&'a RawValue>,
    after: Option<&'a RawValue>,
    id: &'a str,
}

/// An event that the API has accepted.
#[derive(Deserialize)]
struct Accepted {
    event: String,
    deliveries: u64,
    /// The fields that the API did not let out.
    #[serde(default)]
    dropped: Vec<String>,
}

/// The answer to an event.
#[derive(Deserialize)]
struct EventAnswer {
    id: String,
    #[serde(flatten)]
    event: Accepted,
}

/// The answer to a change: the events that are in it.
#[derive(Deserialize)]
struct ChangeAnswer {
    id: String,
    events: Vec<Accepted>,
}

pub(crate) async fn event(args: PublishArgs) -> Result<()> {
    let api = Api::new(&args.api)?;
    let payload = read(&args.file, PAYLOAD_LIMIT)?;
    let id = args.id.unwrap_or_else(random_id);
    let body = serde_json::to_string(&EventBody {
        event: &args.event,
        academy: args.place.academy(),
        payload: &payload,
        id: &id,
    })?;
    let answer = api.post("/event", &id, body).await?;
    let EventAnswer { id, event } = parsed(&answer)?;
    report(&args.api, &answer, &id, &[event])
}

pub(crate) async fn change(args: ChangeArgs) -> Result<()> {
    let api = Api::new(&args.api)?;
    let before = args.sides.before.as_ref().map(record).transpose()?;
    let after = args.sides.after.as_ref().map(record).transpose()?;
    let id = args.id.unwrap_or_else(random_id);
    let body = serde_json::to_string(&ChangeBody {
        model: &args.model,
        before: before.as_deref(),
        after: after.as_deref(),
        id: &id,
    })?;
    let answer = api.post("/change", &id, body).await?;
    let ChangeAnswer { id, events } = parsed(&answer)?;
    report(&args.api, &answer, &id, &events)
}

/// An id that nobody has used.
fn random_id() -> String {
    uuid::Builder::from_random_bytes(rand::random())
        .into_uuid()
        .to_string()
}

/// Reads JSON of at most so many bytes, and keeps its text.
fn read(input: &Input, limit: usize) -> Result<Box<RawValue>> {
    let bytes = read_bytes(input).with_context(|| format!("cannot read {input}"))?;
    if bytes.len() <= FILE_LIMIT {
        let json = parse(&bytes).with_context(|| format!("{input} is no JSON"))?;
        if json.get().len() <= limit {
            return Ok(json);
        }
    }
    bail!("{input} has more than {} KiB of JSON", limit / 1024)
}

fn parse(bytes: &[u8]) -> Result<Box<RawValue>> {
    let text = plain::without_mark(bytes)?;
    serde_json::from_slice(text).map_err(|error| anyhow!(plain::said_of(&error)))
}

fn read_bytes(input: &Input) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte too many tells that there are more.
    let most = FILE_LIMIT as u64 + 1;
    match input {
        Input::Stdin => io::stdin().take(most).read_to_end(&mut bytes)?,
        Input::File(path) => File::open(path)?.take(most).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

/// Reads a record. A side that is `null` is one that is not given.
fn record(input: &Input) -> Result<Box<RawValue>> {
    let json = read(input, RECORD_LIMIT)?;
    ensure!(
        json.get().starts_with('{'),
        "{input} is no record: a record is a JSON object"
    );
    Ok(json)
}

fn parsed<T: DeserializeOwned>(answer: &[u8]) -> Result<T> {
    serde_json::from_slice(answer).context("it was accepted, by something that is not this API")
}

/// Says what became of it.
fn report(args: &ApiArgs, answer: &[u8], id: &str, events: &[Accepted]) -> Result<()> {
    if args.json {
        say!("{}", std::str::from_utf8(answer)?);
    } else {
        say!("Accepted under the id {}", one_line(id));
        for Accepted {
            event, deliveries, ..
        } in events
        {
            say!("{}  {deliveries} deliveries", one_line(event));
        }
        if events.is_empty() {
            say!("This change is no event.");
        }
    }
    for Accepted { event, dropped, .. } in events {
        if !dropped.is_empty() {
            let fields = dropped.join(", ");
            complain!(
                "{}",
                one_line(&format!("Warning: {event} goes out without {fields}"))
            );
        }
    }
    Ok(())
}
