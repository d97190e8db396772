//! The environment, read once at start.
//!
//! Each function asks for what it needs and no more, so that a missing setting stops it at its
//! start, with the variable's name, and not at its first request.

use std::{
    fmt::Display,
    net::{AddrParseError, SocketAddr},
    str::FromStr,
};

use tracing_subscriber::filter::Targets;

use crate::{
    deliver::schedule::RetrySchedule,
    store::{Retention, TableNames},
};

/// What is wrong with the environment.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable is not set.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// A variable's value cannot be used.
    #[error("the environment variable {name} is {value:?}: {reason}")]
    Invalid {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
}

#[expect(clippy::disallowed_methods, reason = "this is the environment's home")]
fn variable(name: &'static str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn required(name: &'static str) -> Result<String, ConfigError> {
    variable(name).ok_or(ConfigError::Missing(name))
}

fn parsed<T: FromStr<Err: Display>>(name: &'static str, default: &str) -> Result<T, ConfigError> {
    let value = variable(name).unwrap_or_else(|| default.to_owned());
    value.parse().map_err(|error: T::Err| ConfigError::Invalid {
        name,
        value,
        reason: error.to_string(),
    })
}

/// The tables' names: `HOOKS_TABLE`, `HOOK_STATE_TABLE`, `HOOK_SAMPLES_TABLE`, `HOOK_ERRORS_TABLE`,
/// `IDENTITIES_TABLE` and `CLAIMS_TABLE`. A function that is not given one must not need it: its name
/// is then empty.
pub fn tables(needed: &[&'static str]) -> Result<TableNames, ConfigError> {
    let name = |variable_name: &'static str| {
        if needed.contains(&variable_name) {
            required(variable_name)
        } else {
            Ok(variable(variable_name).unwrap_or_default())
        }
    };
    Ok(TableNames {
        hooks: name(HOOKS_TABLE)?,
        hook_state: name(HOOK_STATE_TABLE)?,
        hook_samples: name(HOOK_SAMPLES_TABLE)?,
        hook_errors: name(HOOK_ERRORS_TABLE)?,
        identities: name(IDENTITIES_TABLE)?,
        claims: name(CLAIMS_TABLE)?,
    })
}

/// The variables that [`tables`] reads, for an environment in which these are the names.
#[must_use]
pub fn table_variables(names: TableNames) -> [(&'static str, String); 6] {
    [
        (HOOKS_TABLE, names.hooks),
        (HOOK_STATE_TABLE, names.hook_state),
        (HOOK_SAMPLES_TABLE, names.hook_samples),
        (HOOK_ERRORS_TABLE, names.hook_errors),
        (IDENTITIES_TABLE, names.identities),
        (CLAIMS_TABLE, names.claims),
    ]
}

/// Names the hooks' table.
pub const HOOKS_TABLE: &str = "HOOKS_TABLE";
/// Names the table of the hooks' state.
pub const HOOK_STATE_TABLE: &str = "HOOK_STATE_TABLE";
/// Names the table of the hooks' samples.
pub const HOOK_SAMPLES_TABLE: &str = "HOOK_SAMPLES_TABLE";
/// Names the table of HookErrors.
pub const HOOK_ERRORS_TABLE: &str = "HOOK_ERRORS_TABLE";
/// Names the table of academies, users and tokens.
pub const IDENTITIES_TABLE: &str = "IDENTITIES_TABLE";
/// Names the table of published events' ids.
pub const CLAIMS_TABLE: &str = "CLAIMS_TABLE";

/// `DELIVERIES_QUEUE_URL`: where delivery jobs wait.
pub fn deliveries_queue() -> Result<String, ConfigError> {
    required("DELIVERIES_QUEUE_URL")
}

/// `DEAD_LETTERS_QUEUE_URL`: where given-up deliveries go.
pub fn dead_letters_queue() -> Result<String, ConfigError> {
    required("DEAD_LETTERS_QUEUE_URL")
}

/// `EVENTS_QUEUE_URL`: where events of the bus wait.
pub fn events_queue() -> Result<String, ConfigError> {
    required("EVENTS_QUEUE_URL")
}

/// `DEAD_EVENTS_QUEUE_URL`: where events of the bus go that are wrong.
pub fn dead_events_queue() -> Result<String, ConfigError> {
    required("DEAD_EVENTS_QUEUE_URL")
}

/// `METRICS_NAMESPACE`: which of CloudWatch's namespaces the metrics are in.
pub fn metrics_namespace() -> Result<String, ConfigError> {
    required("METRICS_NAMESPACE")
}

/// `RUST_LOG`: what is logged, as much as `default` says unless set.
pub fn log_levels(default: &str) -> Result<Targets, ConfigError> {
    parsed("RUST_LOG", default)
}

/// `RETRY_SCHEDULE`: the waits after each failure, [`RetrySchedule::DEFAULT`] unless set.
pub fn retry_schedule() -> Result<RetrySchedule, ConfigError> {
    parsed("RETRY_SCHEDULE", RetrySchedule::DEFAULT)
}

/// `FAILED_DELIVERY_DAYS`: how long failed deliveries are kept, [`Retention::DEFAULT`] unless set.
pub fn failed_delivery_retention() -> Result<Retention, ConfigError> {
    parsed("FAILED_DELIVERY_DAYS", &Retention::DEFAULT.to_string())
}

/// `ALLOW_TARGETS`: the `ip:port` pairs that may be called although they are not public, separated
/// by commas; none unless set.
pub fn allow_targets() -> Result<Vec<SocketAddr>, ConfigError> {
    parsed::<Addresses>("ALLOW_TARGETS", "").map(|list| list.0)
}

/// `SSL_CERT_FILE` and `SSL_CERT_DIR`: whether one of them says which certificates are trusted.
pub(crate) fn names_certificates() -> bool {
    ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .into_iter()
        .filter_map(std::env::var_os)
        .any(|value| !value.is_empty())
}

struct Addresses(Vec<SocketAddr>);

impl FromStr for Addresses {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}
