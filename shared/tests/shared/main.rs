//! What the functions share, against what it works with: the delivery client against real sockets,
//! the stores against an embedded DynamoDB, and the template against the code that relies on it.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what the tests share fails the test that called it"
)]

mod alarms;
mod claims;
mod delivery_client;
mod hooks;
mod identities;
mod kept;
mod moves;
mod redeliver;
mod samples;
mod secrets;
mod states;
mod tables;
mod template;
