//! What benches of the functions' pure parts and the command that measures the rest share.

pub mod payload;
pub mod pure;
