//! Chains of invocations: a function that sends messages to its own queue invokes itself.
//!
//! Lambda counts these chains, and stops one after about 16 invocations of a function unless the function's
//! `RecursiveLoop` is `Allow`. It counts by the trace header: each invocation has one, the SDK sends it with every
//! request, SQS keeps it with the message as `AWSTraceHeader`, and its `Lineage` says how often each function was
//! invoked on the way to it
//! ([Lambda's developer guide](https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html)).
//!
//! Here the header goes the same way and is counted, and nothing is stopped. A function is known by its queue. What a
//! handler sends from a task that it has spawned carries no header.

use std::{collections::BTreeMap, fmt, time::UNIX_EPOCH};

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use tokio::task::futures::TaskLocalFuture;
use uuid::Uuid;

/// The header of a request that carries the trace.
pub(crate) const TRACE_HEADER: &str = "x-amzn-trace-id";

/// The system attribute that SQS keeps the header in.
pub(crate) const TRACE_ATTRIBUTE: &str = "AWSTraceHeader";

tokio::task_local! {
    /// The trace of the invocation that this task is.
    static CURRENT: Trace;
}

/// Returns the length of the longest chain of invocations of this event's function that ends here: 1 if no message was
/// sent by an earlier one.
#[must_use]
pub fn chain_length(event: &SqsEvent) -> u32 {
    let function = function(event);
    Trace::of(event).invocations(function).saturating_add(1)
}

/// The header of the invocation that makes the request; `None` outside of one.
pub(crate) fn current() -> Option<String> {
    CURRENT.try_with(Trace::to_string).ok()
}

/// Has an event handled, as an invocation of its function.
pub(crate) fn traced<F, Fut>(event: SqsEvent, handler: F) -> TaskLocalFuture<Trace, Fut>
where
    F: FnOnce(SqsEvent) -> Fut,
    Fut: Future,
{
    let mut trace = Trace::of(&event);
    trace.root.get_or_insert_with(new_root);
    let invocations = trace
        .lineage
        .entry(function(&event).to_owned())
        .or_default();
    *invocations = invocations.saturating_add(1);
    CURRENT.scope(trace, handler(event))
}

/// The id of a trace that begins.
fn new_root() -> String {
    let seconds = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let id = Uuid::new_v4().simple().to_string();
    format!("1-{seconds:08x}-{}", &id[8..])
}

/// The function that an event is for: the name of the queue that it comes from.
fn function(event: &SqsEvent) -> &str {
    let arn = event
        .records
        .iter()
        .find_map(|record| record.event_source_arn.as_deref());
    arn.and_then(|arn| arn.rsplit(':').next())
        .unwrap_or_default()
}

/// The most functions whose invocations are counted: a header is anybody's who sends a message, and there are few here.
const MOST_FUNCTIONS: usize = 16;

/// A trace header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    root: Option<String>,
    /// How often each function was invoked.
    lineage: BTreeMap<String, u32>,
}

impl Trace {
    /// That of a batch: the first one's root, and of each function the longest chain.
    fn of(event: &SqsEvent) -> Self {
        event
            .records
            .iter()
            .map(Self::of_message)
            .fold(Self::default(), Self::or_longer)
    }

    fn of_message(message: &SqsMessage) -> Self {
        let header = message.attributes.get(TRACE_ATTRIBUTE).map(String::as_str);
        let mut trace = Self::default();
        for (name, value) in header
            .unwrap_or_default()
            .split(';')
            .filter_map(|part| part.split_once('='))
        {
            match name {
                "Root" => trace.root = Some(value.to_owned()),
                "Lineage" => trace.lineage = lineage(value),
                // Whether it is sampled, and by whom it was sent, counts nothing.
                _ => {}
            }
        }
        trace
    }

    fn or_longer(mut self, other: Self) -> Self {
        self.root = self.root.or(other.root);
        for (function, invocations) in other.lineage {
            let longest = self.lineage.entry(function).or_default();
            *longest = invocations.max(*longest);
        }
        self
    }

    fn invocations(&self, function: &str) -> u32 {
        self.lineage.get(function).copied().unwrap_or_default()
    }
}

fn lineage(value: &str) -> BTreeMap<String, u32> {
    let functions = value.split('|').filter_map(|part| part.split_once(':'));
    functions
        .filter_map(|(function, invocations)| {
            Some((function.to_owned(), invocations.parse().ok()?))
        })
        .take(MOST_FUNCTIONS)
        .collect()
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(root) = &self.root {
            write!(f, "Root={root}")?;
        }
        for (position, (function, invocations)) in self.lineage.iter().enumerate() {
            let before = if position == 0 { ";Lineage=" } else { "|" };
            write!(f, "{before}{function}:{invocations}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(headers: &[&str]) -> SqsEvent {
        let mut event = SqsEvent::default();
        event.records = headers
            .iter()
            .map(|header| {
                let mut message = SqsMessage::default();
                message.event_source_arn =
                    Some("arn:aws:sqs:us-east-1:000000000000:jobs".to_owned());
                message
                    .attributes
                    .insert(TRACE_ATTRIBUTE.to_owned(), (*header).to_owned());
                message
            })
            .collect();
        event
    }

    #[test]
    fn the_longest_chain_of_a_batch_counts() {
        let of_others = "Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=events:7";
        let second = "Root=1-5759e988-bd862e3fe1be46a994272794;Parent=53995c3f42cd8ad8;Sampled=0;Lineage=events:1|jobs:1";
        let fourth = "Root=1-5759e988-bd862e3fe1be46a994272795;Lineage=jobs:3";
        for (headers, length) in [
            (&[][..], 1),
            (&[""], 1),
            (&["Lineage=jobs:many"], 1),
            (&["Lineage=jobs:4294967295"], u32::MAX),
            (&[of_others], 1),
            (&[second], 2),
            (&[second, fourth, of_others], 4),
        ] {
            assert_eq!(chain_length(&event(headers)), length, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn what_an_invocation_sends_continues_its_chains() {
        assert_eq!(current(), None);
        let event = event(&["Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=events:1|jobs:2"]);
        let sent = traced(event, async |_| current()).await;
        let wanted = "Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=events:1|jobs:3";
        assert_eq!(sent.as_deref(), Some(wanted));
    }

    #[tokio::test]
    async fn the_first_invocation_begins_a_trace() {
        let sent = traced(event(&[""]), async |_| current()).await.unwrap();
        let (root, lineage) = sent.split_once(';').unwrap();
        let parts: Vec<_> = root.split('-').map(str::len).collect();
        assert!(root.starts_with("Root=1-"), "{root}");
        assert_eq!(parts, ["Root=1".len(), 8, 24]);
        assert_eq!(lineage, "Lineage=jobs:1");
    }
}
