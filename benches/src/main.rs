//! What academy-hooks costs and how fast it is: `make bench`.
//!
//! Every scenario can be run alone, by its name. All figures are of release builds and of this machine;
//! what runs beside a scenario is in them.

#![expect(clippy::print_stdout, reason = "a bench shows its figures")]

mod bill;
mod figures;
mod guard;
mod lambda;
mod load;
mod machine;
mod process;
mod receiver;
mod report;
mod scenarios;
mod serve;
mod starts;
mod timed;

use anyhow::Result;
use clap::{Parser, ValueEnum, builder::PossibleValue};

use crate::{machine::Machine, report::Report};

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
    /// The pure parts of the hot paths, timed by criterion.
    Pure,
    /// Start, memory and size of each function.
    Starts,
    /// What AWS would charge.
    Bill,
}

impl Scenario {
    async fn run(self, scale: &Scale) -> Result<String> {
        let table = match self {
            Self::S1 => scenarios::throughput(scale).await,
            Self::S2 => scenarios::fan_out(scale).await,
            Self::S3 => scenarios::neighbour(scale).await,
            Self::S4 => scenarios::steady(scale).await,
            Self::S5 => scenarios::growth(scale).await,
            Self::Handler => scenarios::handler(scale).await,
            Self::Pure => timed::timed(),
            Self::Starts => starts::starts(scale).await,
            Self::Bill => return bill::bill(scale).await,
        };
        Ok(table?.to_string())
    }
}

/// Measures academy-hooks on this machine, and shows the figures.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
struct Args {
    /// What to measure; everything unless something is named.
    scenarios: Vec<Scenario>,
    /// Write the figures to docs/PERFORMANCE.md, and keep those of other scenarios there.
    #[arg(long)]
    write: bool,
    /// A tenth of everything, once: whether it runs, not how fast.
    #[arg(long, conflicts_with = "write")]
    quick: bool,
    /// Compare counts of instructions and requests with those recorded, and fail if there are more.
    #[arg(long, exclusive = true)]
    check: bool,
    /// Record these counts.
    #[arg(long, exclusive = true)]
    record: bool,
    /// Do a pure part so often.
    #[arg(long = "do", hide = true, exclusive = true, num_args = 2)]
    part: Option<Vec<String>>,
}

fn main() -> Result<()> {
    // An error says that this process has a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args = Args::parse();
    if let Some([name, times]) = args.part.as_deref() {
        // Before there are threads, whose instructions would be counted.
        return guard::do_part(name, times.parse()?);
    }
    let runtime = tokio::runtime::Runtime::new()?;
    if args.check || args.record {
        let said = runtime.block_on(async {
            if args.check {
                guard::check().await
            } else {
                guard::record().await
            }
        })?;
        println!("{said}");
        return Ok(());
    }
    runtime.block_on(measure(&args))
}

async fn measure(args: &Args) -> Result<()> {
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
    let scenarios = if args.scenarios.is_empty() {
        Scenario::value_variants()
    } else {
        &args.scenarios
    };
    let mut report = Report::default();
    for scenario in scenarios {
        let name = scenario.to_possible_value();
        let name = name.as_ref().map_or("", PossibleValue::get_name);
        let figures = scenario.run(&scale).await?;
        println!("\n{name}\n\n{figures}");
        report.put(name, &figures, &machine);
    }
    if args.write {
        report.write()?;
    }
    Ok(())
}
