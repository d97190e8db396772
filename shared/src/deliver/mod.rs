//! Making one attempt at one delivery: where it may go, how it is signed and sent,
//! and when it is tried again.

pub mod client;
mod connection;
mod failure;
pub mod guard;
pub mod resolve;
pub mod retry_after;
pub mod schedule;
pub mod sign;
