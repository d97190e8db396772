//! The command as its users have it: a process, its output, its HTTP API.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what the tests share fails the test that called it"
)]

mod bus;
mod demo;
mod erase;
mod operator;
mod process;
mod publish;
mod repair;
mod serve;
mod storm;
