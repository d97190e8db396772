//! `academy-hooks`: the whole bundle on one machine, and the operator's commands.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to whoever typed it"
)]

mod args;
mod bundle;
mod dead_letters;
mod demo;
mod fixtures;
mod hook_errors;
mod operator;
mod receiver;
mod serve;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use shared::telemetry::{self, Format};

use crate::args::{Cli, Command};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With its causes, on one line: whoever typed the command can do without a backtrace.
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let cli = Cli::parse();
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
        Command::Academy(args) => operator::academy(args).await,
        Command::User(args) => operator::user(args).await,
        Command::Token(args) => operator::token(args).await,
        Command::Errors(args) => hook_errors::run(args).await,
        Command::Dlq(args) => dead_letters::run(args).await,
    }
}
