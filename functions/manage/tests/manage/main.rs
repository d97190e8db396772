//! The function over HTTP, on the embedded tables.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what the tests share fails the test that called it"
)]

mod function;
mod http;
mod lost_answers;
mod reads;
mod reference;
mod repair;
mod runtime;
mod secrets;
