//! What an invocation came to, in figures: counted while it runs, and printed as one line at its end.
//!
//! The line is CloudWatch's embedded metric format: a JSON object in the log that says which of its members
//! are metrics. CloudWatch makes them of the log; no request is made for them, and nothing waits. Every
//! metric there is stands in this module, with its name and unit. The only dimension is the function, so
//! that there are as many metrics as are listed here, whatever hooks and endpoints there may be: a class of
//! outcomes is a part of a name. `docs/adr/0015-metrics-in-the-log.md` has the reasons.
//!
//! Figures are collected in [`Metrics`], which is passed to whoever has something to count. A [`Reporter`]
//! prints them; where there is none, as on a laptop, they are collected for nobody.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::model::Outcome;

/// The most values of one metric that CloudWatch takes in a line. A function works at most 50 messages at a
/// time, and has no more than that of any.
const MAX_VALUES: usize = 100;

/// The dimension of all metrics.
const FUNCTION: &str = "Function";

macro_rules! metrics {
    ($(#[$attribute:meta])* $kind:ident: $($(#[$doc:meta])* $name:ident,)+) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $kind {
            $($(#[$doc])* $name,)+
        }

        impl $kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name in CloudWatch.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

metrics! {
    /// What is counted.
    Count:
    /// Requests that were answered as they wanted, below 400: of `manage` and `ingest`.
    RequestsAnswered,
    /// Requests that were answered 4xx.
    RequestsRefused,
    /// Requests that were answered 5xx.
    RequestsFailed,
    /// Events that were accepted, each once however often it was sent: of `ingest`.
    EventsAccepted,
    /// Events of the bus that are wrong, and were put among the dead ones.
    EventsPutAside,
    /// Deliveries that `ingest` put into the queue.
    JobsQueued,
    /// Attempts that were answered 2xx: of `deliver`, as all attempts.
    AttemptsDelivered,
    /// Attempts that were answered with another status.
    AttemptsRejected,
    /// Attempts that were not answered in time.
    AttemptsTimedOut,
    /// Attempts with a connection and no HTTP answer on it: it was closed, or brought something else.
    AttemptsBroken,
    /// Attempts without a connection: no such name, a closed port, no TLS.
    AttemptsUnreachable,
    /// Attempts that were not made, since the target is no public address.
    AttemptsForbidden,
    /// Attempts that ended without an outcome: they panicked, or overran their deadline.
    AttemptsLost,
    /// Circuits that opened. One that stays open after a probe is not counted again.
    CircuitsOpened,
    /// Deliveries that were dead-lettered.
    DeliveriesGivenUp,
    /// Dead letters that `errors` recorded, those of interrupted workers among them.
    DeadLettersRecorded,
    /// Dead letters that could not be read or recorded, and stay in their queue. They count each time.
    DeadLettersFailed,
}

metrics! {
    /// What is measured, in milliseconds.
    Measure:
    /// From the acceptance of an event to the answer that a delivery of it has arrived, with all waits in
    /// between. That of a redelivery begins when it is asked for.
    DeliveryLatency,
    /// How long after its time the oldest job of a batch was taken. What an open circuit makes wait grows
    /// older by that.
    OldestJobAge,
}

/// The units that CloudWatch knows, of those that occur.
const COUNT: &str = "Count";
const MILLISECONDS: &str = "Milliseconds";

impl From<Outcome> for Count {
    /// The class of an attempt's outcome.
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Answered(200..=299) => Self::AttemptsDelivered,
            Outcome::Answered(_) => Self::AttemptsRejected,
            Outcome::TimedOut => Self::AttemptsTimedOut,
            Outcome::ConnectionClosed | Outcome::Protocol => Self::AttemptsBroken,
            Outcome::Unresolved | Outcome::ConnectionRefused | Outcome::Tls(_) => {
                Self::AttemptsUnreachable
            }
            Outcome::Refused | Outcome::NameRefused => Self::AttemptsForbidden,
        }
    }
}

/// The figures so far.
#[derive(Debug, Default)]
struct Figures {
    counts: [u64; Count::ALL.len()],
    values: [Vec<u64>; Measure::ALL.len()],
}

/// Collects the figures of one invocation. A clone collects into the same.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<Figures>>);

impl Metrics {
    fn figures(&self) -> MutexGuard<'_, Figures> {
        // Whoever panicked while it counted has left a number less or more, and nothing else.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts so many more.
    pub fn count(&self, what: Count, more: usize) {
        let mut figures = self.figures();
        let count = &mut figures.counts[what as usize];
        *count = count.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
    }

    /// Adds a value.
    pub fn measure(&self, what: Measure, value: Duration) {
        let mut figures = self.figures();
        let values = &mut figures.values[what as usize];
        if values.len() < MAX_VALUES {
            values.push(u64::try_from(value.as_millis()).unwrap_or(u64::MAX));
        }
    }

    /// How many have been counted.
    #[must_use]
    pub fn counted(&self, what: Count) -> u64 {
        self.figures().counts[what as usize]
    }

    /// The values so far, in milliseconds.
    #[must_use]
    pub fn measured(&self, what: Measure) -> Vec<u64> {
        self.figures().values[what as usize].clone()
    }
}

/// Prints the figures of a function's invocations.
#[derive(Clone, Debug)]
pub struct Reporter {
    namespace: Arc<str>,
    function: &'static str,
}

impl Reporter {
    /// Metrics of this function in this namespace of CloudWatch's.
    #[must_use]
    pub fn new(namespace: &str, function: &'static str) -> Self {
        Self {
            namespace: namespace.into(),
            function,
        }
    }

    /// Begins an invocation at this time.
    #[must_use]
    pub fn begin(&self, now: Timestamp) -> Invocation {
        Invocation {
            reporter: self.clone(),
            now,
            metrics: Metrics::default(),
        }
    }

    /// The line for these figures; none if there is nothing in them.
    fn line(&self, figures: &Figures, now: Timestamp) -> Option<String> {
        let mut described = Vec::new();
        let mut values = Map::new();
        let mut add = |name: &'static str, unit: &str, value: Value| {
            described.push(json!({"Name": name, "Unit": unit}));
            values.insert(name.to_owned(), value);
        };
        for (what, count) in Count::ALL.iter().zip(figures.counts) {
            if count > 0 {
                add(what.name(), COUNT, count.into());
            }
        }
        for (what, values) in Measure::ALL.iter().zip(&figures.values) {
            if !values.is_empty() {
                add(what.name(), MILLISECONDS, values.as_slice().into());
            }
        }
        if described.is_empty() {
            return None;
        }
        let mut line = json!({
            "_aws": {
                "Timestamp": now.as_millisecond(),
                "CloudWatchMetrics": [{
                    "Namespace": &*self.namespace,
                    "Dimensions": [[FUNCTION]],
                    "Metrics": described,
                }],
            },
            FUNCTION: self.function,
        });
        line.as_object_mut()?.append(&mut values);
        Some(format!("{line}\n"))
    }
}

/// An invocation that is under way. At its end, however it ends, its figures are printed, unless there are
/// none; only a process that is killed prints nothing.
#[derive(Debug)]
pub struct Invocation {
    reporter: Reporter,
    now: Timestamp,
    metrics: Metrics,
}

impl Invocation {
    /// Where its figures are collected.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

impl Drop for Invocation {
    fn drop(&mut self) {
        let line = self.reporter.line(&self.metrics.figures(), self.now);
        // In one piece, so that no line of the log comes in between.
        let printed = line.map(|line| io::stdout().lock().write_all(line.as_bytes()));
        if let Some(Err(error)) = printed {
            tracing::warn!(%error, "the metrics could not be printed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::TlsFailure;

    fn line(metrics: &Metrics) -> Option<Value> {
        let now = "2025-01-20T15:30:00Z".parse().unwrap();
        let line = Reporter::new("academy-hooks", "deliver").line(&metrics.figures(), now)?;
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        Some(serde_json::from_str(&line).unwrap())
    }

    #[test]
    fn what_was_counted_and_measured_is_one_line() {
        let metrics = Metrics::default();
        metrics.count(Count::JobsQueued, 2);
        metrics.clone().count(Count::JobsQueued, 3);
        metrics.count(Count::CircuitsOpened, 0);
        metrics.measure(Measure::DeliveryLatency, Duration::from_millis(120));
        metrics.measure(Measure::DeliveryLatency, Duration::from_secs(2));
        let wanted = json!({
            "_aws": {
                "Timestamp": 1_737_387_000_000_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "academy-hooks",
                    "Dimensions": [["Function"]],
                    "Metrics": [
                        {"Name": "JobsQueued", "Unit": "Count"},
                        {"Name": "DeliveryLatency", "Unit": "Milliseconds"},
                    ],
                }],
            },
            "Function": "deliver",
            "JobsQueued": 5,
            "DeliveryLatency": [120, 2000],
        });
        assert_eq!(line(&metrics), Some(wanted));
    }

    #[test]
    fn where_nothing_happened_there_is_no_line() {
        let metrics = Metrics::default();
        metrics.count(Count::JobsQueued, 0);
        assert_eq!(line(&metrics), None);
    }

    #[test]
    fn a_line_of_everything_is_within_cloudwatchs_limits() {
        let metrics = Metrics::default();
        for what in Count::ALL {
            metrics.count(*what, usize::MAX);
            metrics.count(*what, usize::MAX);
        }
        for what in Measure::ALL {
            for _ in 0..=MAX_VALUES {
                metrics.measure(*what, Duration::MAX);
            }
        }
        let line = line(&metrics).unwrap();
        let described = &line["_aws"]["CloudWatchMetrics"][0]["Metrics"];
        let names = described.as_array().unwrap().iter();
        let names: BTreeSet<_> = names
            .map(|metric| metric["Name"].as_str().unwrap())
            .collect();
        assert_eq!(names.len(), Count::ALL.len() + Measure::ALL.len());
        assert!(names.len() <= 100);
        for name in names {
            let values = line[name].as_array().map_or(1, Vec::len);
            assert!((1..=100).contains(&values), "{name}");
        }
    }

    #[test]
    fn each_outcome_is_of_one_class() {
        let classes = [
            (Outcome::Answered(204), Count::AttemptsDelivered),
            (Outcome::Answered(302), Count::AttemptsRejected),
            (Outcome::Answered(500), Count::AttemptsRejected),
            (Outcome::TimedOut, Count::AttemptsTimedOut),
            (Outcome::ConnectionClosed, Count::AttemptsBroken),
            (Outcome::Protocol, Count::AttemptsBroken),
            (Outcome::Unresolved, Count::AttemptsUnreachable),
            (Outcome::ConnectionRefused, Count::AttemptsUnreachable),
            (
                Outcome::Tls(TlsFailure::Expired),
                Count::AttemptsUnreachable,
            ),
            (Outcome::Refused, Count::AttemptsForbidden),
            (Outcome::NameRefused, Count::AttemptsForbidden),
        ];
        for (outcome, class) in classes {
            assert_eq!(Count::from(outcome), class);
        }
    }
}
