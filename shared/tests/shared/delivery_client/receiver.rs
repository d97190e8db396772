//! Receivers that do as they are told, step by step.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use shared::model::DELIVERY_DEADLINE;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};

use super::{listener, read_request};

/// What a receiver does with a connection. After the last step it closes it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Reads the request to its end.
    ReadRequest,
    /// Reads the first bytes of the request, and leaves the rest.
    ReadALittle,
    /// Writes this.
    Write(&'static str),
    /// Writes this so many times.
    Repeat(usize, &'static str),
    /// Writes this again and again, without a pause, until the client hangs up.
    Flood(&'static str),
    /// The same, and meanwhile the client's deadline passes.
    FloodPastTheDeadline(&'static str),
    /// Writes this again and again, one byte a second, until the client hangs up.
    Drip(&'static str),
    /// Neither reads nor writes for ever.
    Hang,
    /// Takes what comes until the client hangs up.
    ReadOn,
    /// Closes the connection with a reset.
    Reset,
}

/// A receiver.
pub(super) struct Receiver {
    pub(super) addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    calm: Arc<Semaphore>,
}

impl Receiver {
    /// A receiver that takes every connection through these steps.
    pub(super) async fn start(steps: &'static [Step]) -> Self {
        let (listener, addr) = listener().await;
        let receiver = Self {
            addr,
            connections: Arc::default(),
            calm: Arc::new(Semaphore::new(0)),
        };
        let (connections, calm) = (receiver.connections.clone(), receiver.calm.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(follow(steps, stream, calm.clone()));
            }
        });
        receiver
    }

    /// How many connections there have been.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Says that nothing but this receiver's connection is under way, so that the clock can be
    /// stopped. Until then the receiver does nothing for which it would have to be.
    pub(super) fn calm(&self) {
        self.calm.add_permits(1);
    }
}

async fn follow(steps: &[Step], mut stream: TcpStream, calm: Arc<Semaphore>) {
    let stop_clock = async || {
        calm.acquire().await.unwrap().forget();
        tokio::time::pause();
    };
    for step in steps {
        match step {
            Step::ReadRequest => {
                read_request(&mut stream).await;
            }
            Step::ReadALittle => {
                stream.read_exact(&mut [0; 16]).await.unwrap();
            }
            Step::Write(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Step::Repeat(times, text) => {
                let text = text.repeat(*times);
                stream.write_all(text.as_bytes()).await.unwrap();
            }
            Step::Flood(text) => {
                let text = text.repeat(4096 / text.len() + 1);
                while stream.write_all(text.as_bytes()).await.is_ok() {}
            }
            Step::FloodPastTheDeadline(text) => {
                let text = text.repeat(4096 / text.len() + 1);
                for _ in 0..256 {
                    stream.write_all(text.as_bytes()).await.unwrap();
                }
                stop_clock().await;
                tokio::time::advance(DELIVERY_DEADLINE).await;
                while stream.write_all(text.as_bytes()).await.is_ok() {}
            }
            Step::Drip(text) => {
                stop_clock().await;
                for byte in text.bytes().cycle() {
                    if stream.write_all(&[byte]).await.is_err() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Step::Hang => {
                stop_clock().await;
                std::future::pending::<()>().await;
            }
            Step::ReadOn => while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {},
            Step::Reset => stream.set_zero_linger().unwrap(),
        }
    }
}
