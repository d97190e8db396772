//! The function `deliver` between real sockets: the SDKs talk to an embedded DynamoDB and SQS, and
//! the endpoints are servers of the tests, some of which speak no HTTP on purpose.
//!
//! Nothing waits for the clock where a request tells as much: what the SDKs send is recorded, so
//! that the delay of a message can be read instead of lived through.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what the tests share fails the test that called it"
)]

mod answers;
mod batches;
mod bench;
mod circuits;
mod crashes;
mod following;
mod hooks;
mod lambda;
mod lost_answers;
mod metrics;
mod polling;
mod receiver;
mod requests;
mod retries;
mod runtime;
mod samples;
mod signatures;
