//! Processes that are measured: what the kernel says that they have used.
//!
//! Only what was started here is read, and ended.

use std::process::Child;

use anyhow::{Context, Result};

/// The kernel's clock ticks in a second, as it shows them to processes (`USER_HZ`): the same on every
/// machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

impl From<Child> for Process {
    fn from(child: Child) -> Self {
        Self(child)
    }
}

impl Process {
    /// Ends it.
    pub(crate) fn end(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    fn file(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.0.id());
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }

    /// The processor time that it has used so far, in seconds.
    pub(crate) fn cpu_s(&self) -> Result<f64> {
        let stat = self.file("stat")?;
        // The name, in parentheses, may hold anything; user and system time are 12th and 13th after it.
        let (_, fields) = stat.rsplit_once(") ").context("no process statistics")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = |position: usize| -> Result<f64> {
            let field = fields.get(position).context("no processor time")?;
            Ok(field.parse::<f64>()?)
        };
        Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
    }

    /// The most memory that it has had so far, in megabytes.
    pub(crate) fn peak_mb(&self) -> Result<f64> {
        let status = self.file("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        Ok(kilobytes.context("no peak of memory")?.parse::<f64>()? / 1024.0)
    }
}
