//! Where, when and of what the figures are.

use std::{fmt, fs, process::Command, thread::available_parallelism};

use anyhow::{Context, Result, ensure};
use shared::clock;

/// What a reader has to know of a run.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) processors: String,
    pub(crate) memory: String,
    pub(crate) system: String,
    /// What else ran when this began: the load of the last minute.
    pub(crate) load: String,
}

impl Machine {
    pub(crate) fn read() -> Result<Self> {
        let first = |file: &str, name: &str| -> Result<String> {
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':'));
            Ok(value
                .map_or("unknown", |(_, value)| value.trim())
                .to_owned())
        };
        let kilobytes = first("/proc/meminfo", "MemTotal")?;
        let kilobytes: u64 = kilobytes.trim_end_matches(" kB").parse()?;
        let load = fs::read_to_string("/proc/loadavg")?;
        // What a run before this one has written is not what is measured.
        let status = ["status", "--porcelain", "--", ".", ":!docs/PERFORMANCE.md"];
        let changed = !git(&status)?.is_empty();
        let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
        Ok(Self {
            date: clock::now().strftime("%Y-%m-%d").to_string(),
            commit: commit + if changed { " with changes" } else { "" },
            processors: format!(
                "{} × {}",
                available_parallelism()?,
                first("/proc/cpuinfo", "model name")?
            ),
            memory: format!("{} GB", kilobytes.div_ceil(1024 * 1024)),
            system: format!(
                "Linux {}",
                fs::read_to_string("/proc/sys/kernel/osrelease")?.trim()
            ),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            date,
            commit,
            processors,
            memory,
            system,
            load,
        } = self;
        write!(
            f,
            "{date}, commit {commit}, {processors}, {memory}, {system}, load {load}"
        )
    }
}

fn git(arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").args(arguments).output();
    let output = output.context("git is needed to say which commit is measured")?;
    ensure!(output.status.success(), "git {arguments:?} failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
