//! What goes between functions and the services that they call: how long they wait for it, and what it
//! would be charged as.

use std::{
    collections::BTreeMap,
    ops::Sub,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Watches the requests of one function at a time. A clone watches the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic(Arc<Mutex<Watched>>);

#[derive(Debug, Default)]
struct Watched {
    /// How many requests are under way, and since when any has been.
    open: usize,
    since: Option<Instant>,
    waited: Duration,
    charged: Charged,
}

/// What services charge for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Charged {
    /// Requests by operation.
    pub(crate) requests: BTreeMap<String, f64>,
    /// DynamoDB's units for reading.
    pub(crate) read_units: f64,
    /// DynamoDB's units for writing.
    pub(crate) write_units: f64,
    /// SQS's requests, of which each 64 KiB of messages is one.
    pub(crate) queue_units: f64,
}

impl Charged {
    /// Adds a request.
    pub(crate) fn request(&mut self, operation: &str) {
        *self.requests.entry(operation.to_owned()).or_default() += 1.0;
    }

    /// Adds so many of another.
    pub(crate) fn add(&mut self, other: &Self, count: f64) {
        for (operation, requests) in &other.requests {
            *self.requests.entry(operation.clone()).or_default() += count * requests;
        }
        self.read_units += count * other.read_units;
        self.write_units += count * other.write_units;
        self.queue_units += count * other.queue_units;
    }
}

impl Sub for Charged {
    type Output = Self;

    fn sub(mut self, before: Self) -> Self {
        self.add(&before, -1.0);
        self.requests.retain(|_, count| *count > 0.0);
        self
    }
}

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Traffic);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut watched = self.0.watched();
        watched.open -= 1;
        if watched.open == 0 {
            let since = watched.since.take();
            watched.waited += since.map_or(Duration::ZERO, |since| since.elapsed());
        }
    }
}

impl Traffic {
    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request begins here.
    pub(crate) fn begin(&self) -> UnderWay {
        let mut watched = self.watched();
        watched.open += 1;
        watched.since.get_or_insert_with(Instant::now);
        UnderWay(self.clone())
    }

    /// For how long any request has been under way so far.
    pub(crate) fn waited(&self) -> Duration {
        self.watched().waited
    }

    /// What has been charged so far.
    pub(crate) fn charged(&self) -> Charged {
        self.watched().charged.clone()
    }

    /// Charges for something.
    pub(crate) fn charge(&self, what: impl FnOnce(&mut Charged)) {
        what(&mut self.watched().charged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_at_the_same_time_are_waited_for_once() {
        let traffic = Traffic::default();
        let (first, second) = (traffic.begin(), traffic.begin());
        drop(first);
        assert_eq!(traffic.waited(), Duration::ZERO);
        drop(second);
        let waited = traffic.waited();
        assert!(waited > Duration::ZERO);
        drop(traffic.begin());
        assert!(traffic.waited() > waited);
    }

    #[test]
    fn what_is_charged_in_between_is_the_difference() {
        let traffic = Traffic::default();
        traffic.charge(|charged| charged.request("Query"));
        let before = traffic.charged();
        traffic.charge(|charged| {
            charged.request("GetItem");
            charged.read_units += 0.5;
        });
        let wanted = Charged {
            requests: [("GetItem".to_owned(), 1.0)].into(),
            read_units: 0.5,
            ..Charged::default()
        };
        assert_eq!(traffic.charged() - before, wanted);
    }
}
