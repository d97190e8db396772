//! Serving HTTP to whoever connects, within bounds.
//!
//! A process has so many descriptors, and a connection costs one however little is said on it. So there are at
//! most [`ServerLimits::connections`]. For one more, that one is closed that has been idle for the longest time:
//! on which no request is being worked, whether none has come or one has not come whole. While all of them are at
//! work, it waits. The head of a request has a time in which it must come, and so has the client to take the next
//! part of an answer.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    response::Response,
    serve::Listener,
};
use hyper::{
    body::{Body as _, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Sleep, sleep},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The bounds of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// How many connections may be open.
    pub connections: usize,
    /// How long a connection may wait for the whole head of its next request.
    pub head: Duration,
    /// How long a client may take nothing of an answer.
    pub stall: Duration,
}

impl ServerLimits {
    /// Bounds that no client notices that asks and reads, with this many connections.
    #[must_use]
    pub const fn with_connections(connections: usize) -> Self {
        Self {
            connections,
            head: Duration::from_secs(30),
            stall: Duration::from_secs(10),
        }
    }
}

/// Serves until it is stopped, and then ends the requests in progress.
pub async fn serve(
    mut listener: TcpListener,
    router: Router,
    limits: ServerLimits,
    stop: CancellationToken,
) {
    let connections = Arc::new(Connections::new(limits.connections));
    let mut tasks = JoinSet::new();
    let mut accepted = async || {
        // Waits by itself when no descriptor is left.
        let (stream, _) = Listener::accept(&mut listener).await;
        (stream, connections.room().await)
    };
    while let Some((stream, room)) = stop.run_until_cancelled(accepted()).await {
        let connection = Connection {
            router: router.clone(),
            limits,
            stop: stop.clone(),
            place: Arc::new(Place::of(connections.clone())),
        };
        tasks.spawn(connection.serve(stream, room));
        while tasks.try_join_next().is_some() {}
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// The connections that are open.
struct Connections {
    room: Arc<Semaphore>,
    idle: Mutex<Idle>,
    /// Told whenever a connection becomes idle.
    became_idle: Notify,
}

/// The idle connections, from the one that has been so for the longest time on.
#[derive(Default)]
struct Idle {
    next: u64,
    cuts: BTreeMap<u64, CancellationToken>,
}

impl Connections {
    fn new(most: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(most)),
            idle: Mutex::default(),
            became_idle: Notify::new(),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for one more connection: there is some, or an idle one is closed for it.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(room) = self.room.clone().try_acquire_owned() {
                return Some(room);
            }
            let oldest = self.idle().cuts.pop_first();
            if let Some((_, cut)) = oldest {
                cut.cancel();
            }
            tokio::select! {
                room = self.room.clone().acquire_owned() => return room.ok(),
                () = self.became_idle.notified() => {}
            }
        }
    }
}

/// A connection among the others.
struct Place {
    connections: Arc<Connections>,
    /// Closes it when it is cancelled.
    cut: CancellationToken,
    /// Its position among the idle ones; none while a request is being worked.
    position: Mutex<Option<u64>>,
}

impl Place {
    /// That of a new connection, which is idle.
    fn of(connections: Arc<Connections>) -> Self {
        let place = Self {
            connections,
            cut: CancellationToken::new(),
            position: Mutex::new(None),
        };
        place.idle();
        place
    }

    /// Puts it behind all other idle ones.
    fn idle(&self) {
        self.busy();
        let mut idle = self.connections.idle();
        let position = idle.next;
        idle.next += 1;
        idle.cuts.insert(position, self.cut.clone());
        drop(idle);
        self.moved(Some(position));
        self.connections.became_idle.notify_one();
    }

    fn busy(&self) {
        if let Some(position) = self.moved(None) {
            self.connections.idle().cuts.remove(&position);
        }
    }

    fn moved(&self, to: Option<u64>) -> Option<u64> {
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut position, to)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.busy();
    }
}

/// How a connection is served.
struct Connection {
    router: Router,
    limits: ServerLimits,
    stop: CancellationToken,
    place: Arc<Place>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, room: Option<OwnedSemaphorePermit>) {
        let Self {
            router,
            limits,
            stop,
            place,
        } = self;
        let answering = place.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, place) = (router.clone(), answering.clone());
            place.idle();
            let request = request.map(|body| Body::new(Arriving::new(body, place.clone())));
            async move {
                let answer: Result<Response, Infallible> = router.oneshot(request).await;
                place.idle();
                answer
            }
        });
        let stream = TokioIo::new(Taken::new(stream, limits.stall));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.head);
        let mut serving = pin!(http.serve_connection(stream, service));
        let mut stopping = false;
        loop {
            tokio::select! {
                // First, so that an answer which has just been made goes out before the connection is cut.
                biased;
                // An error is the client's end of the connection, or one of the bounds.
                _ = serving.as_mut() => break,
                () = place.cut.cancelled() => break,
                () = stop.cancelled(), if !stopping => {
                    serving.as_mut().graceful_shutdown();
                    stopping = true;
                }
            }
        }
        drop(room);
    }
}

/// A request's body. When all of it is there the request can be worked.
struct Arriving {
    body: Incoming,
    place: Arc<Place>,
}

impl Arriving {
    fn new(body: Incoming, place: Arc<Place>) -> Self {
        let arriving = Self { body, place };
        arriving.look();
        arriving
    }

    fn look(&self) {
        if self.body.is_end_stream() {
            self.place.busy();
        }
    }
}

impl hyper::body::Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            None => self.place.busy(),
            Some(_) => self.look(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream of which the other side has to take what is written, within a time.
struct Taken {
    stream: TcpStream,
    stall: Duration,
    /// The time that is left for it, while it takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Taken {
    fn new(stream: TcpStream, stall: Duration) -> Self {
        Self {
            stream,
            stall,
            stalled: None,
        }
    }

    /// What a write has come to, unless nothing was taken for too long.
    fn in_time(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall = self.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Taken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Taken {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.in_time(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
