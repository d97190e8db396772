//! The function `errors` over an embedded DynamoDB: what its owners can read of their dead letters,
//! and what is kept of each.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests share fails the test that called it"
)]

mod bench;
mod grouping;
mod kept;
mod lost_answers;
mod runtime;
