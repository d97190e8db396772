//! `make bench-check`: whether something got worse that does not depend on the machine's speed: how many
//! instructions the pure parts take, and what an event and a delivery cost in requests and units. It is
//! compared with benches/recorded.json, which `--record` writes.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use bench::pure::parts;
use serde::{Deserialize, Serialize};

use crate::{bill::requests, figures::shown};

/// How much more a count of instructions may be: maps are seeded at random, and libraries of the system
/// differ.
const TOLERANCE: f64 = 0.03;

/// How often a part is done in the two runs whose difference is counted: all that is not the part itself is
/// in both.
const FEW: u64 = 100;
const MANY: u64 = 600;

/// Figures by what they are of.
type Figures = BTreeMap<String, f64>;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Recorded {
    /// Of each pure part, once.
    instructions: Figures,
    /// Of each case, by operation or unit.
    requests: BTreeMap<String, Figures>,
}

/// Does a part so often, for somebody who counts from outside.
pub(crate) fn do_part(name: &str, times: u64) -> Result<()> {
    let parts = parts()?;
    let part = parts.iter().find(|part| part.name == name);
    let part = part.context("there is no such part")?;
    for _ in 0..times {
        (part.once)()?;
    }
    Ok(())
}

/// Counts again and writes it down.
pub(crate) async fn record() -> Result<String> {
    let instructions = instructions()?.context("valgrind is not installed")?;
    let recorded = Recorded {
        instructions,
        requests: counted_requests().await?,
    };
    let text = serde_json::to_string_pretty(&recorded)?;
    std::fs::write(file(), text + "\n")?;
    Ok("recorded".to_owned())
}

/// Counts again and compares. An error if something got worse.
pub(crate) async fn check() -> Result<String> {
    let recorded = std::fs::read_to_string(file()).context("nothing is recorded")?;
    let recorded: Recorded = serde_json::from_str(&recorded)?;
    let mut said = Vec::new();
    let mut worse = false;
    if let Some(instructions) = instructions()? {
        let changes = compare(&recorded.instructions, &instructions, TOLERANCE);
        worse |= changes.iter().any(|change| change.worse);
        said.extend(changes.iter().map(|change| change.said("instructions")));
    } else {
        said.push("valgrind is not installed: instructions are not compared".to_owned());
    }
    let requests = counted_requests().await?;
    let nothing = Figures::new();
    for case in recorded.requests.keys().chain(requests.keys()) {
        let of = |all: &BTreeMap<String, Figures>| all.get(case).unwrap_or(&nothing).clone();
        let changes = compare(&of(&recorded.requests), &of(&requests), 0.0);
        worse |= changes.iter().any(|change| change.worse);
        said.extend(changes.iter().map(|change| change.said(case)));
    }
    said.sort();
    said.dedup();
    if said.is_empty() {
        said.push("nothing has changed".to_owned());
    }
    let said = said.join("\n");
    ensure!(!worse, "something got worse:\n{said}");
    Ok(said)
}

/// A figure that is not what was recorded.
#[derive(Debug, PartialEq)]
struct Changed {
    what: String,
    before: f64,
    now: f64,
    worse: bool,
}

impl Changed {
    fn said(&self, case: &str) -> String {
        let Self {
            what,
            before,
            now,
            worse,
        } = self;
        let (before, now) = (shown(*before), shown(*now));
        let verdict = if *worse { "worse" } else { "better" };
        format!("{verdict}: {case}: {what}: {before} → {now}")
    }
}

/// What differs by more than this part of what was recorded. What is new counts as more, what has gone as
/// less.
fn compare(recorded: &Figures, counted: &Figures, tolerance: f64) -> Vec<Changed> {
    let mut changes = Vec::new();
    let mut names: Vec<_> = recorded.keys().chain(counted.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let of = |figures: &Figures| figures.get(name).copied().unwrap_or(0.0);
        let (before, now) = (of(recorded), of(counted));
        // Counts are means over some events: what is in the digits beyond is the division's.
        let allowed = (tolerance * before).max(1e-6);
        if (now - before).abs() > allowed {
            changes.push(Changed {
                what: name.clone(),
                before,
                now,
                worse: now > before,
            });
        }
    }
    changes
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recorded.json")
}

async fn counted_requests() -> Result<BTreeMap<String, Figures>> {
    let rounded = |count: f64| (count * 1e6).round() / 1e6;
    let cases = requests().await?.into_iter().map(|(case, charged)| {
        let units = [
            ("read units", charged.read_units),
            ("write units", charged.write_units),
            ("queue units", charged.queue_units),
        ];
        let units = units.map(|(name, units)| (name.to_owned(), units));
        let all = charged.requests.into_iter().chain(units);
        let all = all.map(|(name, count)| (name, rounded(count)));
        (case.to_owned(), all.collect())
    });
    Ok(cases.collect())
}

/// The instructions of each part, if the tool that counts them is there.
fn instructions() -> Result<Option<Figures>> {
    let version = Command::new("valgrind").arg("--version").output();
    if version.is_err() {
        return Ok(None);
    }
    let mut figures = Figures::new();
    for part in parts()? {
        let once = count(part.name, MANY)?.saturating_sub(count(part.name, FEW)?) / (MANY - FEW);
        let once = u32::try_from(once)?;
        figures.insert(part.name.to_owned(), once.into());
    }
    Ok(Some(figures))
}

/// The instructions of this program when it does a part so often, as valgrind's callgrind counts them.
fn count(part: &str, times: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--do", part, &times.to_string()])
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed: {said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = collected.with_context(|| format!("valgrind counted nothing: {said}"))?;
    Ok(count.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(figures: &[(&str, f64)]) -> Figures {
        let named = |(name, value): &(&str, f64)| ((*name).to_owned(), *value);
        figures.iter().map(named).collect()
    }

    #[test]
    fn more_is_worse_less_is_better_and_a_little_is_nothing() {
        let recorded = figures(&[("a", 100.0), ("b", 100.0), ("c", 100.0), ("gone", 1.0)]);
        let counted = figures(&[("a", 104.0), ("b", 102.0), ("c", 90.0), ("new", 1.0)]);
        let changes = compare(&recorded, &counted, TOLERANCE);
        let verdicts: Vec<_> = changes
            .iter()
            .map(|change| (change.what.as_str(), change.worse))
            .collect();
        let wanted = [("a", true), ("c", false), ("gone", false), ("new", true)];
        assert_eq!(verdicts, wanted);
        assert_eq!(
            changes[0].said("instructions"),
            "worse: instructions: a: 100 → 104"
        );
    }

    #[test]
    fn a_request_more_in_ten_is_seen() {
        let changes = compare(
            &figures(&[("Query", 0.2)]),
            &figures(&[("Query", 0.3)]),
            0.0,
        );
        assert!(changes[0].worse);
        assert!(
            compare(
                &figures(&[("Query", 0.2)]),
                &figures(&[("Query", 0.2)]),
                0.0
            )
            .is_empty()
        );
    }
}
