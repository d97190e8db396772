//! How long the pure parts take, as criterion times them.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use bench::pure::parts;
use serde_json::Value;

use crate::figures::{Table, shown};

/// Has criterion time all parts.
pub(crate) fn timed() -> Result<Table> {
    let directory = tempfile::tempdir()?;
    let ran = Command::new("cargo")
        .args(["bench", "--locked", "-p", "bench", "--bench", "pure"])
        .args(["--", "--quiet"])
        .env("CRITERION_HOME", directory.path())
        .stdout(Stdio::null())
        .status()?;
    ensure!(ran.success(), "`cargo bench -p bench` failed");
    let mut table = Table::new(["part", "median, ns"]);
    for part in parts()? {
        let file = directory.path().join(part.name).join("new/estimates.json");
        let estimates = std::fs::read_to_string(&file);
        let estimates = estimates.with_context(|| format!("{} is missing", file.display()))?;
        let estimates: Value = serde_json::from_str(&estimates)?;
        let median_ns = estimates["median"]["point_estimate"].as_f64();
        let median_ns = median_ns.context("criterion knows no median")?;
        table.row([part.name.to_owned(), shown(median_ns)]);
    }
    Ok(table)
}
