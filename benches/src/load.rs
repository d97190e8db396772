//! The load: events of a kilobyte, published as fast as they are taken or at a steady rate.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use bench::payload::{EVENT, payload};
use reqwest::Client;
use tokio::{task::JoinSet, time::MissedTickBehavior};

/// The academy at which everything happens.
pub(crate) const ACADEMY: &str = "academy";

/// Whose token publishes.
pub(crate) const PUBLISHER_TOKEN: &str = "publisher";

/// Whose token reads the academy's hooks.
pub(crate) const ACADEMY_TOKEN: &str = "academy-token";

/// An event as it is published: under an id of the publisher's if one is given.
pub(crate) fn event(number: usize, id: Option<&str>) -> Result<String> {
    let payload = payload(number)?;
    let id = id.map_or_else(String::new, |id| format!(r#""id":"{id}","#));
    Ok(format!(
        r#"{{"event":"{EVENT}","academy":"{ACADEMY}",{id}"payload":{payload}}}"#
    ))
}

/// The body of a request that publishes these events: the one, or a list.
fn body(numbers: Range<usize>, list: bool) -> Result<String> {
    let events = numbers.map(|number| event(number, None));
    let events = events.collect::<Result<Vec<_>>>()?;
    Ok(if list {
        format!("[{}]", events.join(","))
    } else {
        events.concat()
    })
}

/// What one request came to.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The first event that it brought, and how many.
    pub(crate) events: Range<usize>,
    /// When it was to be sent.
    pub(crate) due: Instant,
    /// When it was.
    pub(crate) sent: Instant,
    /// When it was answered 202.
    pub(crate) accepted: Instant,
}

/// Publishes to one API.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    client: Client,
    url: Arc<str>,
}

impl Publisher {
    pub(crate) fn new(api: &str) -> Result<Self> {
        Ok(Self {
            client: Client::builder().no_proxy().build()?,
            url: format!("{api}/v1/notify/event").into(),
        })
    }

    async fn send(self, body: String) -> Result<()> {
        let request = self
            .client
            .post(&*self.url)
            .header("authorization", format!("Token {PUBLISHER_TOKEN}"))
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        ensure!(
            status == 202,
            "{status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(())
    }

    /// Publishes events as fast as they are taken: so many connections, each of which sends its next
    /// request when the one before is answered, with one event or a list of them.
    pub(crate) async fn as_fast_as_taken(
        &self,
        events: usize,
        per_request: usize,
        connections: usize,
    ) -> Result<Vec<Request>> {
        let mut bodies = Vec::new();
        for first in (0..events).step_by(per_request) {
            let numbers = first..events.min(first + per_request);
            bodies.push((numbers.clone(), body(numbers, per_request > 1)?));
        }
        let (bodies, next) = (Arc::new(bodies), Arc::<AtomicUsize>::default());
        let mut senders = JoinSet::new();
        for _ in 0..connections {
            let (publisher, bodies, next) = (self.clone(), Arc::clone(&bodies), Arc::clone(&next));
            senders.spawn(async move {
                let mut requests = Vec::new();
                while let Some((events, body)) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let sent = Instant::now();
                    publisher.clone().send(body.clone()).await?;
                    requests.push(Request {
                        events: events.clone(),
                        due: sent,
                        sent,
                        accepted: Instant::now(),
                    });
                }
                anyhow::Ok(requests)
            });
        }
        let mut requests = Vec::new();
        while let Some(sent) = senders.join_next().await {
            requests.extend(sent??);
        }
        Ok(requests)
    }

    /// Publishes events one by one, each when its time has come, whatever became of the one before.
    pub(crate) async fn steadily(&self, per_second: u32, seconds: u32) -> Result<Vec<Request>> {
        let events = usize::try_from(per_second * seconds)?;
        let bodies = (0..events).map(|number| body(number..number + 1, false));
        let bodies = bodies.collect::<Result<Vec<_>>>()?;
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut sending = JoinSet::new();
        for (number, body) in bodies.into_iter().enumerate() {
            let due = ticks.tick().await.into_std();
            let publisher = self.clone();
            sending.spawn(async move {
                let sent = Instant::now();
                publisher.send(body).await?;
                anyhow::Ok(Request {
                    events: number..number + 1,
                    due,
                    sent,
                    accepted: Instant::now(),
                })
            });
        }
        let mut requests = Vec::new();
        while let Some(sent) = sending.join_next().await {
            requests.push(sent??);
        }
        Ok(requests)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_body_is_one_event_or_a_list() {
        let one: Value = serde_json::from_str(&body(0..1, false).unwrap()).unwrap();
        assert_eq!(one["event"], EVENT);
        let list: Value = serde_json::from_str(&body(0..3, true).unwrap()).unwrap();
        assert_eq!(list.as_array().unwrap().len(), 3);
    }
}
