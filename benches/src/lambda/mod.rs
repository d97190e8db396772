//! The functions as Lambda runs them: their own binaries, each in a process of its own, which get their
//! work from a Runtime API of ours and find tables and queues that are embedded in this process.

mod deployment;
mod events;
mod function;
mod proxy;
mod traffic;

pub(crate) use deployment::{Deployment, Services};
pub(crate) use events::{http_event, sqs_event};
pub(crate) use function::{Answered, Function};
pub(crate) use proxy::queue_units;
pub(crate) use traffic::{Charged, Traffic};
