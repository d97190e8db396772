//! The words of the domain: hooks, targets, jobs, outcomes, errors.
//!
//! Nothing in here knows AWS, HTTP frameworks or Lambda. A value of one of these types is valid by
//! construction: what comes from outside is parsed into it, once, at the edge.

mod attempt;
mod circuit;
mod event;
mod hook;
mod hook_error;
mod id;
mod identity;
mod job;
mod outcome;
mod periods;
mod secret;
mod target;

pub use attempt::{AttemptRecord, newest};
pub use circuit::{FAILURES_TO_OPEN, OpenCircuit, PROBE_LEASE};
pub use event::{Accepted, AcceptedEvent};
pub use hook::{Hook, HookStats, HookStatus, HookView, Scope, Subscription};
pub use hook_error::HookError;
pub use id::HookId;
pub use identity::{Academy, AcademyRef, InvalidName, Principal, User, check_name};
pub use job::{DeadLetter, DeliveryJob, HookRef, Malformed, QueueMessage};
pub use outcome::{ATTEMPT_GUARD, DELIVERY_DEADLINE, Outcome, TlsFailure, Verdict};
pub use periods::{Counts, Period, Periods};
pub use secret::{
    InvalidSecret, MAX_SECRETS, NoRandomness, PreviousSecret, SECRET_OVERLAP, Secret, Secrets,
    TooManySecrets,
};
pub use target::{InvalidTarget, MAX_TARGET_CHARS, Target};
