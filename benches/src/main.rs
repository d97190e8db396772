//! What academy-hooks costs and how fast it is: `make bench`.
//!
//! Every scenario can be run alone, by its name. All figures are of release builds and of this machine;
//! what runs beside a scenario is in them.

#![expect(clippy::print_stdout, reason = "a bench shows its figures")]

mod figures;
mod lambda;
mod load;
mod machine;
mod process;
mod receiver;
mod report;
mod scenarios;
mod serve;
mod starts;

use std::time::Instant;

use anyhow::Result;
use clap::{Parser, ValueEnum, builder::PossibleValue};

use crate::{
    figures::{Table, counted},
    load::PAYLOAD_BYTES,
    machine::Machine,
    report::Report,
};

/// How much of everything there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// What counts are divided by.
    divisor: usize,
    /// How often a short scenario is run; its figures are the medians.
    pub(crate) runs: usize,
}

impl Scale {
    fn of(&self, count: usize) -> usize {
        count.div_ceil(self.divisor)
    }

    fn seconds(&self, seconds: u32) -> u32 {
        let divisor = u32::try_from(self.divisor).unwrap_or(u32::MAX);
        seconds.div_ceil(divisor)
    }
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Throughput: events for one hook each, as fast as they are taken.
    S1,
    /// Fan-out: events for a hundred hooks each.
    S2,
    /// Noisy neighbour: one of ten endpoints hangs.
    S3,
    /// Steady: 50 events a second.
    S4,
    /// Growth: more hooks in the table, and more that match.
    S5,
    /// The deliver handler alone, in full batches.
    Handler,
    /// Start, memory and size of each function.
    Starts,
}

impl Scenario {
    async fn run(self, scale: &Scale) -> Result<Table> {
        match self {
            Self::S1 => scenarios::throughput(scale).await,
            Self::S2 => scenarios::fan_out(scale).await,
            Self::S3 => scenarios::neighbour(scale).await,
            Self::S4 => scenarios::steady(scale).await,
            Self::S5 => scenarios::growth(scale).await,
            Self::Handler => scenarios::handler(scale).await,
            Self::Starts => starts::starts(scale).await,
        }
    }
}

/// Measures academy-hooks on this machine. Everything at its full size is written to
/// docs/PERFORMANCE.md, anything else is only shown.
#[derive(Debug, Parser)]
struct Args {
    /// What to measure; everything unless something is named.
    scenarios: Vec<Scenario>,
    /// A tenth of everything, once: whether it runs, not how fast.
    #[arg(long)]
    quick: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    // An error says that this process has a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args = Args::parse();
    let scale = if args.quick {
        Scale {
            divisor: 10,
            runs: 1,
        }
    } else {
        Scale {
            divisor: 1,
            runs: 3,
        }
    };
    let machine = Machine::read()?;
    println!("{machine}");
    let all = args.scenarios.is_empty();
    let scenarios = if all {
        Scenario::value_variants()
    } else {
        &args.scenarios
    };
    let begin = Instant::now();
    let mut report = Report::of(&machine);
    report.put("payload", &counted(PAYLOAD_BYTES));
    for scenario in scenarios {
        let name = scenario.to_possible_value();
        let name = name.as_ref().map_or("", PossibleValue::get_name);
        let table = scenario.run(&scale).await?;
        println!("\n{name}\n\n{table}");
        report.put(name, &table);
    }
    let minutes = begin.elapsed().as_secs_f64() / 60.0;
    report.put("minutes", &format!("{minutes:.0}"));
    if all && !args.quick {
        report.write()?;
    }
    Ok(())
}
