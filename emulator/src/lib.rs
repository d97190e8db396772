//! The AWS that the bundle needs, in one process: for the laptop and for tests, never in a function.
//!
//! [`LocalAws`] serves DynamoDB, SQS, EventBridge and what of STS tells a client who it is, on loopback ports
//! unless told otherwise, over files of one directory or in memory; [`EventSource`] hands a queue's messages to
//! a handler as Lambda's event source mapping does. What is stored survives the process, however it ends: both
//! keep SQLite files with a write-ahead log.

mod body_limit;
mod chain;
mod event_source;
mod eventbridge;
mod http_server;
mod in_process;
mod sqs;
mod sts;

use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use aws_sdk_dynamodb::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use dynoxide::Database;
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use chain::chain_length;
pub use event_source::EventSource;
pub use eventbridge::EventRule;
pub use http_server::{ServerLimits, serve};
pub use sqs::GROUP_IN_FLIGHT;

/// How often expired items and messages are removed.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// The bounds of each server but the tables'. That one is dynoxide's own, which takes a listener and lets out neither
/// its router nor its connections: it has no bounds, and whoever may connect is trusted not to use up its descriptors.
const LIMITS: ServerLimits = ServerLimits::with_connections(64);

/// Files hold payloads, secrets and digests of tokens: they are their owner's alone.
const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_DIRECTORY: u32 = 0o700;

const REGION: Region = Region::from_static("us-east-1");

/// Where tables and queues are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory, until the [`LocalAws`] is gone.
    Memory,
    /// In files of this directory, which is made if it is not there. Nobody but their owner may read them, nor a
    /// directory that is made.
    Directory(PathBuf),
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory or a port cannot be used.
    #[error("{0}")]
    Io(String, #[source] std::io::Error),
    /// Another process has the directory.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// The tables' file cannot be opened.
    #[error("the tables cannot be opened: {0}")]
    Tables(String),
    /// The queues' file cannot be opened.
    #[error("the queues cannot be opened")]
    Queues(#[from] rusqlite::Error),
}

/// DynamoDB, SQS, EventBridge and STS, for as long as this value lives.
#[derive(Debug)]
pub struct LocalAws {
    dynamodb_url: String,
    sqs_url: String,
    eventbridge_url: String,
    sts_url: String,
    dynamodb: aws_sdk_dynamodb::Client,
    sqs: aws_sdk_sqs::Client,
    event_rule: Arc<OnceLock<EventRule>>,
    tasks: JoinSet<()>,
    /// Ends the servers when this is dropped.
    stop: DropGuard,
    /// Keeps others out of the directory.
    _lock: Option<File>,
}

impl LocalAws {
    /// Opens the storage and starts the servers on free loopback ports.
    pub async fn start(storage: &Storage) -> Result<Self, StartError> {
        Self::start_on(storage, Ipv4Addr::LOCALHOST.into()).await
    }

    /// Opens the storage and starts the servers on free ports of an address of this machine. They take any
    /// credentials: whoever can reach the address can read and change everything.
    pub async fn start_on(storage: &Storage, address: IpAddr) -> Result<Self, StartError> {
        let (lock, database, queues) = open(storage)?;
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();

        let (listener, dynamodb_url) = listen(address).await?;
        let dynamodb = dynamodb_client(database.clone(), &dynamodb_url);
        let served = dynoxide::server::serve_with_shutdown(
            listener,
            database.clone(),
            stop.clone().cancelled_owned(),
        );
        tasks.spawn(async move {
            if let Err(error) = served.await {
                tracing::error!(error, "the embedded DynamoDB has ended");
            }
        });

        let (listener, sqs_url) = listen(address).await?;
        let server = sqs::Server::new(queues, sqs_url.clone(), stop.clone());
        let sqs = sqs_client(server.clone(), &sqs_url);
        tasks.spawn(serve(listener, server.router(), LIMITS, stop.clone()));

        let event_rule = Arc::<OnceLock<EventRule>>::default();
        let eventbridge = eventbridge::Server::new(server.clone(), event_rule.clone());
        let (listener, eventbridge_url) = listen(address).await?;
        tasks.spawn(serve(listener, eventbridge.router(), LIMITS, stop.clone()));

        let (listener, sts_url) = listen(address).await?;
        tasks.spawn(serve(listener, sts::router(), LIMITS, stop.clone()));

        tasks.spawn(sweep(database, server, stop.clone()));
        Ok(Self {
            dynamodb,
            sqs,
            dynamodb_url,
            sqs_url,
            eventbridge_url,
            sts_url,
            event_rule,
            tasks,
            stop: stop.drop_guard(),
            _lock: lock,
        })
    }

    /// Where DynamoDB listens.
    #[must_use]
    pub fn dynamodb_url(&self) -> &str {
        &self.dynamodb_url
    }

    /// Where SQS listens.
    #[must_use]
    pub fn sqs_url(&self) -> &str {
        &self.sqs_url
    }

    /// Where EventBridge listens.
    #[must_use]
    pub fn eventbridge_url(&self) -> &str {
        &self.eventbridge_url
    }

    /// Where STS listens.
    #[must_use]
    pub fn sts_url(&self) -> &str {
        &self.sts_url
    }

    /// Has events of a bus put into a queue. There is one such rule: the first stays.
    pub fn route_events(&self, rule: EventRule) {
        self.event_rule.get_or_init(|| rule);
    }

    /// A client of the tables.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        self.dynamodb.clone()
    }

    /// A client of the queues.
    #[must_use]
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        self.sqs.clone()
    }

    /// Ends the servers, after the requests in progress; those of this process's own clients are theirs
    /// to wait for.
    pub async fn shut_down(mut self) {
        drop(self.stop);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// A client of the tables in this process.
fn dynamodb_client(database: Database, url: &str) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(REGION)
        .allow_no_auth()
        .http_client(in_process::tables(database))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .endpoint_url(url)
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

/// A client of the queues in this process.
fn sqs_client(server: sqs::Server, url: &str) -> aws_sdk_sqs::Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(REGION)
        .allow_no_auth()
        .http_client(in_process::queues(server))
        // A poll that waits is no request that stalls.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .endpoint_url(url)
        .build();
    aws_sdk_sqs::Client::from_conf(config)
}

async fn listen(address: IpAddr) -> Result<(TcpListener, String), StartError> {
    let failed = |error| StartError::Io(format!("cannot listen on {address}"), error);
    let listener = TcpListener::bind((address, 0)).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok((listener, format!("http://{addr}")))
}

fn open(storage: &Storage) -> Result<(Option<File>, Database, sqs::Store), StartError> {
    let tables = |error: dynoxide::DynoxideError| StartError::Tables(error.to_string());
    let Storage::Directory(directory) = storage else {
        return Ok((
            None,
            Database::memory().map_err(tables)?,
            sqs::Store::memory()?,
        ));
    };
    let failed = |error| StartError::Io(format!("{} cannot be used", directory.display()), error);
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(PRIVATE_DIRECTORY);
    builder.create(directory).map_err(failed)?;
    let lock = private(&directory.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StartError::InUse(directory.clone())),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let [tables_file, queues_file] =
        ["dynamodb.sqlite", "sqs.sqlite"].map(|name| directory.join(name));
    for file in [&tables_file, &queues_file] {
        make_private(file).map_err(failed)?;
    }
    let database = Database::new(&tables_file.to_string_lossy()).map_err(tables)?;
    let queues = sqs::Store::file(&queues_file, sqs::now())?;
    Ok((Some(lock), database, queues))
}

/// Opens a file, which is made if it is not there, and which nobody but its owner may read.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(PRIVATE_FILE);
    let file = options.open(path)?;
    // An older release made it as the system has files made.
    file.set_permissions(Permissions::from_mode(PRIVATE_FILE))?;
    Ok(file)
}

/// Makes a database's file private, and those beside it that an end without a shutdown has left. SQLite makes
/// these as the file itself is.
fn make_private(database: &Path) -> io::Result<()> {
    private(database)?;
    for suffix in ["-wal", "-shm"] {
        let mut beside = database.as_os_str().to_owned();
        beside.push(suffix);
        match std::fs::set_permissions(&beside, Permissions::from_mode(PRIVATE_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Removes what has expired, now and then, as the real services do at their leisure: not at once, so that
/// who works with times of the past finds what it has just stored.
async fn sweep(database: Database, server: sqs::Server, stop: CancellationToken) {
    let mut ticks = tokio::time::interval_at(Instant::now() + SWEEP_EVERY, SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(_tick) = stop.run_until_cancelled(ticks.tick()).await {
        let database = database.clone();
        match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "expired items could not be removed"),
            Err(error) => tracing::warn!(%error, "expired items could not be removed"),
        }
        server.sweep();
    }
}
