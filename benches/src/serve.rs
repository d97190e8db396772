//! The server under test: a release build of `academy-hooks serve --in-memory`, in a process of its own.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use bench::payload::EVENT;
use serde_json::{Value, json};

use crate::{
    load::{ACADEMY, PUBLISHER_TOKEN},
    process::Process,
};

/// A hook that is there from the beginning.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    pub(crate) owner: String,
    pub(crate) event: &'static str,
    pub(crate) target: String,
}

impl Hook {
    /// One that hears what is published.
    pub(crate) fn hearing(target: String) -> Self {
        Self {
            owner: ACADEMY.to_owned(),
            event: EVENT,
            target,
        }
    }
}

/// The binaries of this build, which stand beside this one.
pub(crate) fn built(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.exists() {
        bail!("{} is not there: `make bench` builds it", path.display());
    }
    Ok(path)
}

/// The server.
#[derive(Debug)]
pub(crate) struct Serve {
    pub(crate) process: Process,
    pub(crate) api: String,
}

impl Serve {
    /// Starts it with these hooks, which may call these addresses.
    pub(crate) fn start(hooks: &[Hook], allowed: &[SocketAddr]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let fixtures = directory.path().join("fixtures.json");
        std::fs::write(&fixtures, deployment(hooks).to_string())?;
        Self::start_with(&fixtures, allowed)
    }

    fn start_with(fixtures: &Path, allowed: &[SocketAddr]) -> Result<Self> {
        let allowed = allowed.iter().map(|addr| format!("--allow-target={addr}"));
        let mut child = Command::new(built("academy-hooks")?)
            .args(["serve", "--in-memory", "--addr", "127.0.0.1:0"])
            .arg("--fixtures")
            .arg(fixtures)
            .args(allowed)
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take().context("it has no output")?;
        let process = Process::from(child);
        let mut api = None;
        let mut lines = BufReader::new(output).lines();
        while let Some(line) = lines.next().transpose()? {
            if let Some(url) = line.strip_prefix("The API listens on ") {
                api = Some(url.to_owned());
            }
            if line.contains("Stop with Ctrl-C") {
                // Its output has to be read to the end, or it would stop at a full pipe.
                std::thread::spawn(move || lines.for_each(drop));
                let api = api.context("it does not say where it listens")?;
                return Ok(Self { process, api });
            }
        }
        bail!("academy-hooks has ended by itself")
    }
}

/// An academy, a publisher, and hooks.
fn deployment(hooks: &[Hook]) -> Value {
    let hooks = hooks.iter().zip(1..).map(|(hook, id): (_, u32)| {
        json!({
            "id": id,
            "owner": hook.owner,
            "event": hook.event,
            "target": hook.target,
            "created_at": "2025-01-15T10:30:00Z",
            "updated_at": "2025-01-15T10:30:00Z",
        })
    });
    json!({
        "academies": [{"id": 1, "slug": ACADEMY, "name": "Academy"}],
        "users": [
            {"username": ACADEMY, "is_superuser": false, "is_active": true, "can_publish": false},
            {"username": "platform", "is_superuser": false, "is_active": true, "can_publish": true},
        ],
        "tokens": [{"token": PUBLISHER_TOKEN, "username": "platform"}],
        "hooks": hooks.collect::<Vec<_>>(),
    })
}
