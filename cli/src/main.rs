//! `academy-hooks`: the whole bundle on one machine, and the commands of operators and publishers.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to whoever typed it"
)]

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
mod terminal;

use std::process::ExitCode;

use anyhow::Result;
use shared::telemetry::{self, Format};

use crate::{
    api::TryAgain,
    args::{Cli, Command},
};

/// The exit code that says that the same command may succeed later. clap has 2 for a wrong usage.
const TRY_AGAIN: u8 = 3;

/// A quarter more deliveries a second than with the system's: docs/adr/0019 has the figures.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With its causes, on one line: whoever typed the command can do without a backtrace.
            eprintln!("Error: {error:#}");
            if error.is::<TryAgain>() {
                ExitCode::from(TRY_AGAIN)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

async fn run() -> Result<()> {
    let cli = Cli::read();
    // What the embedded tables report of conditions that do not hold is part of their use.
    telemetry::init(
        Format::Text,
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
