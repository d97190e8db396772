//! `academy-hooks`: the whole bundle on one machine, and the commands of operators and publishers.

#[macro_use]
mod output;

mod api;
mod args;
mod bundle;
mod dead_events;
mod dead_letters;
mod demo;
#[cfg(test)]
mod documented;
mod erase;
mod fixtures;
mod hook_errors;
mod operator;
mod publish;
mod receiver;
mod serve;

use std::{
    io::{IsTerminal, stderr},
    panic,
    process::ExitCode,
    time::Duration,
};

use anyhow::Result;
use shared::telemetry::{self, Lossy};

use crate::{
    api::TryAgain,
    args::{Cli, Command},
};

/// The exit code that says that the same command may succeed later. clap has 2 for a wrong usage.
const TRY_AGAIN: u8 = 3;

/// How long the last lines of the log may take to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A quarter more deliveries a second than with the system's: docs/adr/0019 has the figures.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let log = match Lossy::new(stderr()) {
        Ok(log) => log,
        Err(error) => {
            complain!("Error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let at_panic = log.clone();
    panic::set_hook(Box::new(move |panic| {
        tracing::error!(%panic, "panicked");
        at_panic.flush(LAST_LINES);
    }));
    let code = match run(&log).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With its causes, on one line: whoever typed the command can do without a backtrace.
            log.line(format_args!("Error: {error:#}"));
            if error.is::<TryAgain>() {
                ExitCode::from(TRY_AGAIN)
            } else {
                ExitCode::FAILURE
            }
        }
    };
    log.flush(LAST_LINES);
    code
}

async fn run(log: &Lossy) -> Result<()> {
    let cli = Cli::read();
    // What the embedded tables report of conditions that do not hold is part of their use.
    telemetry::init(
        telemetry::text(log.clone(), stderr().is_terminal()),
        match cli.command {
            Command::Serve(_) => "info,dynoxide=error",
            _ => "error",
        },
    );
    match cli.command {
        Command::Serve(args) => serve::run(args).await,
        Command::Demo => demo::run().await,
        Command::Publish(args) => publish::event(args).await,
        Command::Change(args) => publish::change(args).await,
        Command::Academy(args) => operator::academy(args).await,
        Command::User(args) => operator::user(args).await,
        Command::Token(args) => operator::token(args).await,
        Command::Errors(args) => hook_errors::run(args).await,
        Command::Dlq(args) => dead_letters::run(args).await,
        Command::Bus(args) => dead_events::run(args).await,
    }
}
