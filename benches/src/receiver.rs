//! The endpoints that are called, and when each delivery arrived at them.
//!
//! A hook's target is `/<its position>`, an event's payload begins with `{"id":<its number>,`: both
//! are read without parsing the rest, since what is to be measured runs on the same processors.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use axum::{
    Router,
    body::Bytes,
    http::{StatusCode, Uri},
    serve::ListenerExt,
};
use bench::payload::number_of;
use tokio::{net::TcpListener, sync::Notify};

use crate::lambda::Traffic;

/// When each delivery arrived for the first time.
#[derive(Debug)]
pub(crate) struct Arrivals {
    begin: Instant,
    events: usize,
    /// By hook, then by event, in nanoseconds since the begin; zero if it has not arrived.
    times: Vec<AtomicU64>,
    count: AtomicUsize,
    changed: Notify,
}

impl Arrivals {
    /// None yet of so many events for so many hooks each.
    pub(crate) fn new(hooks: usize, events: usize) -> Arc<Self> {
        Arc::new(Self {
            begin: Instant::now(),
            events,
            times: (0..hooks * events).map(|_| AtomicU64::new(0)).collect(),
            count: AtomicUsize::new(0),
            changed: Notify::new(),
        })
    }

    fn note(&self, hook: usize, event: usize) {
        let now = u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let time = self.times.get(hook * self.events + event);
        let is_first = |time: &AtomicU64| {
            let (order, new) = (Ordering::Relaxed, now.max(1));
            time.compare_exchange(0, new, order, order).is_ok()
        };
        if event < self.events && time.is_some_and(is_first) {
            self.count.fetch_add(1, Ordering::Relaxed);
            self.changed.notify_one();
        }
    }

    /// Waits until so many have arrived, no longer than this.
    pub(crate) async fn wait_for(&self, count: usize, patience: Duration) {
        let all = async {
            while self.count.load(Ordering::Relaxed) < count {
                self.changed.notified().await;
            }
        };
        // What is missing then is for the figures to show.
        let _ = tokio::time::timeout(patience, all).await;
    }

    /// Those that have arrived at the first so many hooks: the event, and when.
    pub(crate) fn at_first(&self, hooks: usize) -> impl Iterator<Item = (usize, Instant)> {
        let times = self.times.iter().take(hooks * self.events).enumerate();
        times.filter_map(|(position, time)| {
            let nanos = time.load(Ordering::Relaxed);
            let at = self.begin + Duration::from_nanos(nanos);
            (nanos > 0).then_some((position % self.events, at))
        })
    }
}

/// An endpoint, until the process ends.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) addr: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Endpoint {
    /// One that answers 200 at once.
    pub(crate) async fn answering(arrivals: &Arc<Arrivals>) -> Result<Self> {
        let arrivals = Arc::clone(arrivals);
        Self::start(Router::new().fallback(async move |uri: Uri, body: Bytes| {
            let hook = uri.path().get(1..).and_then(|hook| hook.parse().ok());
            if let (Some(hook), Some(event)) = (hook, number_of(&body)) {
                arrivals.note(hook, event);
            }
        }))
        .await
    }

    /// One that answers after this time, and notes nothing.
    pub(crate) async fn hanging(time: Duration) -> Result<Self> {
        Self::start(Router::new().fallback(async move |_: Bytes| tokio::time::sleep(time).await))
            .await
    }

    /// One that answers 200 at once, and whose requests are waited for like those to services.
    pub(crate) async fn watched(traffic: &Traffic) -> Result<Self> {
        let traffic = traffic.clone();
        Self::start(Router::new().fallback(async move |_: Bytes| drop(traffic.begin()))).await
    }

    /// One that answers after this time, and with 500 to so many in a hundred events: never twice in a row
    /// to a hook that gets every tenth of them, so that its circuit stays closed.
    pub(crate) async fn failing(in_hundred: usize, time: Duration) -> Result<Self> {
        Self::start(Router::new().fallback(async move |body: Bytes| {
            tokio::time::sleep(time).await;
            // 37 and 100 have no common divisor: of any hundred events in a row each has its own rest.
            match number_of(&body) {
                Some(event) if 37 * event % 100 < in_hundred => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::OK,
            }
        }))
        .await
    }

    async fn start(router: Router) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let connections = Arc::<AtomicUsize>::default();
        let opened = Arc::clone(&connections);
        let listener = listener.tap_io(move |connection| {
            opened.fetch_add(1, Ordering::Relaxed);
            // Answers are single packets: there is nothing to wait for.
            let _ = connection.set_nodelay(true);
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { addr, connections })
    }

    /// The URL of a hook's target.
    pub(crate) fn target(&self, hook: usize) -> String {
        format!("http://{}/{hook}", self.addr)
    }

    /// How many connections have been opened to it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}
