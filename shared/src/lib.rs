//! What the four functions of academy-hooks share.
//!
//! The layers, each importing only those to its left:
//! `model ← catalog ← {store, queue, deliver} ← {auth, http, redeliver}`, then the functions. The three in the
//! braces never import each other. [`mask`], like the catalogue, imports `members` alone, which imports
//! nothing of ours; [`tls`] has what [`aws`] and [`deliver`] open connections with; [`metrics`] imports the
//! model alone, and of these modules only `http` imports it.
//! [`config`] is the only reader of the environment and [`clock`] the only reader of the time; everything
//! else has both passed in, and whoever works off a queue the [`deadline`] of its invocation. Lambda's
//! runtime is known to [`invocations`] alone.

pub mod auth;
pub mod aws;
pub mod catalog;
pub mod clock;
pub mod config;
pub mod deadline;
pub mod deliver;
pub mod http;
pub mod invocations;
pub mod mask;
mod members;
pub mod metrics;
pub mod model;
pub mod plain;
pub mod queue;
pub mod redeliver;
pub mod store;
pub mod telemetry;
pub mod terminal;
pub mod tls;
